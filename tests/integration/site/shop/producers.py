"""What the tests let the site do that cannot be said in JSON."""

import contextlib
import hashlib
import os
import signal
from datetime import timedelta

from django.db import transaction
from django.utils import timezone, translation
from django.utils.module_loading import import_string
from mysite.events import record

from django_spooler.exceptions import SpoolUnavailable
from django_spooler.models import TaskRecord

from . import tasks
from .models import Order


def measure(size):
    """Enqueue a text of this size; return its digest."""
    text = "x" * size
    tasks.measure.enqueue(text)
    return hashlib.sha256(text.encode()).hexdigest()


def call_plainly(task, kwargs):
    """Call a task as the function it is."""
    import_string(task)(**kwargs)


def surroundings():
    """Return what this process is set to."""
    language, time_zone = translation.get_language(), timezone.get_current_timezone_name()
    return [tasks.visitor.get(), language, time_zone]


def enqueue_objects():
    """Enqueue what JSON cannot hold."""
    tasks.echo.enqueue(user={"profile": [1, object()]})


def enqueue_too_few():
    """Enqueue a call that lacks an argument."""
    tasks.send_invoice.enqueue(number="1")


def enqueue_to_nowhere():
    """Enqueue to a queue that the settings do not have."""
    tasks.echo.using(queue_name="nowhere").enqueue()


def enqueue_beyond_all_priorities():
    """Enqueue with a priority that is out of range."""
    tasks.echo.using(priority=101).enqueue()


def enqueue_refused(number):
    """Enqueue many tasks on a disk that takes none."""
    for _ in range(number):
        with contextlib.suppress(SpoolUnavailable):
            tasks.echo.enqueue("x" * 5000)


def in_a_transaction(tag, *, fails):
    """Enqueue within ``atomic`` and record that its end is about to come."""
    try:
        with transaction.atomic():
            Order.objects.create(number=tag)
            tasks.ordered.enqueue(tag)
            record("about_to_end", tag=tag)
            if fails:
                raise _RolledBackError
    except _RolledBackError:
        return False
    return True


def die_after_the_commit(tag):
    """Enqueue, and be killed between the commit and what follows it."""
    with transaction.atomic():
        transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
        tasks.ordered.using(backend="kept").enqueue(tag)


def let_results_grow_old():
    """Let all results be of an hour ago."""
    TaskRecord.objects.update(enqueued_at=timezone.now() - timedelta(hours=1))


class _RolledBackError(Exception):
    pass


def enqueue_without_descriptors(label):
    """Enqueue while this process has no descriptor left."""
    task, taken = tasks.ordered, []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    try:
        task.enqueue(label)
    finally:
        for descriptor in taken:
            os.close(descriptor)
