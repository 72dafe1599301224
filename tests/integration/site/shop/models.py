"""The shop's tables."""

from django.db import models


class Order(models.Model):
    """An order."""

    number = models.CharField(max_length=100, unique=True)
    note = models.TextField(blank=True)

    def __str__(self):
        return self.number
