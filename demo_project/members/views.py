"""Joining, and reading one's mail."""

from datetime import timedelta

from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from .forms import JoinForm
from .models import Letter, Member
from .tasks import send_reminder, send_welcome

REMIND_AFTER = timedelta(minutes=1)


@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest) -> HttpResponse:
    """Take a new member, whose mail follows."""
    form = JoinForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            member = form.save()
            send_welcome.enqueue(member.pk)
            send_reminder.using(priority=-20, run_after=timezone.now() + REMIND_AFTER).enqueue(
                member.pk
            )
        request.session["member"] = member.pk
        messages.success(request, f"You are in, {member.name}! Mail is on its way.")
        return redirect("mailbox")
    return render(request, "members/join.html", {"form": form})


@require_GET
def mailbox(request: HttpRequest) -> HttpResponse:
    """Show the mail that the site sent to this visitor."""
    member = _member(request)
    if member is None:
        return redirect("join")
    return render(request, "members/mailbox.html", {"member": member, "letters": _letters(member)})


@require_GET
def mailbox_fragment(request: HttpRequest) -> HttpResponse:
    """Show the letters alone, for the page that is open already."""
    member = _member(request)
    letters = _letters(member) if member else Letter.objects.none()
    return render(request, "members/_letters.html", {"letters": letters})


def _member(request: HttpRequest) -> Member | None:
    return Member.objects.filter(pk=request.session.get("member")).first()


def _letters(member: Member) -> QuerySet[Letter]:
    return Letter.objects.filter(to=member.email)
