"""``manage.py spooler``, as a person calls it."""

import io
import json
import shlex
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_spooler import diagnosis
from django_spooler.management.commands import _terminal
from django_spooler.spool.directory import Spool
from django_spooler.spool.place import Place

from . import tasks_for_tests as tasks


@pytest.fixture(autouse=True)
def directory(settings, tmp_path):
    options = {"SPOOLERS": {"default": tmp_path}}
    backend = {"BACKEND": "django_spooler.backend.SpoolerBackend", "OPTIONS": options}
    settings.TASKS = {"default": backend}
    return tmp_path


def status(capsys):
    call_command("spooler", "status", "--json")
    return json.loads(capsys.readouterr().out)["spoolers"][0]


def listed(capsys, *arguments):
    call_command("spooler", "list", "--json", *arguments)
    return json.loads(capsys.readouterr().out)


def test_command_speaks_english_on_any_site(settings, capsys):
    """A terminal or pipe need not take the characters of another language."""
    settings.LANGUAGE_CODE = "zh-hans"
    call_command("spooler", "enqueue", f"{tasks.__name__}.add", "--args", "[1]")
    call_command("spooler", "status")
    said = capsys.readouterr().out
    assert "No process serves" in said and said.isascii()


@pytest.mark.parametrize("outside", ["inline", "error", "spool"])
def test_enqueue_leaves_the_task_to_the_spoolers_whatever_a_shell_would_do(
    settings, capsys, outside
):
    settings.TASKS["default"]["OPTIONS"]["OUTSIDE_UWSGI"] = outside
    tasks.calls.clear()
    name = f"{tasks.__name__}.add"
    call_command("spooler", "enqueue", name, "--args", "[1]", "--kwargs", '{"b": 2}')
    identifier = capsys.readouterr().out.strip()
    (entry,) = listed(capsys)
    assert (entry["id"], entry["state"], entry["task"]) == (identifier, "ready", name)
    assert (entry["args"], entry["kwargs"]) == ([1], {"b": 2})
    assert tasks.calls == []


def test_what_runs_after_the_command_is_enqueued_as_before():
    tasks.calls.clear()
    call_command("spooler", "enqueue", f"{tasks.__name__}.add", "--args", "[1]")
    tasks.add.enqueue(3)
    assert len(tasks.calls) == 1


def test_enqueue_with_a_delay_waits_in_the_directory_of_its_queue(settings, capsys, tmp_path):
    mail = tmp_path / "mail"
    settings.TASKS["default"]["QUEUES"] = ["default", "mail"]
    settings.TASKS["default"]["OPTIONS"]["SPOOLERS"]["mail"] = mail
    name = f"{tasks.__name__}.add"
    call_command("spooler", "enqueue", name, "--args", "[1]", "--queue", "mail", "--delay", "3600")
    capsys.readouterr()
    (entry,) = listed(capsys)
    assert (entry["state"], entry["queue"]) == ("scheduled", "mail")
    assert Path(entry["file"]).is_relative_to(mail)


@pytest.mark.parametrize("delay", ["nan", "inf", "1e300", "1e12"])
def test_enqueue_refuses_a_delay_that_leads_to_no_time(delay):
    with pytest.raises(CommandError, match=r"--delay .* number of seconds"):
        call_command("spooler", "enqueue", f"{tasks.__name__}.add", "--delay", delay)


@pytest.mark.parametrize("arguments", ["{}", "[1", "1"])
def test_enqueue_refuses_what_is_no_json_list(arguments):
    with pytest.raises(CommandError, match="--args"):
        call_command("spooler", "enqueue", f"{tasks.__name__}.add", "--args", arguments)


def test_pause_names_the_queues_it_stops(capsys):
    call_command("spooler", "pause")
    assert status(capsys)["paused"] == ["default"]
    call_command("spooler", "resume")
    assert status(capsys)["paused"] == []


def test_one_queue_is_resumed_where_all_are_paused_and_the_others_stay(settings, capsys):
    settings.TASKS["default"]["QUEUES"] = ["default", "mail"]
    settings.TASKS["default"]["OPTIONS"]["SPOOLERS"]["mail"] = settings.TASKS["default"]["OPTIONS"][
        "SPOOLERS"
    ]["default"]
    call_command("spooler", "pause")
    call_command("spooler", "resume", "--queue", "default")
    assert status(capsys)["paused"] == ["mail"]
    call_command("spooler", "resume")
    assert status(capsys)["paused"] == []


def test_reload_without_a_spooler_is_an_error():
    with pytest.raises(CommandError, match="No spooler of a uWSGI on this host"):
        call_command("spooler", "reload")


def test_unknown_id_is_an_error():
    with pytest.raises(CommandError, match="No task for this has the id nowhere"):
        call_command("spooler", "retry", "nowhere")


@pytest.mark.parametrize("verb", ["show", "retry", "discard"])
def test_id_that_no_file_can_have_is_an_unknown_one(verb):
    with pytest.raises(CommandError, match="has the id xxx"):
        call_command("spooler", verb, "x" * 300)


def test_options_of_every_command_may_stand_behind_the_sub_command(capsys):
    call_command("spooler", "status", "--json", "--settings", "tests.settings", "-v", "2")
    assert json.loads(capsys.readouterr().out)


def test_status_of_an_unserved_directory_says_how_to_name_another(capsys):
    call_command("spooler", "status")
    assert "OPTIONS['SPOOLERS']" in capsys.readouterr().out


class Terminal(io.StringIO):
    """What a person looks at."""

    def isatty(self):
        return True


def seen(*arguments):
    """Return what a person at a terminal sees of the command."""
    terminal = Terminal()
    call_command("spooler", *arguments, stdout=terminal, no_color=True)
    return terminal.getvalue()


@pytest.fixture
def tables(settings, directory, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    settings.TASKS["default"]["OPTIONS"]["OUTSIDE_UWSGI"] = "spool"
    settings.TASKS = dict(settings.TASKS)
    return Spool(directory)


def test_terminal_gets_tables_and_a_pipe_plain_lines(tables, capsys):
    result = tasks.add.enqueue(1)
    for command in ("status", "list"):
        assert "┃" in seen(command)
        call_command("spooler", command)
        assert "┃" not in capsys.readouterr().out
    assert f"│ {result.id} │ ready │ default │ {tasks.__name__}.add " in seen("list")


def test_terminal_without_rich_gets_plain_lines(tables, monkeypatch):
    monkeypatch.setattr(_terminal, "Console", None)
    assert "┃" not in seen("status")


def test_markup_and_control_characters_of_a_file_are_text(tables):
    tasks.add.enqueue(1)
    (file,) = Path(tables.path("ready")).rglob("uwsgi_*")
    tables.set_aside(str(file), "[red]evil[/red] \x1b[31m")
    assert "[red]evil[/red] \\x1b[31m" in seen("list")


def test_long_work_shows_how_far_it_got_on_a_terminal_only(tables, monkeypatch, capsys):
    monkeypatch.setattr(_terminal, "_PAUSE", 0.0)
    for number in range(30):
        tasks.add.enqueue(number)
    for file in Path(tables.path("ready")).rglob("uwsgi_*"):
        tables.set_aside(str(file), "as told", place=Place.of("default", 0))
    shown = seen("retry", "--all")
    assert "\r29 of 30" in shown
    assert shown.endswith("30 tasks put back\n")
    for file in Path(tables.path("ready")).rglob("uwsgi_*"):
        tables.set_aside(str(file), "as told", place=Place.of("default", 0))
    call_command("spooler", "discard", "--all")
    assert capsys.readouterr().out == "30 tasks discarded\n"


def test_discard_of_all_takes_those_that_wait_only_where_it_is_told_to(tables, capsys):
    tasks.add.enqueue(1)
    tasks.add.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(2)
    for state, taken in (
        ((), "0 tasks"),
        (("--state", "ready"), "1 task"),
        (("--state", "scheduled"), "1 task"),
    ):
        call_command("spooler", "discard", "--all", "--task", f"{tasks.__name__}.add", *state)
        assert capsys.readouterr().out == f"{taken} discarded\n"
    assert listed(capsys) == []


def test_remedy_for_an_unknown_name_deletes_what_waits_and_what_failed_of_it(tables, capsys):
    tasks.add.enqueue(1)
    (failed,) = Path(tables.path("ready")).rglob("uwsgi_*")
    tables.set_aside(str(failed), "UnknownTask: gone", task=f"{tasks.__name__}.old")
    tasks.add.enqueue(2)
    tasks.add.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(3)
    for file in Path(tables.directory).rglob("uwsgi_*"):  # their function is renamed meanwhile
        file.write_bytes(file.read_bytes().replace(b"_tests.add", b"_tests.old"))
    tasks.echo.enqueue()
    (unknown,) = (told for told in diagnosis.problems() if told.id == "unknown-task")
    (line,) = (line for line in unknown.hint.splitlines() if " discard " in line)
    _, _, *arguments = shlex.split(line)
    call_command(*arguments)
    assert capsys.readouterr().out == "3 tasks discarded\n"
    assert [entry["task"] for entry in listed(capsys)] == [f"{tasks.__name__}.echo"]
    assert "unknown-task" not in {told.id for told in diagnosis.problems()}
