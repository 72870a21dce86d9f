"""The commands that run an agent."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from runagent._cli.arguments import PHASES, UsageError
from runagent._client.client import RunAgentClient
from runagent._client.options import call_timeouts
from runagent._errors import ValidationError
from runagent._events import Chunk, Completed, Custom, Reasoning, Started, ToolCall
from runagent._internal.jsoninput import add_session_id, copy_input
from runagent._redact import parse_json
from runagent._wire.jsontext import write_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from runagent._cli.console import Console
    from runagent._config.timeouts import Timeouts
    from runagent._report import RunReport
    from runagent._run.stream import Stream

__all__ = ["invoke", "stream"]

_EVENT_TYPES = {
    Started: "started",
    Chunk: "chunk",
    Reasoning: "reasoning",
    ToolCall: "tool_call",
    Custom: "custom",
    Completed: "completed",
}


def stream(arguments: argparse.Namespace, console: Console) -> None:
    """Print an answer as it comes.

    Raises:
        UsageError: The input is not usable.
        RunAgentError: The run failed; what had come before is printed.
    """
    write = {"text": _write_text, "json": _write_chunks, "events": _write_events}[arguments.shape]
    with _client(arguments, console) as (client, value):
        run = client.run_generic_stream(value, timeout=_timeouts(arguments, client, "stream"))
        console.begin_wait("waiting for the agent")
        with run:
            write(run, console)
    if console.interactive or arguments.verbose:
        console.note(_summary(run.report))


def invoke(arguments: argparse.Namespace, console: Console) -> None:
    """Print a whole answer.

    Raises:
        UsageError: The input is not usable.
        RunAgentError: The run failed.
    """
    with _client(arguments, console) as (client, value):
        console.begin_wait("waiting for the agent")
        answer = client.run_generic_with_metadata(value, timeout=_timeouts(arguments, client, "invoke"))
    if arguments.metadata:
        facts = msgspec.structs.asdict(answer) | {"tokens_used": answer.tokens_used}
        del facts["report"]
        console.line(write_json(facts))
    elif isinstance(answer.result, str) and not arguments.json:
        console.write(answer.result)
    else:
        console.line(write_json(answer.result))


# Input


@contextlib.contextmanager
def _client(arguments: argparse.Namespace, console: Console) -> Iterator[tuple[RunAgentClient, Any]]:
    """Make a client of the options, and the input for it."""
    value = _input(arguments)
    with _logging(arguments.verbose, console) as set_level:
        client = RunAgentClient(
            arguments.agent_id,
            base_url=arguments.base_url,
            transport=arguments.transport,
            timeout=arguments.timeout,
            max_retries=arguments.max_retries,
            max_resumes=arguments.max_resumes,
            resume=arguments.resume,
            retry_unsafe=arguments.retry_unsafe,
            headers=_headers(arguments.header),
            entrypoint_tag=arguments.entrypoint_tag,
            local=arguments.local,
            host=arguments.host,
            port=arguments.port,
        )
        with client:
            _ = client.settings  # may set a log level, over which -v goes
            set_level()
            yield client, value


def _timeouts(
    arguments: argparse.Namespace, client: RunAgentClient, mode: Literal["stream", "invoke"]
) -> Timeouts | None:
    """Put the limits that have an option of their phase in place of those of the settings."""
    given = {phase: getattr(arguments, f"{phase}_timeout") for phase in PHASES}
    limits = {
        phase: None if limit == "none" else limit for phase, limit in given.items() if limit is not None
    }
    timeouts = call_timeouts(mode, client.settings.timeout)
    return msgspec.structs.replace(timeouts, **limits) if limits else None


def _headers(given: list[tuple[str, str]]) -> dict[str, str]:
    """Make one field of those with the same name, in the way of RFC 9110 section 5.3."""
    headers: dict[str, str] = {}
    for name, value in given:
        known = next((other for other in headers if other.lower() == name.lower()), None)
        if known is None:
            headers[name] = value
        else:
            headers[known] += f", {value}"
    return headers


def _input(arguments: argparse.Namespace) -> dict[str, Any]:
    try:
        return add_session_id(_input_object(arguments), arguments.session_id)
    except ValidationError as exc:
        raise UsageError(re.sub("^session_id: ", "--session-id: ", exc.message)) from exc


def _input_object(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.input is None:
        query = arguments.query
        given = {"query": _standard_input() if query == "-" else query}
        return cast("dict[str, Any]", copy_input(given, "input"))
    try:
        value = parse_json(_standard_input() if arguments.input == "-" else arguments.input)
    except ValueError as exc:
        raise UsageError(f"--input: {exc}") from exc
    if not isinstance(value, dict):
        raise UsageError('--input: expected a JSON object, for example \'{"query": "Tell me a story"}\'')
    return cast("dict[str, Any]", copy_input(value, "--input"))


def _standard_input() -> str:
    """Read text; the line end that ``echo`` and editors put behind it is not part of it."""
    if sys.stdin is None:
        raise UsageError("- reads from standard input, which is closed")
    binary = getattr(sys.stdin, "buffer", None)
    try:
        text = sys.stdin.read() if binary is None else binary.read().decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UsageError(f"standard input is not UTF-8 text: wrong byte at {exc.start}") from None
    return text.removesuffix("\n").removesuffix("\r")


@contextlib.contextmanager
def _logging(verbose: int, console: Console) -> Iterator[Any]:
    """Show runagent's own log records: warnings, and more if asked."""
    logger = logging.getLogger("runagent")
    before, propagate = logger.level, logger.propagate
    handler = _ConsoleHandler(console)
    handler.setFormatter(logging.Formatter("%(name)s: %(levelname)s: %(message)s"))

    def set_level() -> None:
        if verbose:
            logger.setLevel(logging.INFO if verbose == 1 else logging.DEBUG)

    logger.addHandler(handler)
    logger.propagate = False
    set_level()
    try:
        yield set_level
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = propagate


class _ConsoleHandler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.note(self.format(record))


# Output


def _write_text(run: Stream, console: Console) -> None:
    """Write text as it is, and values as JSON: one a line unless text is between them."""
    after_value = False
    for content in run:
        if not isinstance(content, str):
            console.write(("\n" if after_value else "") + write_json(content))
            after_value = True
        elif content:
            console.write(content)
            after_value = False
    if after_value:
        console.write("\n")


def _write_chunks(run: Stream, console: Console) -> None:
    for content in run:
        console.line(write_json(content))


def _write_events(run: Stream, console: Console) -> None:
    for event in run.events():
        if (kind := _EVENT_TYPES.get(type(event))) is not None:
            console.line(write_json({"type": kind, **msgspec.structs.asdict(event)}))


def _summary(report: RunReport) -> str:
    """Describe how quick it was; the rate is that of the chunks after the first."""
    total, first = report.total_seconds or 0.0, report.first_chunk_seconds
    parts = [
        f"{report.chunks} chunk{'' if report.chunks == 1 else 's'} in {total:.2f} s over {report.transport}"
    ]
    if first is not None:
        parts.insert(0, f"first chunk after {first:.2f} s")
        if report.chunks > 1 and total > first:
            parts.append(f"{(report.chunks - 1) / (total - first):.0f} chunks/s")
    if report.retries:
        parts.append(f"{report.retries} retr{'y' if report.retries == 1 else 'ies'}")
    return f"[{', '.join(parts)}]"
