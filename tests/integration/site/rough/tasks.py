"""Tasks that do not do as they should; each records what a test asks about."""

import asyncio
import contextlib
import glob
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from mysite.events import record

from django_spooler import spooler_task
from django_spooler.exceptions import TaskTimeout

ENDINGS = {
    "ValueError": ValueError,
    "SystemExit": SystemExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "StopIteration": StopIteration,
    "CancelledError": asyncio.CancelledError,
}


@spooler_task(takes_context=True, max_attempts=2, backoff=0.05)
def ends_by(context, kind):
    record("ends_by", kind=kind, attempt=context.attempt, id=context.task_result.id)
    raise ENDINGS[kind](f"{kind} as told")


@spooler_task(takes_context=True, max_attempts=2, backoff=0.05)
async def ends_on_the_loop_by(context, kind):
    record("ends_by", kind=kind, attempt=context.attempt, id=context.task_result.id)
    await asyncio.sleep(0)
    if kind == "CancelledError":
        asyncio.current_task().cancel()
        await asyncio.sleep(1)
    raise ENDINGS[kind](f"{kind} as told")


@spooler_task(takes_context=True, retry_on=(OSError,), discard_on=(LookupError,), backoff=0.05)
def choosy(context, kind):
    record("choosy", kind=kind, attempt=context.attempt, id=context.task_result.id)
    raise {"retry": ConnectionError, "discard": KeyError, "other": ValueError}[kind]("as told")


@spooler_task(max_attempts=2, backoff=0.05)
def closes_its_output():
    sys.stdout.close()
    sys.stderr.close()
    raise ValueError("closed")


@spooler_task(takes_context=True)
def returns_a_set(context):
    record("returns_a_set", attempt=context.attempt, id=context.task_result.id)
    return {1}


@spooler_task(takes_context=True)
def remembers(context, times):
    """Tell at each attempt how the ones before ended."""
    errors = [error.exception_class_path for error in context.task_result.errors]
    record("remembers", attempt=context.attempt, id=context.task_result.id, errors=errors)
    if context.attempt < times:
        raise LookupError(f"attempt {context.attempt} fails as told")


# Time


@spooler_task(takes_context=True, timeout=0.5, max_attempts=2, backoff=0.05)
def overruns(context, how):
    facts = {"how": how, "id": context.task_result.id, "attempt": context.attempt}
    record("overruns", **facts)
    try:
        _OVERRUNS[how]()
    finally:
        record("overruns_finally", **facts)


@spooler_task(takes_context=True, timeout=0.5, max_attempts=2, backoff=0.05)
async def overruns_on_the_loop(context, how):
    facts = {"how": how, "id": context.task_result.id, "attempt": context.attempt}
    record("overruns", **facts)
    try:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if how != "deaf":
                    raise
    finally:
        record("overruns_finally", **facts)


def _sleep():
    time.sleep(60)


def _be_deaf():
    while True:
        with contextlib.suppress(TaskTimeout):
            time.sleep(60)


def _stay_in_c():
    sum(range(1 << 40))


def _wait_for_a_thread():
    thread = threading.Thread(target=time.sleep, args=(60,), daemon=True)
    thread.start()
    thread.join()


def _wait_for_a_process():
    subprocess.run(["sleep", "60"], check=True)


_OVERRUNS = {
    "sleep": _sleep,
    "deaf": _be_deaf,
    "c": _stay_in_c,
    "thread": _wait_for_a_thread,
    "process": _wait_for_a_process,
}


@spooler_task
def stays_in_c(gate):
    """Hear nothing, as a C library that keeps the GIL."""
    record("stays_in_c", gate=gate)
    _stay_in_c()


# What is left behind


@spooler_task
def meddles(how):
    record("meddles", how=how)
    _MEDDLINGS[how]()


@spooler_task
def surroundings(tag):
    record(
        "surroundings",
        tag=tag,
        directory=os.getcwd(),
        umask=os.umask(0o027),
        term=repr(signal.getsignal(signal.SIGTERM)),
        alarm=repr(signal.getsignal(signal.SIGALRM)),
        blocked=[int(signum) for signum in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        shell=subprocess.run(["true"], check=False).returncode,
        limits=[resource.getrlimit(limit) for limit in _LIMITS],
    )


_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU)


def _bound_itself():
    for limit in _LIMITS:
        resource.setrlimit(limit, (1 << 32, 1 << 32))


def _bound_itself_for_good():
    """Give up the right to undo it, as a process has that is not root's."""
    _bound_itself()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit = _refuse


def _refuse(*_):
    raise ValueError("not allowed to raise maximum limit")


def _go_away():
    os.mkdir("/tmp/rough") if not os.path.isdir("/tmp/rough") else None
    os.chdir("/tmp/rough")
    os.rmdir("/tmp/rough")


def _change_signals():
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGALRM})


def _leave_an_alarm():
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0.05)


def _fork():
    if os.fork() == 0:
        time.sleep(0.5)
        os._exit(0)


def _fork_and_return():
    """Forget the exit of a child: it goes on as a second runner would."""
    os.fork()


def _leave_a_thread():
    threading.Thread(target=time.sleep, args=(0.5,), daemon=True).start()


_MEDDLINGS = {
    "directory": _go_away,
    "umask": lambda: os.umask(0),
    "signals": _change_signals,
    "alarm": _leave_an_alarm,
    "fork": _fork,
    "fork and return": _fork_and_return,
    "thread": _leave_a_thread,
    "limits": _bound_itself,
    "limits for good": _bound_itself_for_good,
    "process": lambda: subprocess.Popen(["sleep", "0.5"]),
    "descriptors": lambda: os.closerange(3, 1024),
    "output": lambda: (os.close(1), os.close(2)),
}


@spooler_task
def reads_the_spool(directory):
    record("started_reading")
    for path in glob.glob(f"{directory}/django/processes/*"):
        with open(path, "rb") as file:
            file.read()
    time.sleep(8)  # longer than a dead runner is left to its own supervisor
    record("ended_reading")


@spooler_task(takes_context=True, max_attempts=2, backoff=0.1)
def hogs(context, place):
    """Take memory for ever, in the control group ``place`` or, without one, below a limit."""
    record("hogs", id=context.task_result.id, attempt=context.attempt)
    before = resource.getrlimit(resource.RLIMIT_AS)
    if place == "nowhere":  # no group can be made here: what the kernel would do at last
        os.kill(os.getpid(), signal.SIGKILL)
    elif place:
        Path(place, "cgroup.procs").write_text(str(os.getpid()))
    else:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, before[1]))
    try:
        _take_memory()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _take_memory():
    taken = []
    while True:
        taken.append(b"x" * (16 << 20))
