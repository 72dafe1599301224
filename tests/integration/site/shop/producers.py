"""What the tests let the site enqueue that cannot be said in JSON."""

import hashlib

from django.utils.module_loading import import_string

from . import tasks


def measure(size):
    """Enqueue a text of this size; return its digest."""
    text = "x" * size
    tasks.measure.enqueue(text)
    return hashlib.sha256(text.encode()).hexdigest()


def call_plainly(task, kwargs):
    """Call a task as the function it is."""
    import_string(task)(**kwargs)


def enqueue_objects():
    """Enqueue what JSON cannot hold."""
    tasks.echo.enqueue(user={"profile": [1, object()]})


def surroundings():
    """Return what a task of this process would find if it were not for the spooler."""
    return tasks.visitor.get()
