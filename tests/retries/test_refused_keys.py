"""A key that the service refuses: a function is asked for another one, once a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentServerError,
    AuthenticationError,
    Chunk,
    Completed,
    PermissionDeniedError,
    RunAgentError,
    register_observer,
)
from runagent.transports import mark_error
from runagent_testing import FakeAgentServer, ending, status
from tests.support.peer import Peer, answers, http
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.styles import Style

OLD, NEW = "sk-old-0123456789", "sk-new-0123456789"


class Keys:
    """Gives the old key first, then the new one for ever."""

    def __init__(self, style: Style, kind: str = "plain") -> None:
        self.asked = 0
        self.function: Callable[[], Any] = (
            self._give if kind == "plain" or style.name == "sync" else self._give_later
        )

    def _give(self) -> str:
        self.asked += 1
        return OLD if self.asked == 1 else NEW

    async def _give_later(self) -> str:
        return self._give()


def run(style: Style, url: str, *, mode: str = "stream", **options: Any) -> tuple[Any, Any]:
    """Run an agent; return the result or the error, and the report."""

    async def scenario() -> tuple[Any, Any]:
        async with style.client("a", base_url=url, **{"retry_delay": 0, **options}) as client:
            try:
                if mode == "invoke":
                    result = await client.run_generic("x")
                    return result, None
                stream = client.run_generic_stream("x")
                return await stream.text(), stream.report
            except RunAgentError as exc:
                return exc, exc.report

    found: tuple[Any, Any] = style.run(scenario)
    return found


def keys_sent(server: Any) -> list[str]:
    return [request.raw_headers["authorization"].removeprefix("Bearer ") for request in server.requests]


@pytest.fixture
def server() -> Any:
    with FakeAgentServer() as server:
        yield server


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_function_is_asked_for_another_key(
    style: Style, transport: str, kind: str, server: FakeAgentServer
) -> None:
    server.agent("a").reply(status(401)).always("x")
    seen: list[Any] = []

    class Watch:
        def attempt(self, attempt: Any) -> None:
            seen.append(attempt)

    class Observer:
        def observe_call(self, call: Any) -> Watch:
            return Watch()

    with register_observer(Observer()):
        text, report = run(style, server.url, transport=transport, api_key=Keys(style, kind).function)
    assert ("x", [OLD, NEW]) == (text, keys_sent(server))
    assert [AuthenticationError, type(None)] == [type(attempt.error) for attempt in report.attempts]
    assert (2, "completed", 0.0) == (len(seen), report.outcome, report.attempts[0].waited_seconds)


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_plain_run_asks_too(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").fails(1, status(401)).returns("x")
    keys = Keys(style)
    result, _ = run(style, server.url, mode="invoke", transport=transport, api_key=keys.function)
    assert ("x", 2) == (result, keys.asked)


def test_a_function_is_asked_again_once_a_run(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").reply(status(401, message=f"no {OLD}")).always(status(401, message=f"no {NEW}"))
    keys = Keys(style)
    error, report = run(style, server.url, api_key=keys.function, max_retries=9)
    assert (AuthenticationError, True, False) == (type(error), error.key_refused, error.retryable)
    assert (2, 2) == (keys.asked, len(report.attempts))
    shown = f"{error!r} {vars(error)} {error.__cause__!r} {report.as_dict()}"
    assert (False, False, True) == (OLD in shown, NEW in shown, "no ***" in shown)


def test_a_fixed_key_that_is_refused_is_final(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always(status(401))
    error, report = run(style, server.url, transport=transport, api_key=OLD)
    assert (AuthenticationError, True, False, 1) == (
        type(error),
        error.key_refused,
        error.retryable,
        len(report.attempts),
    )


@pytest.mark.parametrize("retries", [0, 1])
def test_asking_again_counts_as_a_retry(style: Style, retries: int, server: FakeAgentServer) -> None:
    server.agent("a").reply(status(401)).always(status(503, retry_after=0))
    error, report = run(style, server.url, api_key=Keys(style).function, max_retries=retries)
    assert (1 + retries, [401, 503][retries]) == (len(report.attempts), error.status)


def test_a_key_that_is_refused_after_a_chunk_is_final(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").reply("x", ending("cut"), indexed=True).always(status(401))
    keys = Keys(style)
    error, report = run(style, server.url, api_key=keys.function)
    assert (AuthenticationError, 2) == (type(error.__cause__), len(report.attempts))
    assert 2 == keys.asked  # at each attempt, as always


class Forbidding(LettersSession):
    """For a service that refuses keys with status 403, and agents with status 401."""

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        return mark_error(super().make_refusal(status, body), key_refused=status == 403)


@pytest.mark.parametrize(("code", "attempts"), [(403, 2), (401, 1)])
def test_the_transport_decides_which_refusal_is_one_of_the_key(
    style: Style, code: int, attempts: int
) -> None:
    with Peer(*[answers(http(code, connection="close"))] * 2) as peer:
        error, report = run(
            style, peer.url, transport=OwnTransport(session=Forbidding), api_key=Keys(style).function
        )
    assert (code == 403, attempts) == (error.key_refused, len(report.attempts))


class Library:
    """Refuses the old key with an error of the test, and takes the new one."""

    name = "library"
    api_version = 1
    capabilities: frozenset[Any] = frozenset()
    runs_on = frozenset({"asyncio"})

    def __init__(self, error: RunAgentError) -> None:
        self.error = error

    async def run(self, call: Any, address: Any, resume: Any, emit: Any) -> None:
        if call.api_key == OLD:
            raise self.error
        await emit(Chunk("x"))
        await emit(Completed())


@pytest.mark.parametrize(
    "error",
    [AuthenticationError("expired"), PermissionDeniedError("expired", key_refused=True)],
    ids=["401", "403"],
)
def test_an_asynchronous_library_may_refuse_a_key(style: Style, error: RunAgentError) -> None:
    text, report = run(style, "http://127.0.0.1:1", transport=Library(error), api_key=Keys(style).function)
    assert ("x", 2) == (text, len(report.attempts))


@pytest.mark.parametrize("word", [True, False])
def test_an_asynchronous_library_has_a_word_on_retries(style: Style, word: bool) -> None:
    error = AgentServerError("overloaded", status=529 if word else 503, retryable=word)
    found, report = run(style, "http://127.0.0.1:1", transport=Library(error), api_key=OLD, max_retries=2)
    assert (word, 3 if word else 1) == (found.retryable, len(report.attempts))
