"""What can be done to tasks from the pages, in rounds that end before a proxy gives up."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin.models import CHANGE, DELETION
from django.utils.translation import gettext_lazy

from .. import operations
from ..browse import Target
from ..exceptions import SpoolerError
from ..spool.directory import Spool
from ..spool.listing import TaskFile
from .forms import PriorityForm, RoundForm

ROUND = 20.0
"""Seconds a request works at most; what is left then is for the next one."""

BRIEF = 2.0
"""The same where the browser asks for the next one by itself, and shows how far it got."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something done to the selected tasks."""

    permission: str
    flag: int
    verb: Any
    """As in "Retry"."""

    label: Any
    """As in "Retry selected failed tasks"."""

    done: Any
    """What the log calls it, with the form's terms."""

    run: Callable[..., bool]
    """Do it to a task, with the form's terms; False where it cannot be done to it any more."""

    states: tuple[str, ...]
    """The states whose tasks it is for."""

    form: type[RoundForm] = RoundForm
    """What is asked before it is done."""

    def told(self, terms: dict[str, Any]) -> str:
        """Return what the log calls it."""
        return str(self.done) % terms

    def is_for(self, file: TaskFile, terms: dict[str, Any]) -> bool:
        """Tell whether there is something to do to a task."""
        has_it = file.place is not None and file.place.priority == terms.get("priority")
        return file.state in self.states and not has_it


ACTIONS = {
    "retry_selected": Action(
        permission="retry_task",
        flag=CHANGE,
        verb=gettext_lazy("Retry"),
        label=gettext_lazy("Retry selected failed tasks"),
        done=gettext_lazy("Retried."),
        run=operations.retry,
        states=("failed",),
    ),
    "run_now_selected": Action(
        permission="retry_task",
        flag=CHANGE,
        verb=gettext_lazy("Run now"),
        label=gettext_lazy("Run selected scheduled tasks now"),
        done=gettext_lazy("Made to run now."),
        run=operations.run_now,
        states=("scheduled",),
    ),
    "prioritize_selected": Action(
        permission="prioritize_task",
        flag=CHANGE,
        verb=gettext_lazy("Change priority"),
        label=gettext_lazy("Change priority of selected waiting tasks"),
        done=gettext_lazy("Given priority %(priority)s."),
        run=operations.prioritize,
        states=("ready", "scheduled"),
        form=PriorityForm,
    ),
    "discard_selected": Action(
        permission="discard_task",
        flag=DELETION,
        verb=gettext_lazy("Discard"),
        label=gettext_lazy("Discard selected tasks"),
        done=gettext_lazy("Discarded."),
        run=operations.discard,
        states=("ready", "scheduled", "failed"),
    ),
}


@dataclass
class Round:
    """What one request does of an action."""

    seconds: float
    done: list[str] = field(default_factory=list)
    """The ids of the tasks it was done to."""

    seen: set[str] = field(default_factory=set)
    """The ids of these and of those it could not be done to."""

    refusals: list[str] = field(default_factory=list)
    """Why it could not be done to tasks of ``seen``, a sentence for each."""

    is_last: bool = False
    """Whether nothing is left for another one."""

    def run(self, act: Callable[[Spool, TaskFile], bool], targets: Iterable[Target | None]) -> None:
        """Act on the targets till the time is up; one that fails holds up no other.

        Raise SpoolerError where the targets cannot be found; what was done is noted.
        """
        until = time.monotonic() + self.seconds
        for target in targets:
            if target is not None:
                identifier, spool, file = target
                self.seen.add(identifier)
                try:
                    if act(spool, file):
                        self.done.append(identifier)
                except SpoolerError as error:
                    self.refusals.append(str(error))
            if time.monotonic() > until:
                return
        self.is_last = True
