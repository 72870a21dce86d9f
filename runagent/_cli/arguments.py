"""What the command line takes."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

from runagent._internal.suggestions import nearest
from runagent._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runagent._cli.console import Console

__all__ = ["PHASES", "PROGRAM", "Parser", "UsageError", "build_parser", "parse_arguments"]

PROGRAM = "runagent"
# Each phase of `Timeouts` with what its option limits.
PHASES = {
    "connect": "until the connection is established",
    "first_event": "from then until the agent's first event",
    "idle": "between two reads of any bytes, heartbeats included",
    "progress": "between two events",
    "total": "for the whole run",
}

_EPILOG = """\
exit codes: 0 success, 1 the agent failed, 2 wrong usage or configuration,
3 network, protocol or timeout, 130 Ctrl-C, 141 nobody reads the output
"""
_KEY_EPILOG = f"""\
The API key comes from RUNAGENT_API_KEY or from "api_key" in ~/.runagent/config.json
(RUNAGENT_CONFIG names another file). There is no option for it: other users of a machine
can read the command lines of its processes.

A query that begins with - goes behind --, for example: AGENT_ID -- "-1 degrees, is it cold?"

{_EPILOG}"""
_DOCTOR_EPILOG = """\
It shows Python, libraries, settings with their sources (secrets hidden), TLS, proxy, and every
plugin, which it imports. It sends nothing.

exit codes: 0 nothing is wrong, 1 something is, 2 wrong usage
"""
_EXPLAIN_EPILOG = f"""\
It prints the cause, whether the client retries, and what to do. The code of an error is error.code;
with -v, a command shows after an error what to ask for.

{_EPILOG}"""
_COMPLETION_EPILOG = f"""\
bash: source <(runagent completion bash)                             in ~/.bashrc
zsh:  source <(runagent completion zsh)                              in ~/.zshrc, after compinit
fish: runagent completion fish > ~/.config/fish/completions/runagent.fish

It also completes the transports that are installed when the script is made.

{_EPILOG}"""
_NO_KEY = (
    "there is no --api-key, because other users of a machine can read the command lines of its processes; "
    "set RUNAGENT_API_KEY, or api_key in ~/.runagent/config.json"
)


_N = TypeVar("_N", int, float)


class UsageError(Exception):
    """The arguments are invalid; the message names the place to read more."""


class Parser(argparse.ArgumentParser):
    """A parser with ``--version`` that raises if argparse would print two lines and exit."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        self.commands: dict[str, Parser] = {}
        self.add_argument("-V", "--version", action="version", version=f"{PROGRAM} {__version__}")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(
                action, f"invalid choice: {value!r}{_nearest(value, action.choices)}"
            )

    @property
    def visible_options(self) -> list[argparse.Action]:
        """The options that the help shows."""
        return [each for each in self._actions if each.option_strings and each.help != argparse.SUPPRESS]

    @property
    def first_choices(self) -> tuple[str, ...]:
        """The values that the first positional argument can have; empty if it can have any."""
        positional = next((each for each in self._actions if not each.option_strings), None)
        return tuple(positional.choices or ()) if positional is not None else ()


class _RefuseKey(argparse.Action):
    def __call__(self, *_: object) -> NoReturn:
        raise UsageError(_NO_KEY)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments; ``command`` in the result is the function to call with it and a console.

    Raises:
        UsageError: They are invalid.
        SystemExit: The help or the version was asked for, and has been printed.
    """
    parser = build_parser()
    arguments, rest = parser.parse_known_args(argv)
    _take_rest(arguments, rest)
    if "agent_id" in arguments:
        _check_run(arguments)
    return arguments


def _take_rest(arguments: argparse.Namespace, rest: list[str]) -> None:
    """Take what argparse leaves over: ``AGENT_ID --json QUERY`` has its optional positional at the end."""
    if not rest:
        return
    arguments_left = rest[1:] if rest[0] == "--" else rest
    options = [word for word in arguments_left if word.startswith("-")] if arguments_left is rest else []
    query_is_open = getattr(arguments, "query", "") is None
    if query_is_open and len(arguments_left) == 1 and not (options and arguments_left != ["-"]):
        arguments.query = arguments_left[0]
        return
    parser: Parser = arguments.parser
    if options:
        known = [name for action in parser.visible_options for name in action.option_strings]
        hint = _nearest(options[0], known, otherwise="")
    else:
        hint = "; put the query in quotes" if "query" in arguments else ""
    parser.error(f"unrecognized arguments: {' '.join(arguments_left)}{hint}")


def _nearest(name: str, known: Iterable[str], otherwise: str | None = None) -> str:
    return nearest(name, {each: each for each in known}, otherwise)


def _check_run(arguments: argparse.Namespace) -> None:
    problem = None
    if arguments.query is not None and arguments.input is not None:
        problem = "give either a query or --input, not both"
    elif arguments.query is None and arguments.input is None:
        problem = "give a query, - to read it from standard input, or --input"
    elif arguments.local and arguments.base_url is not None:
        problem = "--local has --host and --port; --base-url goes without it"
    elif not arguments.local and (arguments.host is not None or arguments.port is not None):
        problem = "--host and --port go with --local; otherwise use --base-url"
    if problem is not None:
        arguments.parser.error(problem)


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=PROGRAM,
        description="Run AI agents and see their answers as they come.",
        epilog=_EPILOG,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    parser.commands = commands.choices
    _add_stream(commands)
    _add_invoke(commands)
    transports = _add(commands, "transports", "list the installed transports", _EPILOG)
    transports.add_argument("--json", action="store_true", help="as one JSON array")
    transports.set_defaults(command=_later("listing", "list_transports"))
    doctor = _add(commands, "doctor", "diagnose this installation", _DOCTOR_EPILOG)
    doctor.add_argument("--json", action="store_true", help="as one JSON object")
    doctor.set_defaults(command=_later("doctor", "doctor"))
    explain = _add(
        commands, "explain", "explain a code, a class of errors or an HTTP status", _EXPLAIN_EPILOG
    )
    explain.add_argument(
        "code",
        metavar="CODE",
        nargs="?",
        help="such as REFUSED, RateLimitError or 429; without it, all codes and classes are listed",
    )
    explain.set_defaults(command=_later("explain", "explain"))
    demo = _add(commands, "demo", "stream a story from a built-in agent, in every way", _EPILOG)
    demo.add_argument("--fast", action="store_true", help="stream it quickly")
    demo.set_defaults(command=_later("demo", "demo"))
    _add_timeline(commands)
    completion = _add(
        commands, "completion", "print a script that completes commands and options", _COMPLETION_EPILOG
    )
    completion.add_argument(
        "shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish"
    )
    completion.set_defaults(command=_later("completion", "completion"))
    return parser


def _add_stream(commands: Any) -> None:
    parser = _add(commands, "stream", "run an agent and print its answer as it comes", _KEY_EPILOG)
    shapes = parser.add_mutually_exclusive_group()
    shapes.add_argument(
        "--json",
        action="store_const",
        dest="shape",
        const="json",
        help="print each chunk as one line of JSON",
    )
    shapes.add_argument(
        "--events",
        action="store_const",
        dest="shape",
        const="events",
        help='print each event as one line of JSON: "type" is started, chunk, reasoning, tool_call, custom'
        " or completed",
    )
    _add_run_options(parser, "seconds for each of: connection, first event, silence between reads")
    parser.set_defaults(shape="text", command=_later("commands", "stream"))


def _add_invoke(commands: Any) -> None:
    parser = _add(commands, "invoke", "run an agent and print its whole answer at the end", _KEY_EPILOG)
    parser.add_argument(
        "--json", action="store_true", help="print the result as one line of JSON, even if it is text"
    )
    parser.add_argument(
        "--metadata", action="store_true", help="print the result with its metadata, as one line of JSON"
    )
    _add_run_options(parser, "seconds for the whole run")
    parser.set_defaults(command=_later("commands", "invoke"))


def _add(commands: Any, name: str, purpose: str, epilog: str) -> Parser:
    parser: Parser = commands.add_parser(
        name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.", epilog=epilog
    )
    parser.set_defaults(parser=parser, verbose=0)
    return parser


def _add_run_options(parser: Parser, timeout_help: str) -> None:
    add = parser.add_argument
    add("agent_id", metavar="AGENT_ID")
    add("query", metavar="QUERY", nargs="?", help="the question; - reads it from standard input")
    add(
        "--input",
        metavar="JSON",
        help="the whole input object instead of a query; - reads it from standard input",
    )
    add(
        "--transport",
        metavar="NAME[,NAME]",
        help="sse, chunked, websocket, auto or a plugin's, in order of choice",
    )
    add("--session-id", metavar="ID", help="continue this conversation: the session_id of the input")
    add("--timeout", metavar="SECONDS", type=_seconds, help=timeout_help)
    _add_limits(parser)
    add("--max-retries", metavar="N", type=_count, help="how many failed attempts in a row are repeated")
    add("--max-resumes", metavar="N", type=_count, help="how often a broken stream is resumed")
    add("--no-resume", dest="resume", action="store_false", default=None, help="never resume a broken stream")
    add("--retry-unsafe", action="store_true", default=None, help="also repeat what the agent may have begun")
    add(
        "--base-url",
        metavar="URL",
        help="address of the service (default: RUNAGENT_API_URL or the configuration)",
    )
    add(
        "--header",
        metavar="NAME:VALUE",
        type=_header,
        action="append",
        default=[],
        help="send this header field too; may be repeated",
    )
    add("--entrypoint-tag", metavar="TAG", help="the agent's entry point (WebSocket only)")
    add("--local", action="store_true", help="talk to an agent on this machine, over a WebSocket")
    add("--host", help="where the local agent is (default: 127.0.0.1)")
    add("--port", type=int, help="where the local agent is (default: 8450)")
    add("--api-key", action=_RefuseKey, nargs="?", help=argparse.SUPPRESS)
    add("-v", "--verbose", action="count", default=0, help="verbose output; -vv shows everything")


def _add_limits(parser: Parser) -> None:
    for phase, limits in PHASES.items():
        option = f"--{phase.replace('_', '-')}-timeout"
        parser.add_argument(
            option, metavar="SECONDS", type=_limit, help=f"seconds {limits}; none for no limit"
        )


def _add_timeline(commands: Any) -> None:
    parser = _add(commands, "timeline", "draw a recording or a journal, with limits of time", _EPILOG)
    parser.add_argument(
        "files", metavar="FILE", nargs="+", help="a recording (*.agentstream.jsonl), or a journal's JSON"
    )
    parser.add_argument(
        "--format", choices=("text", "svg", "html"), help="by default as the output's name ends, or text"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write it to this file")
    parser.add_argument(
        "--request",
        metavar="N",
        type=_count,
        action="append",
        default=[],
        help="only this request of a journal; may be repeated",
    )
    _add_limits(parser)
    parser.set_defaults(command=_later("timeline", "timeline"))


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        # The text is not repeated: it may be a secret whose name was forgotten.
        raise argparse.ArgumentTypeError("expected NAME:VALUE")
    return name.strip(), value.strip()


def _seconds(text: str) -> float:
    seconds = _number(float, text)
    if seconds is None or not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, found {text!r}")
    return seconds


def _limit(text: str) -> float | Literal["none"]:
    return "none" if text == "none" else _seconds(text)


def _count(text: str) -> int:
    count = _number(int, text)
    if count is None or count < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more, found {text!r}")
    return count


def _number(kind: type[_N], text: str) -> _N | None:
    try:
        return kind(text)
    except ValueError:
        return None


def _later(module: str, name: str) -> Callable[[argparse.Namespace, Console], int | None]:
    """Give a command whose module is imported when it is called."""

    def call(arguments: argparse.Namespace, console: Console) -> int | None:
        code: int | None = getattr(import_module(f"runagent._cli.{module}"), name)(arguments, console)
        return code

    return call
