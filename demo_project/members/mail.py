"""Mail for a demo: it can be read on the site, and goes nowhere else."""

from collections.abc import Sequence

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from .models import Letter


class MailboxBackend(BaseEmailBackend):
    """Keeps each mail as a Letter for each of its recipients."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Store the messages and return how many there were."""
        Letter.objects.bulk_create(
            Letter(to=to, subject=message.subject, body=message.body)
            for message in email_messages
            for to in message.recipients()
        )
        return len(email_messages)
