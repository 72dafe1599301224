"""The shop."""

from django.apps import AppConfig

from django_spooler.compat import task_enqueued, task_finished, task_started
from django_spooler.signals import task_failed, task_retried


class ShopConfig(AppConfig):
    """Tells the tests what the signals say."""

    name = "shop"

    def ready(self) -> None:
        """Connect the receivers, which must not be collected."""
        from mysite.events import record

        def receiver_of(name):
            def receive(sender, task_result=None, **values):
                told = {key: str(value) for key, value in values.items() if key != "signal"}
                record(name, id=task_result and task_result.id, **told)

            return receive

        for name, signal in {
            "task_enqueued": task_enqueued,
            "task_started": task_started,
            "task_finished": task_finished,
            "task_failed": task_failed,
            "task_retried": task_retried,
        }.items():
            signal.connect(receiver_of(name), weak=False)
