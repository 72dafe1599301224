"""One view, so that tasks come in through ``uwsgi.spool`` from a web worker too."""

import time

from django.http import HttpRequest, HttpResponse
from django.urls import path

from .ledger import note
from .tasks import work


def enqueue(request: HttpRequest) -> HttpResponse:
    """Queue the numbered tasks, and tell the ledger of each that was accepted, and since when."""
    milliseconds = [float(value) for value in request.GET["ms"].split(",")]
    for number, duration in enumerate(milliseconds, int(request.GET["first"])):
        before = time.time()
        work.enqueue(number, duration)
        note("accepted", number, before)
    return HttpResponse("accepted")


urlpatterns = [path("enqueue", enqueue)]
