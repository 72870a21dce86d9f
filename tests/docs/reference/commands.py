"""The commands with their options, read from the parsers."""

from __future__ import annotations

import argparse
import re

from runagent._cli.arguments import build_parser
from runagent_testing._standalone.cli import _parser as build_fake_parser
from tests.docs.reference.docstrings import table

__all__ = ["commands", "page"]


_INTRODUCTION = """\
`runagent` is described in [the command line](../command-line.md), `runagent-fake` in
[the fake agent as a program](../fake.md). Every command has `--help`, those of `runagent` have `--version`,
too. Options of `runagent-fake serve` can be set in the [environment](environment.md)."""


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command by its name, such as `runagent stream`."""
    found: dict[str, argparse.ArgumentParser] = {}
    for parser in (build_parser(), build_fake_parser()):
        (subparsers,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
        found |= {f"{parser.prog} {name}": command for name, command in subparsers.choices.items()}
    return found


def page() -> str:
    """Return the page of commands."""
    parts = ["# Commands and options", _INTRODUCTION]
    for name, parser in commands().items():
        parts += [f"## `{name}`", _purpose(name, parser), f"```console\n{_usage(name, parser)}\n```"]
        rows = [(_names(action), _help(action)) for action in _shown(parser)]
        if rows:
            parts.append(table(("argument", "does"), rows))
    return "\n\n".join(parts)


def _purpose(name: str, parser: argparse.ArgumentParser) -> str:
    if parser.description:
        return parser.description
    (subparsers,) = (
        each for each in build_fake_parser()._actions if isinstance(each, argparse._SubParsersAction)
    )
    helps = {each.dest: each.help or "" for each in subparsers._choices_actions}
    text = helps[name.split()[1]]
    return f"{text[0].upper()}{text[1:]}."


def _usage(name: str, parser: argparse.ArgumentParser) -> str:
    positional = [each for each in parser._actions if not each.option_strings]
    return " ".join([name, "[OPTIONS]", *map(_positional, positional)])


def _positional(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    if action.nargs in ("*", "?"):
        return f"[{name}]" + ("..." if action.nargs == "*" else "")
    return f"{name}..." if action.nargs == "+" else name


def _shown(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    hidden = ("help", "version")
    return [each for each in parser._actions if each.help != argparse.SUPPRESS and each.dest not in hidden]


def _names(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`"
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return ", ".join(f"`{name}{value}`" for name in action.option_strings)


def _help(action: argparse.Action) -> str:
    text = (action.help or "").replace("%(default)s", str(action.default))
    return re.sub(r"(?<![\w`])(--[a-z][\w-]*)", r"`\1`", text)
