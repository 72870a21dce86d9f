"""The options of ``runagent-fake serve``; each can be set in the environment, too."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from runagent_testing._standalone.command import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "OPTIONS",
    "SCRIPTS",
    "Option",
    "add_options",
    "add_place_options",
    "add_recording_options",
    "with_environment",
]

T = TypeVar("T", int, float)

SCRIPTS = "RUNAGENT_FAKE_SCRIPTS"
_LAST_PORT = 65_535
_SERVED_ONLY = ("--watch", "--exit-code", "--api-key")
_ON, _OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        flag: As on the command line.
        help: For ``--help``, which adds the default value.
        metavar: Its argument; None for a switch.
        read: Makes the value of a text; raises ValueError for an invalid one, with what is allowed.
        default: If neither the command line nor the environment has it.
    """

    flag: str
    help: str
    metavar: str | None = None
    read: Callable[[str], Any] = str
    default: Any = None

    def parse(self, text: str) -> Any:
        """Make the value of a text on the command line."""
        try:
            return self.read(text)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from None

    @property
    def name(self) -> str:
        """The attribute of the parsed options."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"RUNAGENT_FAKE_{self.name.upper()}"


def _number(text: str, kind: type[T], allowed: str, low: float, high: float) -> T:
    with contextlib.suppress(ValueError):
        if low <= (number := kind(text)) <= high:
            return number
    raise ValueError(f"it is {allowed}, not {text!r}")


def port(text: str) -> int:
    """Read the number of a port."""
    return _number(text, int, f"a whole number from 0 to {_LAST_PORT}", 0, _LAST_PORT)


def seconds(text: str) -> float:
    """Read a number of seconds."""
    return _number(text, float, "a number of seconds, 0 or more", 0, sys.float_info.max)


def count(text: str) -> int:
    """Read a number of things, one or more."""
    return _number(text, int, "a whole number, 1 or more", 1, math.inf)


def seed(text: str) -> int:
    """Read a seed."""
    return _number(text, int, "a whole number", -math.inf, math.inf)


def rate(text: str) -> float:
    """Read a part of all runs."""
    return _number(text, float, "a number from 0 to 1", 0, 1)


def names(text: str) -> tuple[str, ...]:
    """Read names with commas between them."""
    return tuple(name for part in text.split(",") if (name := part.strip()))


def switch(text: str) -> bool:
    """Read a switch of the environment."""
    if text.lower() not in (*_ON, *_OFF):
        raise ValueError(f"it is one of {', '.join((*_ON, *_OFF))}, not {text!r}")
    return text.lower() in _ON


def log_format(text: str) -> str:
    """Read the format of the log."""
    if text not in ("text", "json"):
        raise ValueError(f"it is text or json, not {text!r}")
    return text


OPTIONS = (
    Option("--host", "the address to listen on", "HOST", default="127.0.0.1"),
    Option("--port", "0 for a free one", "PORT", port, 8450),
    Option("--unix-socket", "listen on a Unix socket of this name instead", "PATH"),
    Option("--upstream", "pass what no script answers on to this service", "URL"),
    Option("--api-key", "answer 401 to everyone who does not send it", "KEY"),
    Option("--tls-cert", "serve TLS with this certificate chain (PEM)", "FILE"),
    Option("--tls-key", "its key (PEM), if that is in a separate file", "FILE"),
    Option("--control-token", "let those who send it steer the server, from other machines too", "TOKEN"),
    Option("--control-hosts", "names under which they reach it, with commas", "NAMES", names),
    Option("--no-control", "let nobody steer the server over HTTP", None, switch, default=False),
    Option("--chaos", "the part of the runs that meet a fault, from 0 to 1", "RATE", rate, 0.0),
    Option("--seed", "another one chooses other runs and faults", "SEED", seed, 0),
    Option("--ready-file", "write the URL into this file once it can be used; removed at the end", "PATH"),
    Option("--watch", "read a script file again when it changes", None, switch, default=False),
    Option("--drain", "seconds that runs may take to end after SIGTERM", "SECONDS", seconds, 5.0),
    Option("--exit-code", "end with 1 and a list if expectations are unmet", None, switch, default=False),
    Option("--keep", "how many of the last exchanges the journal keeps", "N", count, 1000),
    Option("--log-format", "text, or json: one object a line", "FORMAT", log_format, "text"),
    Option("--no-color", "write the log without colors", None, switch, default=False),
)


_PLACE = ("--host", "--port", "--unix-socket", "--tls-cert")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the script files and all options to the parser of ``serve``."""
    parser.add_argument(
        "scripts", metavar="FILE", nargs="*", help="script files, YAML or JSON; without one, a demo is served"
    )
    _add(parser, OPTIONS)


def add_recording_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``record``."""
    parser.add_argument("--into", metavar="DIR", default="recordings", help="the folder (%(default)s)")
    parser.add_argument("--stable-ids", action="store_true", help="replace ids by placeholders")
    _add(parser, [option for option in OPTIONS if option.flag not in _SERVED_ONLY])


def add_place_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that show where a server listens."""
    _add(parser, [option for option in OPTIONS if option.flag in _PLACE])


def _add(parser: argparse.ArgumentParser, options: Iterable[Option]) -> None:
    for option in options:
        if option.metavar is None:
            parser.add_argument(option.flag, action="store_const", const=True, help=option.help)
            continue
        shown = "" if option.default is None else f" ({option.default})"
        parser.add_argument(
            option.flag, metavar=option.metavar, type=option.parse, help=f"{option.help}{shown}"
        )


def with_environment(given: argparse.Namespace, environment: Mapping[str, str]) -> argparse.Namespace:
    """Return all options: those of the command line, then those of the environment, then the defaults.

    Raises:
        CommandError: A variable's value is invalid.
    """
    values = {option.name: _value(option, given, environment) for option in OPTIONS}
    listed = [path for path in environment.get(SCRIPTS, "").split(os.pathsep) if path]
    scripts = [] if "into" in given else getattr(given, "scripts", None) or listed
    return argparse.Namespace(**{**vars(given), **values, "scripts": scripts})


def _value(option: Option, given: argparse.Namespace, environment: Mapping[str, str]) -> Any:
    if (value := getattr(given, option.name, None)) is not None:
        return value
    text = environment.get(option.variable, "")
    # Kubernetes sets this variable for a service named runagent-fake.
    if not text or (option.name == "port" and text.startswith("tcp://")):
        return option.default
    try:
        return option.read(text)
    except ValueError as exc:
        raise CommandError(f"{option.variable}: {exc}") from None
