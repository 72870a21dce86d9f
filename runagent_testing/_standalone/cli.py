"""``runagent-fake``: the fake agent as a program."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent_testing._recording.format import SUFFIX
from runagent_testing._standalone.command import (
    FAILED,
    GOOD,
    INTERRUPTED,
    INVALID,
    PROGRAM,
    CommandError,
    Parser,
    load,
    note,
    print_lines,
    report,
)
from runagent_testing._standalone.health import health
from runagent_testing._standalone.options import add_options, add_place_options, add_recording_options
from runagent_testing._standalone.recordings import load_recording
from runagent_testing._standalone.serve import TerminatedError, record, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["FAILED", "GOOD", "INTERRUPTED", "INVALID", "main"]

_NEEDS = "{} is not installed; run: {}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    It is 0, 1 for a transport that does not pass or expectations that are unmet, 2 for wrong usage or an
    invalid script, or 130.
    """
    try:
        options, unknown = _parser().parse_known_args(arguments)
        if unknown:
            options.parser.reject(unknown)
        code: int = options.run(options)
    except CommandError as exc:
        return report(exc)
    except ImportError as exc:
        from runagent._version import install_command

        return report(CommandError(_NEEDS.format(exc.name, install_command("testing"))))
    except TerminatedError:  # before it served, or one more
        return GOOD
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=PROGRAM, description="A scriptable fake agent.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serving = commands.add_parser(
        "serve",
        help="serve scripts to anything that speaks HTTP or WebSocket",
        epilog="Each option can be set in the environment, too: --ready-file as RUNAGENT_FAKE_READY_FILE.",
    )
    serving.set_defaults(run=serve)
    add_options(serving)
    recording = commands.add_parser("record", help="pass everything on to a real service, and record it")
    recording.set_defaults(run=record)
    add_recording_options(recording)
    healthy = commands.add_parser("health", help="ask a server that runs here whether it answers")
    healthy.set_defaults(run=health)
    add_place_options(healthy)
    convert = commands.add_parser("from-recording", help="write a script file of recordings")
    convert.set_defaults(run=_from_recording)
    convert.add_argument("recordings", metavar="FILE", nargs="+", help=f"recordings (*{SUFFIX})")
    check = commands.add_parser("check", help="check scripts and recordings, or show what is in them")
    check.set_defaults(run=_check)
    check.add_argument(
        "scripts", metavar="FILE", nargs="+", help="script files, YAML or JSON, and recordings"
    )
    new = commands.add_parser("new-transport", help="write a starter package for a transport")
    new.set_defaults(run=_new_transport)
    new.add_argument("name", metavar="NAME", help="the name that chooses the transport")
    new.add_argument(
        "--directory", metavar="DIR", default=".", help="the folder for runagent-NAME (the current folder)"
    )
    explain = commands.add_parser("explain", help="explain a requirement of the conformance kit")
    explain.set_defaults(run=_explain)
    explain.add_argument(
        "requirement", metavar="ID", nargs="?", help="such as session.any-split; without it, all are listed"
    )
    prove = commands.add_parser("check-transport", help="run the conformance kit on a transport")
    prove.set_defaults(run=_check_transport)
    prove.add_argument("name", metavar="NAME", help="the name that chooses the transport")
    prove.add_argument("--requirements", metavar="N", type=int, help="the number of the set (the newest)")
    prove.add_argument("--baseline", metavar="FILE", help="known failures")
    prove.add_argument(
        "--transport-options", metavar="JSON", type=json_object, help="as RUNAGENT_TRANSPORT_OPTIONS"
    )
    prove.add_argument(
        "--skip-capabilities",
        metavar="CAPABILITY",
        action="append",
        default=[],
        help="a declared capability that the peer cannot show",
    )
    for command in commands.choices.values():
        command.set_defaults(parser=command)
    return parser


def json_object(text: str) -> dict[str, Any]:
    # The text is not repeated, as argparse would: it may hold a key.
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("this is not a JSON object")
    return value


def _check(options: argparse.Namespace) -> int:
    code = GOOD
    for path in options.scripts:
        try:
            lines = _summary(path)
        except CommandError as exc:
            code = report(exc)
            continue
        names = [] if len(options.scripts) == 1 else [f"# {path}"]
        print_lines([*names, *lines])
    return code


def _summary(path: str) -> Iterator[str]:
    from runagent_testing._standalone.summary import summarize, summarize_recording

    return summarize_recording(load_recording(path)) if path.endswith(SUFFIX) else summarize(load(path))


def _from_recording(options: argparse.Namespace) -> int:
    from runagent_testing._standalone.conversion import script_text

    recordings = [load_recording(path) for path in options.recordings]
    print_lines(script_text(recordings).rstrip("\n").split("\n"))
    return GOOD


def _new_transport(options: argparse.Namespace) -> int:
    from runagent_testing._starter import StarterError, write_starter

    try:
        folder = write_starter(options.name, Path(options.directory))
    except StarterError as exc:
        raise CommandError(str(exc)) from exc
    except OSError as exc:
        raise CommandError(f"cannot write into {options.directory}: {exc.strerror or exc}") from exc
    print_lines(str(path) for path in sorted(folder.rglob("*")) if path.is_file())
    note([f"next: python -m pip install -e '{folder}[dev]' && python -m pytest {folder}"])
    return GOOD


def _check_transport(options: argparse.Namespace) -> int:
    from runagent import RunAgentError
    from runagent_testing.conformance import LATEST, check_transport

    given = options.transport_options
    try:
        result = check_transport(
            options.name,
            options={} if given is None else {"transport_options": given},
            skip_capabilities=options.skip_capabilities,
            requirements=LATEST if options.requirements is None else options.requirements,
            baseline=options.baseline,
        )
    except (RunAgentError, ValueError, OSError) as exc:
        raise CommandError(" ".join(str(exc).splitlines())) from exc
    print_lines(str(result).split("\n"))
    return GOOD if result.ok else FAILED


def _explain(options: argparse.Namespace) -> int:
    from runagent_testing.conformance._explain import explanation, overview

    try:
        print_lines(overview() if options.requirement is None else explanation(options.requirement))
    except ValueError as exc:
        raise CommandError(str(exc)) from exc
    return GOOD
