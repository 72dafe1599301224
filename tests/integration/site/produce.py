"""A process of the site that is not uWSGI: answers calls, one line each, until its input ends."""

import json
import os
import sys

import django
from mysite.calls import answer

os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
for line in sys.stdin:
    print(json.dumps(answer(line)), flush=True)
