"""Mail to members."""

from django.core.mail import send_mail

from django_spooler import spooler_task

from .models import Member

WELCOME = """Hello {name},

welcome to the photo wall. The page you joined on was shown before
this mail was written: a spooler process of uWSGI has sent it.

Your photo wall"""

REMINDER = """Hello {name},

you joined a minute ago. Is a photo of yours on the wall already?

Your photo wall"""


@spooler_task(queue_name="mail", retry_on=(OSError,))
def send_welcome(member_id: int) -> None:
    """Greet a new member. A mail server that is away is worth another try."""
    _write(member_id, "Welcome to the photo wall", WELCOME)


@spooler_task(queue_name="mail", retry_on=(OSError,))
def send_reminder(member_id: int) -> None:
    """Ask a member for a photo."""
    _write(member_id, "Your first photo?", REMINDER)


def _write(member_id: int, subject: str, text: str) -> None:
    member = Member.objects.filter(pk=member_id).first()
    if member is not None:
        send_mail(subject, text.format(name=member.name), None, [member.email])
