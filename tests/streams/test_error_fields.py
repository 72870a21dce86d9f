"""What an error carries: message and hint, its run, its status, whether to try again; and its traceback."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

import runagent
from runagent import (
    AgentError,
    AgentNotFoundError,
    AgentServerError,
    AuthenticationError,
    NetworkError,
    PermissionDeniedError,
    RateLimitError,
    RunAgentClient,
    RunAgentError,
    RunTimeoutError,
    StreamError,
    StreamLimitError,
    StreamTimeoutError,
    Timeouts,
    ValidationError,
)
from runagent_testing import FakeAgentServer, MemoryNetwork, delay, ending, error, head, heartbeat, status
from tests.support.peer import Peer, answers, http
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.styles import Style


def fail(style: Style, url: str, **options: Any) -> Any:
    async def scenario() -> RunAgentError:
        client = style.client("w", base_url=url, **({"max_retries": 0} | options))
        with pytest.raises(RunAgentError) as caught:
            await client.run_generic_stream("x").text()
        return caught.value

    return style.run(scenario)


def test_the_hint_is_apart_from_what_happened(style: Style, server: FakeAgentServer) -> None:
    server.agent("w").always(status(401, message="who are you"))
    refused = fail(style, server.url)
    assert ("who are you", "check the API key (api_key=, RUNAGENT_API_KEY)") == (
        refused.message,
        refused.hint,
    )
    assert f"{refused.message} ({refused.hint})" == str(refused)
    unreachable = fail(style, "http://127.0.0.1:1")
    assert ("is the server running, and is the port right?", False) == (
        unreachable.hint,
        "?" in unreachable.message,
    )


def test_an_error_names_its_agent_where_there_are_several(style: Style, server: FakeAgentServer) -> None:
    server.agent("w").always(status(401))
    assert "'w'" not in str(fail(style, server.url))
    other = RunAgentClient("other", base_url=server.url)
    assert "(agent 'w')" in str(fail(style, server.url))
    del other


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        (AuthenticationError, 401),
        (PermissionDeniedError, 403),
        (AgentNotFoundError, 404),
        (ValidationError, 422),
        (RateLimitError, 429),
        (AgentServerError, 500),
        (AgentError, None),
    ],
)
def test_a_status_is_never_that_of_a_good_answer(kind: type[AgentError], own: int | None) -> None:
    assert own == kind("x").status == kind("x", status=None).status == kind("x", status=200).status
    assert 418 == kind("x", status=418).status


def test_a_refusal_inside_a_good_answer_has_the_status_of_its_class(style: Style) -> None:
    body = b'{"success": false, "error": {"code": "RATE_LIMITED", "message": "slow down"}}'
    with Peer(answers(http(200, body, content_type="application/json"))) as peer:

        async def scenario() -> Any:
            with pytest.raises(RateLimitError) as caught:
                await style.client("w", base_url=peer.url, max_retries=0).run_generic("x")
            return caught.value

        refused = style.run(scenario)
    assert (429, 200) == (refused.status, refused.report.status)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ((status(429),), True),
        ((status(503),), True),
        ((status(500),), False),
        ((status(401),), False),
        (("x", error("C", "no")), False),
        ((ending("close-delimited-cut"),), False),
    ],
    ids=str,
)
def test_an_error_shows_whether_to_try_again(
    style: Style, server: FakeAgentServer, script: Any, expected: bool
) -> None:
    server.agent("w").always(*script)
    failure = fail(style, server.url)
    assert expected == failure.retryable == failure.report.error.retryable
    with pytest.raises(AttributeError):
        failure.retryable = True


def test_a_connection_that_was_refused_may_be_tried_again(style: Style) -> None:
    assert isinstance(refused := fail(style, "http://127.0.0.1:1"), NetworkError)
    assert refused.retryable
    assert not RunAgentError("x").retryable
    assert StreamError("x", retryable=True).retryable


def test_an_error_of_collecting_a_text_names_its_run(style: Style, server: FakeAgentServer) -> None:
    server.agent("w").always("x" * 100)

    async def scenario() -> Any:
        async with style.client("w", base_url=server.url) as client:
            stream = client.run_generic_stream("x")
            with pytest.raises(StreamLimitError) as caught:
                await stream.text(max_bytes=10)
        return stream.report, caught.value

    report, failure = style.run(scenario)
    assert (report.run_id, "w", report) == (failure.run_id, failure.agent_id, failure.report)
    assert "raise max_bytes= to collect it" == failure.hint


@pytest.mark.parametrize("word", [True, False])
def test_the_word_of_a_transport_on_trying_again_holds(style: Style, word: bool) -> None:
    class Overloaded(LettersSession):
        def make_refusal(self, status: int, body: bytes) -> RunAgentError:
            return AgentServerError("overloaded", status=status, retryable=word)

    with Peer(*[answers(http(529 if word else 503, connection="close"))] * 3) as peer:
        failure = fail(
            style,
            peer.url,
            transport=OwnTransport(session=Overloaded),
            max_retries=2,
            retry_delay=0,
        )
    assert (word, 3 if word else 1) == (failure.retryable, len(failure.report.attempts))


SILENT = delay(10_000)


@pytest.mark.parametrize(
    ("script", "limits", "message", "hint"),
    [
        (
            (SILENT, head()),
            Timeouts(first_event=2),
            "nothing from the agent within 2 s: limit 'first_event', no chunk had come",
            "raise timeout= or Timeouts(first_event=...) if the agent needs longer",
        ),
        (
            ("a", SILENT),
            Timeouts(idle=2),
            "nothing more from the agent within 2 s: limit 'idle', 1 chunk had come",
            "raise timeout= or Timeouts(idle=...) if the agent needs longer",
        ),
        (
            ("a", "b", *[delay(1), heartbeat()] * 5, SILENT),
            Timeouts(progress=2.5),
            "no further event from the agent within 2.5 s: limit 'progress', 2 chunks had come",
            "raise Timeouts(progress=...) if the agent needs longer",
        ),
        (
            ("a", SILENT),
            Timeouts(total=2),
            "the run was not over within 2 s: limit 'total', 1 chunk had come",
            "raise Timeouts(total=...) if the agent needs longer",
        ),
    ],
    ids=["first_event", "idle", "progress", "total"],
)
def test_a_time_limit_is_named_with_what_sets_it(
    script: Any, limits: Timeouts, message: str, hint: str
) -> None:
    memory = MemoryNetwork()
    memory.agent("w").always(*script)
    client = RunAgentClient(
        "w", base_url=memory.url, network=memory.blocking, timeout=limits, max_retries=0, resume=False
    )
    with pytest.raises(RunTimeoutError) as caught:
        client.run_generic_stream("x").text()
    assert (message, hint) == (caught.value.message, caught.value.hint)


def test_the_limit_of_a_plain_run_is_set_by_a_number() -> None:
    memory = MemoryNetwork()
    memory.agent("w").returns(SILENT, "x")
    client = RunAgentClient("w", base_url=memory.url, network=memory.blocking, timeout=3)
    with pytest.raises(RunTimeoutError) as caught:
        client.run_generic("x")
    assert "the run was not over within 3 s: limit 'total'" == caught.value.message
    assert "raise timeout= or Timeouts(total=...) if the agent needs longer" == caught.value.hint


def test_an_agent_that_falls_silent_is_given_up_after_twice_the_limit() -> None:
    memory = MemoryNetwork()
    memory.agent("w").always("a", "b", SILENT, ids=True, indexed=True)
    client = RunAgentClient("w", base_url=memory.url, network=memory.blocking)  # all by default
    stream = client.run_generic_stream("x")
    assert ["a", "b"] == [next(stream), next(stream)]
    begun = memory.blocking.now()
    with pytest.raises(StreamTimeoutError) as caught:
        list(stream)
    waits = sum(attempt.waited_seconds for attempt in stream.report.attempts)
    assert 60 <= memory.blocking.now() - begun <= 2 * 60 + waits + 0.001
    assert waits <= 60
    assert "limit 'idle', 2 chunks had come" in caught.value.message
    assert ("idle", 2) == (caught.value.phase, len(stream.report.attempts))


@pytest.mark.parametrize("name", sorted(set(runagent.__all__) - {"JSONValue", "StreamEvent", "__version__"}))
def test_public_classes_are_known_by_their_public_place(name: str) -> None:
    value = getattr(runagent, name)
    if inspect.isclass(value):
        assert ("runagent", name) == (value.__module__, value.__qualname__)


FAILING = """
import asyncio
import runagent, trio
from runagent import AsyncRunAgentClient, RunAgentClient

OPTIONS = {"base_url": "http://127.0.0.1:1", "max_retries": 0}

def test_stream():
    for chunk in RunAgentClient("a", **OPTIONS).run_generic_stream("x"):  # the user's line
        pass

def test_text():
    RunAgentClient("a", **OPTIONS).run_generic_stream("x").text()  # the user's line

def test_plain():
    RunAgentClient("a", **OPTIONS).run_generic("x")  # the user's line

def test_input():
    RunAgentClient("a", **OPTIONS).run_generic(3)  # the user's line

def test_argument():
    RunAgentClient("a", timeout=-1, **OPTIONS).run_generic("x")  # the user's line

def test_reading_ahead():
    client = RunAgentClient("a", transport_options={"read_ahead_bytes": 1000}, **OPTIONS)
    client.run_generic_stream("x").text()  # the user's line

def test_transport():
    RunAgentClient("a", transport="nothing", **OPTIONS).run_generic("x")  # the user's line

async def read():
    async for chunk in AsyncRunAgentClient("a", **OPTIONS).run_generic_stream("x"):  # the user's line
        pass

async def plain():
    await AsyncRunAgentClient("a", **OPTIONS).run_generic("x")  # the user's line

def test_asyncio():
    asyncio.run(read())

def test_asyncio_plain():
    asyncio.run(plain())

def test_trio():
    trio.run(read)
"""


def test_a_failed_test_shows_the_line_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text(textwrap.dedent(FAILING))
    command = [sys.executable, "-m", "pytest", "-q", "--tb=long", "-p", "no:cacheprovider", "-p", "no:xdist"]
    ran = subprocess.run(
        [*command, "test_failing.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    failures = ran.stdout.split("FAILURES")[1].split("short test summary")[0]
    assert FAILING.count("def test_") == failures.count("# the user's line"), ran.stdout
    assert "runagent/_" not in failures, failures
    assert "runagent.NetworkError" in failures
