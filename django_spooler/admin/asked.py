"""What an address of the list asks for, and the links that ask for something else."""

from collections.abc import Iterator
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import browse
from ..backends import served_directories
from ..browse import COUNTED, Page, Query, capped
from ..overview import site_spools
from ..spool.listing import OTHER, STATES
from ..tasks import task_names

PAGE_SIZE = 100
LAST_PAGE = COUNTED // PAGE_SIZE
"""What lies behind it is found by search and filters, or from the other end."""

AGES = {
    "1h": (gettext_lazy("Up to an hour"), 3600.0, None),
    "1d": (gettext_lazy("Up to a day"), 86400.0, None),
    "older": (gettext_lazy("More than a day"), None, 86400.0),
}
"""What each is called, newer and older than how many seconds."""


def query_of(asked: QueryDict) -> Query:
    """Return what an address asks for; what it cannot mean is passed over."""
    state, age, sort = asked.get("state"), asked.get("age", ""), asked.get("o", "")
    newer_than, older_than = AGES[age][1:] if age in AGES else (None, None)
    return Query(
        state=state if state in (*STATES, OTHER) else None,
        queue=asked.get("queue") or None,
        task=asked.get("task", ""),
        error=asked.get("error", ""),
        text=asked.get("q", ""),
        by_time=sort.lstrip("-") == "time",
        backwards=sort.startswith("-"),
        newer_than=newer_than,
        older_than=older_than,
    )


def page_number(asked: QueryDict) -> int:
    """Return the number of the page that is asked for, from 1."""
    number = asked.get("p", "")
    if not (number.isascii() and number.isdigit()) or len(number) > 7:
        return 1
    return min(max(1, int(number)), LAST_PAGE)


def _with(asked: QueryDict, **changes: str) -> str:
    """Return the address of the list with some of what is asked for changed."""
    changed = asked.copy()
    for name in ("p", *changes):
        changed.pop(name, None)
    changed.update({name: value for name, value in changes.items() if value})
    return f"?{changed.urlencode()}"


LABELS = {
    "": gettext_lazy("All"),
    "ready": gettext_lazy("Ready"),
    "running": gettext_lazy("Running"),
    "scheduled": gettext_lazy("Scheduled"),
    "failed": gettext_lazy("Failed"),
    OTHER: gettext_lazy("Other libraries"),
}


def tabs(asked: QueryDict) -> Iterator[dict[str, Any]]:
    """Yield the tabs, one for each state; that of other libraries only where they have tasks."""
    counts = browse.tabs(site_spools())
    current = asked.get("state", "") if asked.get("state") in LABELS else ""
    for state, label in LABELS.items():
        number = counts[state] if state else min(COUNTED, sum(counts[name] for name in STATES))
        if state != OTHER or number or state == current:
            yield {
                "state": state,
                "label": label,
                "count": capped(number),
                "link": _with(asked, state=state, error="", o=""),
                "is_current": state == current,
            }


def pages(asked: QueryDict, page: Page, number: int) -> dict[str, str]:
    """Return the links to the pages before and after."""
    links = {}
    if number > 1:
        links["previous"] = _with(asked, p=str(number - 1))
    has_more = not page.is_exact or number * PAGE_SIZE < page.total
    if number < LAST_PAGE and len(page.entries) == PAGE_SIZE and has_more:
        links["next"] = _with(asked, p=str(number + 1))
    return links


def choices(asked: QueryDict) -> list[dict[str, Any]]:
    """Return what can be filtered by."""
    queues = sorted({queue for names in served_directories().values() for queue in names})
    offered = [
        ("queue", _("Queue"), [(queue, queue) for queue in queues]),
        ("task", _("Task"), [(name, name) for name in task_names()]),
        ("age", _("Age"), [(name, age[0]) for name, age in AGES.items()]),
    ]
    return [
        {"name": name, "label": label, "options": options, "value": asked.get(name, "")}
        for name, label, options in offered
    ]


def sorts(asked: QueryDict, query: Query) -> dict[str, str]:
    """Return the links that sort by a column, or the other way round where that is done already."""
    by = "time" if query.by_time else "order"
    return {
        name: _with(asked, o=f"-{name}" if by == name and not query.backwards else name)
        for name in ("order", "time")
    }


def sorted_by(query: Query) -> dict[str, str]:
    """Return the column that the tasks are sorted by, and which way; failed ones are by their time."""
    by_time = query.by_time or query.state == "failed"
    is_falling = query.backwards == (by_time and query.state != "failed")
    return {"time" if by_time else "priority": "descending" if is_falling else "ascending"}
