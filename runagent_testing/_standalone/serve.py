"""``runagent-fake serve`` and ``record``: from the files to the last run."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from runagent_testing._standalone.command import FAILED, GOOD, CommandError, lines_for, print_lines
from runagent_testing._standalone.options import with_environment
from runagent_testing._standalone.ready import ready_file, remove_stale

if TYPE_CHECKING:
    import argparse
    import ssl
    from collections.abc import Iterator
    from types import FrameType

    from runagent_testing._server.server import FakeAgentServer
    from runagent_testing._standalone.log import ExchangeLog
    from runagent_testing._standalone.output import Output
    from runagent_testing._standalone.script_set import ScriptSet

__all__ = ["TerminatedError", "record", "serve"]

# A signal that comes just before a wait does not end the wait.
_LOOK = 0.5  # seconds


class TerminatedError(BaseException):
    """SIGTERM has come."""


def serve(given: argparse.Namespace) -> int:
    """Serve until the command is interrupted or terminated; returns the exit code.

    Raises:
        CommandError: An option, a file or the address is invalid.
        KeyboardInterrupt: Ctrl-C.
    """
    options = with_environment(given, os.environ)
    remove_stale(options.ready_file)

    # Not before, as importing the server takes a while.
    from runagent_testing._server.server import FakeAgentServer
    from runagent_testing._standalone.output import Output
    from runagent_testing._standalone.recordings import passed_on
    from runagent_testing._standalone.script_set import ScriptSet

    chaos = {"rate": options.chaos, "seed": options.seed} if options.chaos else None
    scripts = ScriptSet(options.scripts, passed_on(options), chaos)
    server = FakeAgentServer(
        host=options.host,
        port=options.port,
        unix_path=options.unix_socket,
        api_key=options.api_key,
        ssl_context=_tls_context(options.tls_cert, options.tls_key),
        control=_is_controlled(options),
        control_token=options.control_token,
        control_hosts=options.control_hosts or (),
    )
    if not options.no_control:
        server._serve_probes()
    server._keep_last(options.keep)
    scripts.apply(server)
    with (
        contextlib.closing(Output(sys.stderr)) as screen,
        _logging(options, screen) as log,
        _interruptible(),
        _started(server, options),
        _watching(server, scripts, log, options),
        ready_file(options.ready_file, server.url),
    ):
        return _serve_until_ended(server, scripts, log, screen, options)


def _is_controlled(options: argparse.Namespace) -> bool:
    from runagent_testing._control.guard import is_loopback

    is_local = options.unix_socket is not None or is_loopback(options.host)
    return not options.no_control and (is_local or options.control_token is not None)


def record(given: argparse.Namespace) -> int:
    """Pass everything on to a real service, and record it, until interrupted; otherwise as `serve`."""
    return serve(given)


def _announce(
    server: FakeAgentServer, scripts: ScriptSet, log: ExchangeLog, options: argparse.Namespace
) -> None:
    if scripts.gates:
        text = f"type a gate's name to open it: {', '.join(scripts.gates)}"
        log.note("gates", text, timed=False, gates=scripts.gates)
    if not scripts.paths and scripts.upstream is None:
        text = f"no script file is given, so this is a demo; try it:\nexport RUNAGENT_API_URL={server.url}"
        for line in [*text.split("\n"), f"runagent stream {scripts.agents[0]} hello"]:
            log.note("demo", line, timed=False, message=line)
    if options.upstream is not None:
        place = f", recorded into {options.into}" if "into" in options else ""
        text = f"{'other runs' if scripts.paths else 'everything'} goes to {options.upstream}{place}"
        log.note("upstream", text, timed=False, upstream=options.upstream)
    if options.chaos:
        text = f"some runs meet a fault of the catalogue: --chaos {options.chaos} --seed {options.seed}"
        log.note("chaos", text, timed=False, rate=options.chaos, seed=options.seed)
    text = f"{', '.join(scripts.agents)} at {server.url} (Ctrl-C ends it)"
    log.note("listening", text, timed=False, url=server.url, agents=scripts.agents, pid=os.getpid())
    print_lines([server.url])


def _serve_until_ended(
    server: FakeAgentServer,
    scripts: ScriptSet,
    log: ExchangeLog,
    screen: Output,
    options: argparse.Namespace,
) -> int:
    try:
        _announce(server, scripts, log, options)
        _wait(server, scripts, log)
    except TerminatedError:
        # Another one ends runs at once.
        with contextlib.suppress(TerminatedError):
            server.drain(options.drain)
        return _verdict(server, screen, options)
    except KeyboardInterrupt:
        if _verdict(server, screen, options) == FAILED:
            return FAILED
        raise


def _verdict(server: FakeAgentServer, screen: Output, options: argparse.Namespace) -> int:
    """Return the exit code; with ``--exit-code``, list unmet expectations, behind the lines of the log."""
    problems = server.problems() if options.exit_code else []
    for scope, _ in server._scopes.all() if options.exit_code else ():
        problems += [f"scope {scope.name!r}: {problem}" for problem in scope.problems()]
    if not problems:
        return GOOD
    screen.write(lines_for(["unmet fake-agent expectations:", *(f"  - {problem}" for problem in problems)]))
    return FAILED


def _wait(server: FakeAgentServer, scripts: ScriptSet, log: ExchangeLog) -> NoReturn:
    """Wait until the command is interrupted; gates that are typed are opened."""
    from runagent_testing._standalone.keyboard import Keyboard

    def typed(name: str) -> None:
        if name in (gates := server.gates):
            # First the line, or those of the runs that go on could come before it.
            log.note("gate", f"gate {name} is open", timed=False, gate=name)
            gates[name].open()
        else:
            log.note("gate", f"there is no gate {name!r}", timed=False, unknown=name)

    keyboard = Keyboard(typed)
    while True:
        if scripts.gates:  # there may be some once a file has changed
            keyboard.start()
        time.sleep(_LOOK)


@contextlib.contextmanager
def _watching(
    server: FakeAgentServer, scripts: ScriptSet, log: ExchangeLog, options: argparse.Namespace
) -> Iterator[None]:
    from runagent_testing._standalone.watch import Watch

    def read_again() -> None:
        try:
            scripts.load_again(server)
        except CommandError as exc:
            for line in [*exc.problems, f"{exc}: the scripts stay as they were"]:
                log.note("invalid", line, message=line)
            return
        log.note("reloaded", f"read again: {', '.join(scripts.agents)}", agents=scripts.agents)

    with Watch(scripts.paths if options.watch else [], read_again):
        yield


def _tls_context(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if cert is None:
        if key is not None:
            raise CommandError("--tls-key needs --tls-cert")
        return None
    import ssl

    from runagent_testing._internal.files import read_file

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        for path in filter(None, (cert, key)):
            read_file(path)  # OpenSSL would read for ever what has no end
        context.load_cert_chain(cert, key)
    except ssl.SSLError as exc:
        place = key or "the same file (or --tls-key)"
        why = f"it has to be one in PEM, with its key in PEM in {place}"
        if exc.reason == "KEY_VALUES_MISMATCH":
            why = "the key is that of another certificate"
        raise CommandError(f"cannot use the certificate {cert}: {why}") from exc
    except OSError as exc:
        raise CommandError(f"cannot use the certificate {cert}: {exc}") from exc
    return context


@contextlib.contextmanager
def _started(server: FakeAgentServer, options: argparse.Namespace) -> Iterator[None]:
    try:
        server.start()
    except OSError as exc:
        address = options.unix_socket or f"{options.host}:{options.port}"
        # create_server() repeats the address in the error's text; a name that is unknown has no number.
        why = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc.strerror
        in_use = exc.errno == errno.EADDRINUSE and not options.unix_socket
        other = "; --port chooses another" if in_use else ""
        raise CommandError(f"cannot listen on {address}: {why}{other}") from exc
    try:
        yield
    finally:
        server.close()


@contextlib.contextmanager
def _logging(options: argparse.Namespace, screen: Output) -> Iterator[ExchangeLog]:
    from runagent_testing._standalone.log import ExchangeLog, as_json, as_text

    color = sys.stderr is not None and sys.stderr.isatty()
    color = color and not options.no_color and not os.environ.get("NO_COLOR")
    line = as_json if options.log_format == "json" else as_text(color=color)
    handler = ExchangeLog(screen, line=line, api_key=options.api_key)
    logger = logging.getLogger("runagent_testing")
    logger.setLevel(logging.INFO)
    # For all loggers: what other libraries log must not be written past it.
    logging.root.addHandler(handler)
    try:
        yield handler
    finally:
        logging.root.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the command in peace, and Ctrl-C at once."""

    def terminate(_number: int, _frame: FrameType | None) -> NoReturn:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, terminate)
    # A shell starts background jobs with Ctrl-C ignored; SIGINT sent on purpose is meant all the same.
    interrupted = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, interrupted)
