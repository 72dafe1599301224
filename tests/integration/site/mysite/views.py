"""The site's views, and a task that stands among them."""

import os

from django.http import HttpRequest, HttpResponse, JsonResponse
from shop.tasks import send_invoice

from django_spooler import spooler_task

from .calls import answer
from .events import record


@spooler_task
def task_in_views(value: object) -> None:
    """Be a task that no ``tasks`` module holds."""
    record("task_in_views", value=value)


def home(request: HttpRequest) -> HttpResponse:
    """Show that the site is up."""
    return HttpResponse("A shop.")


def order(request: HttpRequest) -> HttpResponse:
    """Take an order; the invoice is written behind the visitor's back."""
    result = send_invoice.enqueue(request.POST["number"], note=request.POST["note"])
    return JsonResponse({"id": result.id, "pid": os.getpid()}, status=202)


def call(request: HttpRequest) -> JsonResponse:
    """Let a test call a function of the site."""
    return JsonResponse(answer(request.body))
