"""The directive ``command-line``: a section for each sub-command of a command of ours, or its arguments.

Its argument is the command, by default ``spooler``. The text comes from the command's own parser, so it says what ``--help`` says.
"""

import argparse
from collections.abc import Iterable, Iterator

from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class CommandLine(SphinxDirective):
    """Lists the sub-commands with their arguments."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a section for each sub-command; of a command without, its arguments."""
        command = self.arguments[0] if self.arguments else "spooler"
        parser = _parser(command)
        sections = [self._section(command, *found) for found in _sub_commands(parser)]
        return sections or _arguments(action for action in parser._actions if _is_own(action))

    def _section(
        self, command: str, name: str, parser: argparse.ArgumentParser, text: str
    ) -> nodes.Node:
        section = nodes.section(ids=[f"{command}-{name}"])
        section += nodes.title("", "", nodes.literal("", f"{command} {name}"))
        section += nodes.paragraph("", f"{text[0].upper()}{text[1:]}.")
        section += _arguments(parser._actions)
        return section


def _parser(command: str) -> argparse.ArgumentParser:
    return load_command_class("django_spooler", command).create_parser("manage.py", command)


def _is_own(action: argparse.Action) -> bool:
    """Tell whether an argument is one that not every command of Django's has."""
    common = BaseCommand().create_parser("manage.py", "")._actions
    return action.dest not in {known.dest for known in common}


def _arguments(actions: Iterable[argparse.Action]) -> list[nodes.Node]:
    rows = [row for action in actions if (row := _row(action))]
    return [nodes.definition_list("", *rows)] if rows else []


def _sub_commands(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, sub_parser in action.choices.items():
                yield name, sub_parser, texts[name]


def _row(action: argparse.Action) -> nodes.Node | None:
    """Return one argument and what it means, None for those that every command has."""
    if isinstance(action, argparse._HelpAction) or action.help == argparse.SUPPRESS:
        return None
    name = " ".join(filter(None, [", ".join(action.option_strings), _value(action)]))
    meaning = action.help or ""
    if action.default not in (None, False, argparse.SUPPRESS):
        meaning = f"{meaning}; default: {action.default}".removeprefix("; ")
    return nodes.definition_list_item(
        "",
        nodes.term("", "", nodes.literal("", name)),
        nodes.definition("", nodes.paragraph("", meaning)),
    )


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices:
        return "|".join(map(str, action.choices))
    name = action.metavar or action.dest.upper()
    return f"{name} ..." if action.nargs in ("*", "+") else str(name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
