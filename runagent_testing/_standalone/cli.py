"""``runagent-fake``: the fake agent as a program."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import errno
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from runagent_testing._internal.redaction import Secrets, escaped

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Sequence
    from types import FrameType

    from runagent_testing._server.server import FakeAgentServer
    from runagent_testing._standalone.output import Output
    from runagent_testing._standalone.script_file import ScriptFile

__all__ = ["FAILED", "GOOD", "INTERRUPTED", "INVALID", "main"]

GOOD, FAILED, INVALID, INTERRUPTED = 0, 1, 2, 130
_LONGEST_LINE = 1000  # characters that are typed
_PROGRAM = "runagent-fake"
_NEEDS = "{} is not installed; run: {}"


_GRACE = 5.0  # seconds that runs may take to end once the command was asked to


class _TerminatedError(BaseException):
    """SIGTERM has come."""


class _StopError(Exception):
    """The command cannot continue; its text is the error, in one line.

    Attributes:
        problems: What is wrong with a file: lines to show before the error.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    It is 0, 1 for a transport that does not pass, 2 for wrong usage or an invalid script, or 130.
    """
    try:
        options = _parser().parse_args(arguments)
        code: int = options.run(options)
    except _StopError as exc:
        return _fail(exc)
    except ImportError as exc:
        from runagent._version import install_command

        return _fail(_StopError(_NEEDS.format(exc.name, install_command("testing"))))
    except _TerminatedError:  # before it served, or a second one
        return GOOD
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _fail(error: _StopError) -> int:
    """Report an error as ``runagent`` does, in one line, and return the exit code."""
    _note([*error.problems, f"{_PROGRAM}: error: {error}"])
    return INVALID


def _note(lines: Iterable[str]) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody can be informed
        _write(sys.stderr, lines)


def _print(lines: Iterable[str]) -> None:
    """Write the command's result; a reader that wants no more of it ends that quietly."""
    try:
        _write(sys.stdout, lines)
    except OSError as exc:
        with contextlib.suppress(OSError, ValueError):  # the interpreter flushes once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(exc, BrokenPipeError):
            raise _StopError(f"cannot write the result: {exc.strerror or exc}") from exc


def _write(stream: TextIO, lines: Iterable[str]) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = "".join(f"{escaped(line)}\n" for line in lines)
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


class _Parser(argparse.ArgumentParser):
    """A parser with ``--version`` that raises if argparse would print its usage and exit."""

    def __init__(self, **options: Any) -> None:
        from runagent._version import __version__

        super().__init__(allow_abbrev=False, **options)
        self.add_argument("-V", "--version", action="version", version=f"{_PROGRAM} {__version__}")

    def error(self, message: str) -> NoReturn:
        raise _StopError(f"{Secrets().line(message)} (see {self.prog} --help)")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            near = difflib.get_close_matches(value, action.choices, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(action.choices)}"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}; {hint}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=_PROGRAM, description="A scriptable fake agent.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve a script to anything that speaks HTTP or WebSocket")
    serve.set_defaults(run=_serve)
    check = commands.add_parser("check", help="check scripts, or show what their agents send")
    check.set_defaults(run=_check)
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
    check.add_argument("scripts", metavar="FILE", nargs="+", help="script files, YAML or JSON")
    serve.add_argument("script", metavar="FILE", help="a script file, YAML or JSON")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    serve.add_argument("--port", type=port, default=8450, help="0 for a free one (%(default)s)")
    serve.add_argument("--api-key", metavar="KEY", help="answer 401 to everyone who does not send it")
    serve.add_argument("--tls-cert", metavar="FILE", help="serve TLS with this certificate chain (PEM)")
    serve.add_argument("--tls-key", metavar="FILE", help="its key (PEM), if that is in a separate file")
    serve.add_argument("--no-color", action="store_true", help="write the log without colors")
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


def port(text: str) -> int:
    # argparse shows this function's name.
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


def _check(options: argparse.Namespace) -> int:
    from runagent_testing._standalone.summary import summarize

    code = GOOD
    for path in options.scripts:
        try:
            script = _load(path)
        except _StopError as exc:
            code = _fail(exc)
            continue
        names = [] if len(options.scripts) == 1 else [f"# {path}"]
        _print([*names, *summarize(script)])
    return code


def _new_transport(options: argparse.Namespace) -> int:
    from runagent_testing._starter import StarterError, write_starter

    try:
        folder = write_starter(options.name, Path(options.directory))
    except StarterError as exc:
        raise _StopError(str(exc)) from exc
    except OSError as exc:
        raise _StopError(f"cannot write into {options.directory}: {exc.strerror or exc}") from exc
    _print(str(path) for path in sorted(folder.rglob("*")) if path.is_file())
    _note([f"next: python -m pip install -e '{folder}[dev]' && python -m pytest {folder}"])
    return GOOD


def _check_transport(options: argparse.Namespace) -> int:
    from runagent import RunAgentError
    from runagent_testing.conformance import LATEST, check_transport

    given = options.transport_options
    try:
        report = check_transport(
            options.name,
            options={} if given is None else {"transport_options": given},
            skip_capabilities=options.skip_capabilities,
            requirements=LATEST if options.requirements is None else options.requirements,
            baseline=options.baseline,
        )
    except (RunAgentError, ValueError, OSError) as exc:
        raise _StopError(" ".join(str(exc).splitlines())) from exc
    _print(str(report).split("\n"))
    return GOOD if report.ok else FAILED


def _explain(options: argparse.Namespace) -> int:
    from runagent_testing.conformance._explain import explanation, overview

    try:
        _print(overview() if options.requirement is None else explanation(options.requirement))
    except ValueError as exc:
        raise _StopError(str(exc)) from exc
    return GOOD


def _serve(options: argparse.Namespace) -> int:
    from runagent_testing._server.server import FakeAgentServer
    from runagent_testing._standalone.output import Output

    script = _load(options.script)
    server = FakeAgentServer(
        host=options.host,
        port=options.port,
        api_key=options.api_key,
        ssl_context=_tls_context(options.tls_cert, options.tls_key),
    )
    script.apply(server)
    with (
        contextlib.closing(Output(sys.stderr)) as screen,
        _logging(server, options, screen),
        _interruptible(),
        _started(server, options),
    ):
        if script.gates:
            screen.write(escaped(f"type a gate's name to open it: {', '.join(script.gates)}") + "\n")
        agents = ", ".join(dict.fromkeys(call.agent_id for call in script.calls))
        screen.write(escaped(f"{agents} at {server.url} (Ctrl-C ends it)") + "\n")
        try:
            _wait(script, screen)
        except _TerminatedError:
            server.drain(_GRACE)
    return GOOD


def _wait(script: ScriptFile, screen: Output) -> NoReturn:
    """Open the gates that are typed, until the command is interrupted."""
    if script.gates:
        for line in iter(lambda: sys.stdin.readline(_LONGEST_LINE), ""):
            name = line.strip()
            if name in script.gates:
                screen.write(escaped(f"gate {name} is open") + "\n")
                script.gates[name].open()
            elif name:
                screen.write(escaped(f"there is no gate {name!r}") + "\n")
    while True:
        time.sleep(3600)


def _load(path: str) -> ScriptFile:
    from runagent_testing._standalone.script_file import ScriptFileError, load_script

    try:
        return load_script(path)
    except ScriptFileError as exc:
        count = len(exc.problems)
        found = f"{count} problem{'s' if count > 1 else ''} in {path}"
        raise _StopError(found, str(exc).split("\n")) from exc
    except OSError as exc:
        raise _StopError(f"cannot read {path}: {exc.strerror or exc}") from exc


def _tls_context(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if cert is None:
        if key is not None:
            raise _StopError("--tls-key needs --tls-cert")
        return None
    import ssl

    from runagent_testing._internal.files import read_file

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        for path in filter(None, (cert, key)):
            read_file(path)  # OpenSSL would read for ever what has no end
        context.load_cert_chain(cert, key)
    except OSError as exc:  # ssl.SSLError is one
        raise _StopError(f"cannot use the certificate {cert}: {exc}") from exc
    return context


@contextlib.contextmanager
def _started(server: FakeAgentServer, options: argparse.Namespace) -> Iterator[None]:
    try:
        server.start()
    except OSError as exc:
        address = f"{options.host}:{options.port}"
        # create_server() repeats the address in the error's text; a name that is unknown has no number.
        why = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc.strerror
        other = "; --port chooses another" if exc.errno == errno.EADDRINUSE else ""
        raise _StopError(f"cannot listen on {address}: {why}{other}") from exc
    try:
        yield
    finally:
        server.close()


@contextlib.contextmanager
def _logging(server: FakeAgentServer, options: argparse.Namespace, screen: Output) -> Iterator[None]:
    from runagent_testing._standalone.log import ExchangeLog

    color = sys.stderr.isatty() and not options.no_color and not os.environ.get("NO_COLOR")

    def forget() -> None:
        # Nobody asks this server what it was asked: forgetting keeps its memory small.
        server.requests.clear()
        server.other_requests.clear()
        server.unmatched.clear()

    handler = ExchangeLog(screen, color=color, api_key=options.api_key, forget=forget)
    logger = logging.getLogger("runagent_testing")
    logger.setLevel(logging.INFO)
    # For all loggers: what other libraries log must not be written past it.
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the command in peace, and Ctrl-C at once."""

    def terminate(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _TerminatedError

    before = signal.signal(signal.SIGTERM, terminate)
    # A shell starts background jobs with Ctrl-C ignored; SIGINT sent on purpose is meant all the same.
    interrupted = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, interrupted)
