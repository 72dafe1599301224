"""A documentation page, done from top to bottom as its reader would do it.

What a fenced block is for is told by the first word behind its fence and by its first line::

    console     each line is a command for the shell, and has to succeed
    output      what the command before prints; "..." stands for anything
    python      (ini, html, ...) that begins with "# shop/tasks.py" is added to that file

A block that cannot be run says why, behind the fence: ```yaml not-run="needs a cluster". Any other
block is an error, so nothing stands in the documentation that nobody tried.

markdown-it-py reads the pages: it is the parser that MyST builds the documentation with.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

from .server import ROOT, free_ports, wait_until

DEADLINE = 30.0
"""Seconds for one command, or until a command prints what the page says."""

_BIN = Path(sys.executable).parent
_PAUSE = 0.2
_ADDRESS = re.compile(r"127\.0\.0\.1:(\d+)")
_FILE = re.compile(r"(?:#|<!--) ([\w./-]+\.\w+)(?: -->)?\n")
_REASON = re.compile(r'\bnot-run="[^"]+"')
_DIRECTIVES = ("{command-line}", "{eval-rst}", "{literalinclude}", "{raw}", "{toctree}")
"""What only Sphinx reads; a code block of ours has no directive, so that GitHub shows it too."""

_SERVERS = ("uwsgi --ini", "uwsgi --http-socket", "python manage.py spooler work")
"""Commands that serve until they are told to end."""


class PageError(AssertionError):
    """A page does not hold what it says; the text tells where."""


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    where: str
    language: str
    info: str
    text: str

    @property
    def is_passed_over(self) -> bool:
        """Whether it is Sphinx's, or says why it is not run."""
        return self.language in _DIRECTIVES or bool(_REASON.search(self.info))

    @property
    def file(self) -> str | None:
        """The file it belongs to."""
        match = _FILE.match(self.text)
        return match[1] if match else None


def blocks(page: Path) -> Iterator[Block]:
    """Yield the page's blocks. Raise PageError for one that is not fenced."""
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        if token.type in ("fence", "code_block"):
            assert token.map
            where = f"{page}:{token.map[0] + 1}"
            if token.type == "code_block":
                raise PageError(f"{where}: indented code is run by nobody; fence it")
            yield Block(where, token.info.partition(" ")[0], token.info, token.content)


def _steps(page: Path) -> list[tuple[Block, str | None]]:
    """Return what there is to do, each with the output that is expected of it."""
    steps: list[tuple[Block, str | None]] = []
    for block in blocks(page):
        if block.is_passed_over:
            continue
        if block.language != "output":
            steps.append((block, None))
        elif steps and steps[-1][0].language == "console" and steps[-1][1] is None:
            steps[-1] = steps[-1][0], block.text
        else:
            raise PageError(f"{block.where}: there is no command that could print this")
    return steps


class Reader:
    """Somebody with a shell in a folder, who does what a page says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {
            **os.environ,
            "PATH": f"{_BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "80",
        }
        self._environment.pop("DJANGO_SETTINGS_MODULE", None)
        self._servers: dict[str, subprocess.Popen[bytes]] = {}

    def read(self, page: Path) -> None:
        """Do what the page says. Raise PageError where it does not work."""
        for block, output in _steps(page):
            try:
                self._do(block, output)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                raise PageError(f"{block.where}: {error}\n{self.logs}") from None

    def _do(self, block: Block, output: str | None) -> None:
        text = _with_free_ports(block.text)
        if block.language == "console":
            *first, last = text.replace("\\\n", "").strip().split("\n")
            for command in first:
                self._run(command)
            self._run(last) if output is None else self._expect(last, _with_free_ports(output))
        elif block.file is None:
            raise PageError("the block names no file and gives no reason for not being run")
        else:
            self._add(block.file, text)

    def _add(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(text if not file.tell() else f"\n\n{text}")

    # Commands

    def _run(self, command: str) -> None:
        if command.startswith("cd "):
            self.folder /= command.removeprefix("cd ")
        elif command.startswith(_SERVERS):
            self._serve(command)
        else:
            done = self._shell(command)
            if done.returncode:
                raise PageError(f"{command!r} ended with {done.returncode}:\n{done.stdout}")

    def _expect(self, command: str, output: str) -> None:
        """Run the command until it prints the output: what it shows may take its time."""
        pattern = re.compile(re.escape(output.strip()).replace(r"\.\.\.", ".*"), re.DOTALL)
        until = time.monotonic() + DEADLINE
        while not pattern.fullmatch((printed := self._shell(command).stdout).strip()):
            if time.monotonic() > until:
                raise PageError(f"{command!r} printed something else:\n{printed}")
            time.sleep(_PAUSE)

    def _shell(self, command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
        )

    # Servers

    def _serve(self, command: str) -> None:
        """Start a server, in place of one that was started by the same command."""
        if command in self._servers:
            self._end(self._servers[command])
        log = self._log(command)
        with log.open("wb") as output:
            self._servers[command] = server = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        if command.startswith("uwsgi "):
            wait_until(
                lambda: server.poll() is not None or b"spawned uWSGI worker" in log.read_bytes(),
                f"{command} is up",
            )

    def _log(self, command: str) -> Path:
        return self.folder / f"{re.sub(r'[^a-z]+', '-', command.lower())}.log"

    @property
    def logs(self) -> str:
        """The end of what each server has said."""
        return "\n".join(self._log(command).read_text()[-5000:] for command in self._servers)

    def end(self) -> None:
        """End the servers, as Ctrl-C does."""
        for server in self._servers.values():
            self._end(server)

    def _end(self, server: "subprocess.Popen[bytes]") -> None:
        server.send_signal(signal.SIGINT)
        server.wait(DEADLINE)


def _with_free_ports(text: str) -> str:
    """Return the text with free ports for those it names; a file may be met again in a copy."""
    return _ADDRESS.sub(lambda match: f"127.0.0.1:{_free_port_for(match[1])}", text)


@cache
def _free_port_for(named: str) -> int:
    return free_ports(1)[0]
