"""Points in time as the database keeps them.

They are whole microseconds since the Unix epoch, so they mean the same whatever ``USE_TZ`` says,
whatever time zone a MySQL session has, and in the hour that comes twice.
"""

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.expressions import Combinable
from django.utils import timezone as django_timezone
from django.utils.dateparse import parse_datetime

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)


def to_microseconds(instant: datetime) -> int:
    """Return microseconds since the epoch; a naive time is taken in the site's current zone."""
    if django_timezone.is_naive(instant):
        instant = django_timezone.make_aware(instant)
    return (instant - EPOCH) // MICROSECOND


def from_microseconds(value: int) -> datetime:
    """Return an aware time in UTC."""
    return EPOCH + value * MICROSECOND


class InstantField(models.BigIntegerField):  # type: ignore[type-arg]
    """A point in time: an aware UTC datetime in Python, microseconds in the database."""

    if TYPE_CHECKING:
        _pyi_private_set_type: datetime | Combinable  # type: ignore[assignment]
        _pyi_private_get_type: datetime  # type: ignore[assignment]

    def from_db_value(self, value: int | None, expression: Any, connection: Any) -> datetime | None:
        """Return the time a column's number stands for."""
        return None if value is None else from_microseconds(value)

    def to_python(self, value: Any) -> Any:
        """Return a time from a form, a fixture or Python."""
        if value is None or isinstance(value, datetime):
            return value
        if isinstance(value, int):
            return from_microseconds(value)
        if (parsed := parse_datetime(str(value))) is None:
            raise ValidationError(f"{value!r} is not a time.")
        return parsed

    def value_to_string(self, obj: models.Model) -> str:
        """Return the time as fixtures keep it."""
        value = self.value_from_object(obj)
        return "" if value is None else value.isoformat()

    def get_prep_value(self, value: Any) -> Any:
        """Return the number a time is kept as."""
        return to_microseconds(value) if isinstance(value, datetime) else value
