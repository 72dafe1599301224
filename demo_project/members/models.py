"""Who has joined, and the mail the site has sent."""

from django.db import models


class Member(models.Model):
    """A visitor who has joined."""

    name = models.CharField(max_length=60)
    email = models.EmailField(
        "e-mail address", unique=True, error_messages={"unique": "This address has joined already."}
    )
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name


class Letter(models.Model):
    """A mail that stays on this machine instead of going out."""

    to = models.EmailField()
    subject = models.CharField(max_length=200)
    body = models.TextField()
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.subject
