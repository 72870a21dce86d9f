"""``runagent completion``: scripts that complete commands and options in bash, zsh and fish.

The scripts are made of the parser of the command line, so they cannot lack an option. They are complete in
themselves: no TAB starts Python.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from runagent._cli.arguments import PROGRAM, build_parser
from runagent._cli.explain import names
from runagent._config.parsers import TRANSPORT_GROUPS
from runagent._plugins.installed import Installed
from runagent._plugins.registry import TransportRegistry

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from runagent._cli.arguments import Parser
    from runagent._cli.console import Console

__all__ = ["completion"]

_BASH = """\
_{program}() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} command= word words=
    COMPREPLY=()
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD - 1}}"; do
        case $word in
            {commands}) command=$word; break ;;
        esac
    done
    case $command,$previous in
{values}
    esac
    case $command in
{words}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -F _{program} {program}
"""
_ZSH = """\
#compdef {program}
_{program}() {{
    local state line curcontext=$curcontext
    local -a commands=(
{commands}
    )
    _arguments -C {options} '1:command:->command' '*::argument:->argument'
    case $state in
        command) _describe command commands ;;
        argument)
            case $words[1] in
{cases}
            esac ;;
    esac
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _{program} "$@"; else compdef _{program} {program}; fi
"""


class _Option(NamedTuple):
    """An option with its names; the values to offer, or None if it takes no value."""

    names: tuple[str, ...]
    help: str
    metavar: str
    values: tuple[str, ...] | None
    repeatable: bool = False


class _Command(NamedTuple):
    """A subcommand, "" for the program itself, and the values to offer for its first argument."""

    name: str
    help: str
    options: tuple[_Option, ...]
    values: tuple[str, ...] = ()


def completion(arguments: argparse.Namespace, console: Console) -> None:
    """Print the script of a shell."""
    writers = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    console.write(writers[arguments.shell](_commands()))


def _commands() -> list[_Command]:
    """Describe the command line: the program itself, then its subcommands."""
    parser, transports = build_parser(), _transports()
    found = [_Command("", "", _options(parser, transports))]
    for name, subparser in parser.commands.items():
        purpose = (subparser.description or "").rstrip(".")
        first = names() if name == "explain" else subparser.first_choices
        found.append(_Command(name, purpose, _options(subparser, transports), first))
    return found


def _options(parser: Parser, transports: tuple[str, ...]) -> tuple[_Option, ...]:
    return tuple(
        _Option(
            tuple(action.option_strings),
            action.help or "",
            str(action.metavar or action.dest),
            None if action.nargs == 0 else transports if action.dest == "transport" else (),
            action.dest in ("header", "verbose"),
        )
        for action in parser.visible_options
    )


def _transports() -> tuple[str, ...]:
    """Return the names for ``--transport`` that need no quoting in any shell; no plugin is imported."""
    installed = {plugin.name for plugin in TransportRegistry(Installed()).installed()}
    names = installed | TRANSPORT_GROUPS.keys()
    return tuple(sorted(name for name in names if re.fullmatch(r"[A-Za-z0-9._-]+", name)))


def _bash(commands: Sequence[_Command]) -> str:
    lists, silent, words = [], [], []
    for command in commands:
        for option in command.options:
            patterns = [f"{command.name},{name}" for name in option.names]
            if option.values:
                offer = f'COMPREPLY=($(compgen -W {_quoted(option.values)} -- "$current"))'
                lists.append(f"        {'|'.join(patterns)}) {offer}; return ;;")
            elif option.values is not None:
                silent += patterns
        first = command.values if command.name else [each.name for each in commands[1:]]
        names = [name for option in command.options for name in option.names]
        words.append(f"        {shlex.quote(command.name)}) words={_quoted([*first, *names])} ;;")
    return _BASH.format(
        program=PROGRAM,
        commands="|".join(command.name for command in commands[1:]),
        values="\n".join([*lists, f"        {'|'.join(silent)}) return ;;"]),
        words="\n".join(words),
    )


def _zsh(commands: Sequence[_Command]) -> str:
    program, *others = commands
    listed = [shlex.quote(f"{command.name}:{command.help}") for command in others]
    cases = []
    for command in others:
        argument = f"1:argument:({' '.join(command.values)})" if command.values else "*:argument:()"
        specs = [*map(_zsh_option, command.options), shlex.quote(argument)]
        cases.append(f"{command.name}) _arguments {' '.join(specs)} ;;")
    return _ZSH.format(
        program=PROGRAM,
        commands="\n".join(f"        {each}" for each in listed),
        options=" ".join(map(_zsh_option, program.options)),
        cases="\n".join(f"                {case}" for case in cases),
    )


def _zsh_option(option: _Option) -> str:
    """Write an option as ``_arguments`` takes it, with a list of the names that exclude each other."""
    text = option.help.translate({ord(each): f"\\{each}" for each in "\\[]:"})
    value = "" if option.values is None else f":{option.metavar.replace(':', chr(92) + ':')}:"
    if option.values:
        value += f"({' '.join(option.values)})"
    excluded = "*" if option.repeatable else f"({' '.join(option.names)})"
    return " ".join(shlex.quote(f"{excluded}{name}[{text}]{value}") for name in option.names)


def _fish(commands: Sequence[_Command]) -> str:
    lines = [f"complete -c {PROGRAM} -f"]
    for command in commands:
        condition = (
            f"'__fish_seen_subcommand_from {command.name}'" if command.name else "__fish_use_subcommand"
        )
        begin = f"complete -c {PROGRAM} -n {condition}"
        if command.name:
            offer = f"-a {command.name} -d {_fish_quoted(command.help)}"
            lines.append(f"complete -c {PROGRAM} -n __fish_use_subcommand {offer}")
        if command.values:
            lines.append(f"{begin} -a {_quoted(command.values)}")
        lines += [f"{begin} {_fish_option(option)}" for option in command.options]
    return "\n".join([*lines, ""])


def _fish_option(option: _Option) -> str:
    parts = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
    if option.values is not None:
        parts.append("-x")
    if option.values:
        parts.append(f"-a {_quoted(option.values)}")
    return " ".join([*parts, f"-d {_fish_quoted(option.help)}"])


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quoted(words: Iterable[str]) -> str:
    return shlex.quote(" ".join(words))
