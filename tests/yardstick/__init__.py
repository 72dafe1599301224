"""The tests of those whose place we take, run against us: Django's of task backends, django-cron's.

``tests/tasks`` of Django's source distribution tries the two backends Django brings: one that runs a
task at once, one that keeps it for later. Both roles are ours too, so wherever those tests name a
backend of Django's they get its ``understudies`` counterpart. Of what they ask, ``runner`` leaves out
a short list, with the reason for each.

The tests come with each Django from 6.0 on, and are not kept here. The backport for Django 5.2 has
the same framework without its tests: there is nothing to run.

django-cron's tests come with its distribution, but without the jobs they run: those are
``cron_jobs``. They hold with our lock and the apps in either order; which of them cannot on a
database server, and why, is told by ``cron_runner``.
"""
