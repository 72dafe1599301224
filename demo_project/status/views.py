"""What is queued, running, scheduled and failed, and buttons that make it so."""

from collections.abc import Callable
from datetime import timedelta

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from .board import board
from .tasks import fail_on_purpose, say, take_a_while


@require_GET
def queue(request: HttpRequest) -> HttpResponse:
    """Show the queue."""
    buttons = [(action, label) for action, (label, _) in ACTIONS.items()]
    return render(request, "status/queue.html", {"buttons": buttons, "board": board()})


@require_GET
def queue_fragment(request: HttpRequest) -> HttpResponse:
    """Show the queue's figures alone, for the page that is open already."""
    return render(request, "status/_board.html", {"board": board()})


@require_POST
def act(request: HttpRequest, action: str) -> HttpResponse:
    """Enqueue what the pressed button stands for."""
    if action not in ACTIONS:
        raise Http404
    _, enqueue = ACTIONS[action]
    messages.success(request, enqueue())
    return redirect("queue")


def _slow() -> str:
    take_a_while.enqueue(5)
    return "A task of five seconds is on its way."


def _many() -> str:
    for _ in range(20):
        take_a_while.using(priority=-10).enqueue(0.5)
    return "Twenty tasks of half a second wait behind everything else."


def _urgent() -> str:
    say.using(priority=100).enqueue("This one went before all the others.")
    return "It goes before all that waits, and writes a line to the server's log."


def _later() -> str:
    say.using(run_after=timezone.now() + timedelta(seconds=15)).enqueue("Fifteen seconds are over.")
    return "It waits fifteen seconds, then writes a line to the server's log."


def _failing() -> str:
    fail_on_purpose.enqueue()
    return "It fails, is tried once more after a pause, and then stands under “failed”."


ACTIONS: dict[str, tuple[str, Callable[[], str]]] = {
    "slow": ("Take five seconds", _slow),
    "many": ("Twenty at once", _many),
    "urgent": ("Something urgent", _urgent),
    "later": ("In fifteen seconds", _later),
    "failing": ("Fail on purpose", _failing),
}
