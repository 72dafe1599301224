"""Every file call fails once: what was accepted is there whole, what was refused is not there.

The 1st, 2nd, 3rd... call of a verb below the spool directory fails, until a run meets no fault: once,
or for good until its cause is gone, with the errors of a full, broken, closed or exhausted system;
or the process dies at it, as by SIGKILL. After each, every task that was accepted stands in the
directory exactly once and whole (or is done, if that is what was asked for), nothing that was refused
is left, and the verb succeeds once the cause is gone. A disk that is full takes half of what is
written to it.
"""

import pytest

from .preload import build


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return build("faults", tmp_path_factory.mktemp("preload"))


@pytest.fixture(scope="module")
def faulty(launch_for_module, shim):
    """Return a process of the site in which calls can fail."""
    site = launch_for_module.site()
    site.environment["LD_PRELOAD"] = str(shim)
    return launch_for_module.producer(site)


VERBS = [
    "enqueue",
    "enqueue_into_nothing",
    "enqueue_for_later",
    "enqueue_with_fsync",
    "claim",
    "settle_done",
    "settle_again",
    "settle_repeat",
    "settle_failed",
    "become_due",
    "set_aside",
    "retry",
    "discard",
    "clean_scanned_directory",
    "begin_and_leave",
    "put_back_what_a_deploy_cut",
    "put_back_what_killed_its_process",
    "give_up_what_kills_its_process",
]


ERRORS = ["ENOSPC", "EIO", "EACCES", "EMFILE"]


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_lost_or_doubled_by_one_error(faulty, verb):
    for error in ERRORS:
        assert faulty.call("mysite.faulty.sweep", verb, error) >= 1


# What is refused because of its fsync is taken back, which "for good" forbids too.
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "enqueue_with_fsync"])
def test_nothing_is_lost_or_doubled_by_an_error_that_stays(faulty, verb):
    for error in ERRORS:
        assert faulty.call("mysite.faulty.sweep", verb, error, True) >= 1


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_lost_or_doubled_by_a_death(faulty, verb):
    assert faulty.call("mysite.faulty.sweep", verb, "death") >= 1
