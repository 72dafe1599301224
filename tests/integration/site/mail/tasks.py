"""The mail app's tasks, as the Tasks framework alone has them."""

from mysite.events import record

try:
    from django.tasks import task
except ImportError:
    from django_tasks import task


@task()
def plain(value):
    record("plain", value=value)


@task(queue_name="mail", priority=7, takes_context=True)
def send(context, to):
    found = context.task_result.task
    record("send", to=to, queue=found.queue_name, priority=found.priority)


@task()
async def plain_async(value):
    record("plain_async", value=value)
