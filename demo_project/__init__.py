"""A small site that uses django-spooler as a reader's own site would."""
