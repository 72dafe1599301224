"""``manage.py spooler``, as a person calls it."""

import json

import pytest
from django.core.management import CommandError, call_command

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


def test_enqueue_takes_json_arguments():
    tasks.calls.clear()
    name = f"{tasks.__name__}.add"
    call_command("spooler", "enqueue", name, "--args", "[1]", "--kwargs", '{"b": 2}')
    assert tasks.calls == [(1, 2)]


@pytest.mark.parametrize("arguments", ["{}", "[1", "1"])
def test_enqueue_refuses_what_is_no_json_list(arguments):
    with pytest.raises(CommandError, match="--args"):
        call_command("spooler", "enqueue", f"{tasks.__name__}.add", "--args", arguments)


def test_pause_names_the_queues_it_stops(capsys):
    call_command("spooler", "pause")
    assert status(capsys)["paused"] == ["default"]
    call_command("spooler", "resume")
    assert status(capsys)["paused"] == []


def test_unknown_id_is_an_error():
    with pytest.raises(CommandError, match="No task for this has the id nowhere"):
        call_command("spooler", "retry", "nowhere")


def test_options_of_every_command_may_stand_behind_the_sub_command(capsys):
    call_command("spooler", "status", "--json", "--settings", "tests.settings", "-v", "2")
    assert json.loads(capsys.readouterr().out)


def test_status_of_an_unserved_directory_says_how_to_name_another(capsys):
    call_command("spooler", "status")
    assert "OPTIONS['SPOOLERS']" in capsys.readouterr().out
