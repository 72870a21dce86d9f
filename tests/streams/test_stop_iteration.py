"""What would end a loop silently is an error: a StopIteration, or its like, of code that a run calls."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    ConfigurationError,
    PluginError,
    ProtocolError,
    RunAgentError,
    register_observer,
)
from runagent.transports import Capability, Chunk, Completed, HttpRequest, Step
from tests.support.libraries import Library, collect
from tests.support.peer import Peer, answers, http
from tests.support.styles import STYLES, Style
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from collections.abc import Generator

    from runagent.transports import AgentCall, Emit, Event
    from runagent_testing import FakeAgentServer

STOPS = (StopIteration, StopAsyncIteration, GeneratorExit)
LETTERS, LAST = http(200, "ab", content_type="text/plain"), http(200, "{}")
OPEN_END = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nab"
CLOSING, REFUSAL = http(200, "{}", connection="close"), http(500, "down")
USUAL = (LAST, LETTERS, LAST)
HOOKS = {  # and the answers with which each is reached
    "before": [], "make_request": [LAST], "reconnecting": [CLOSING], "make_refusal": [LAST, REFUSAL],
    "proves_unsupported": [LAST, REFUSAL], "receive_eof": [LAST, OPEN_END],
}  # fmt: skip
METHODS = ("open_body", "read_body", "end_body", "data_to_send", "receive_data")
PROPERTIES = (
    "wants",
    "error",
    "resume_point",
    "handle_ids",
    "headers",
    "tokens",
    "ignored",
    "keeps_connection",
)


class Everything(LettersSession):
    """Calls every hook: steps before the run, and after it."""

    def before(self) -> Any:
        self.handle_ids = {"run": "1"}
        return [Step(HttpRequest("GET", "/before", self.call.request_headers(accept="*/*")))]

    def end_body(self, proven: bool) -> list[Event]:
        self.follow(self.after())
        return []

    def after(self) -> Generator[Step, object, list[Event]]:
        self.usage = {"total_tokens": 1}
        yield Step(HttpRequest("GET", "/after", self.call.request_headers(accept="*/*")))
        return [Completed()]


def stopping(hook: str, stop: type[BaseException], base: Any = Everything) -> Any:
    """Make a session one of whose hooks, methods or properties, raises."""

    def run_out(*args: Any) -> Any:
        raise stop

    is_property = hook in (*PROPERTIES, "reusable")
    member = property(run_out, lambda *_: None) if is_property else run_out
    return type("Stopping", (base,), {hook: member})


def transport_of(session: Any) -> OwnTransport:
    """Make a transport whose runs have handles."""
    return OwnTransport("steps", session, capabilities=frozenset({Capability.INVOKE, Capability.ATTACH}))


def read(style: Style, url: str, transport: Any, *, times: int = 1, **options: Any) -> tuple[Any, str]:
    """Read runs to their ends; return the error of the last one, or None, and its outcome."""

    async def scenario() -> tuple[Any, str]:
        async with style.client("a", base_url=url, transport=transport, max_retries=0, **options) as client:
            for _ in range(times):
                stream = client.run_generic_stream("x")
                error = None
                try:
                    async for _ in stream.events():
                        pass
                except BaseException as exc:  # noqa: BLE001  # whatever it is, the test looks at it
                    error = exc
            return error, stream.report.outcome

    result: tuple[Any, str] = style.run(scenario)
    return result


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("hook", [*HOOKS, *METHODS, *PROPERTIES])
def test_a_hook_that_runs_out_is_an_error_that_names_it(
    style: Style, stop: type[BaseException], hook: str
) -> None:
    responses = HOOKS.get(hook, USUAL)
    with Peer(answers(*responses), answers(LETTERS)) as peer:
        error, outcome = read(style, peer.url, transport_of(stopping(hook, stop)))
    assert (PluginError, "failed") == (type(error), outcome), repr(error)
    assert f"the transport 'steps' raised {stop.__name__} in stopping.<locals>.run_out" in str(error)


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("place", ["before", "follow"])
def test_a_generator_of_steps_that_runs_out_is_an_error(
    style: Style, stop: type[BaseException], answered: bool, place: str
) -> None:
    def steps(session: Any) -> Any:
        if answered:
            yield Step(HttpRequest("GET", "/", session.call.request_headers(accept="*/*")))
        raise stop

    session = type("Stopping", (Everything,), {"before" if place == "before" else "after": steps})
    with Peer(answers(LAST, LETTERS, LAST)) as peer:
        error, outcome = read(style, peer.url, transport_of(session))
    assert "failed" == outcome
    if answered and stop is not GeneratorExit:
        assert (ProtocolError, "INVALID_ANSWER") == (type(error), error.code)
        assert str(error).startswith(f"{place} could not use the answer")
    else:
        assert PluginError is type(error), repr(error)
        assert f"the transport 'steps' raised {stop.__name__} in test_a_generator" in str(error)


@pytest.mark.parametrize("stop", STOPS)
def test_a_session_that_runs_out_as_it_is_closed_changes_nothing(
    style: Style, stop: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(url: str) -> str:
        transport = transport_of(stopping("close", stop, LettersSession))
        stream = style.client("a", base_url=url, transport=transport).run_generic_stream("x")
        async with stream:
            await anext(stream)
        return str(stream.report.outcome)

    with Peer(answers(LETTERS[:-1])) as peer, caplog.at_level(logging.WARNING, "runagent.run"):
        assert "closed" == style.run(lambda: scenario(peer.url))
    [record] = caplog.records
    assert f"'steps' raised in stopping.<locals>.run_out: {stop.__name__}()" in record.getMessage()


@pytest.mark.parametrize("stop", STOPS)
def test_a_session_that_runs_out_in_the_pool_is_an_error_of_the_next_run(
    style: Style, stop: type[BaseException]
) -> None:
    transport = transport_of(stopping("reusable", stop, LettersSession))
    with Peer(answers(LETTERS, LETTERS)) as peer:
        error, outcome = read(style, peer.url, transport, times=2)
    assert (PluginError, "failed") == (type(error), outcome), repr(error)


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("options", [{}, {"transport_options": {"read_ahead_bytes": 1000}}])
def test_a_transport_that_runs_out_is_an_error(
    style: Style, stop: type[BaseException], options: dict[str, Any]
) -> None:
    class Stopping(OwnTransport):
        def open(self, *args: Any) -> Any:
            raise stop

    error, outcome = read(style, "http://127.0.0.1:1", Stopping(), **options)
    assert (PluginError, "failed") == (type(error), outcome), repr(error)
    assert f"the transport 'letters' raised {stop.__name__} in " in str(error)
    assert "Stopping.open" in str(error)


@pytest.mark.parametrize("stop", STOPS)
def test_a_library_that_runs_out_is_an_error(style: Style, stop: type[BaseException]) -> None:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        await emit(Chunk("Once"))
        raise stop

    events, error, report = collect(style, Library(script), max_retries=0)
    assert [Chunk("Once")] == events
    assert isinstance(error, RunAgentError), repr(error)
    assert "failed" == report.outcome


# What a caller gives


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize(
    ("name", "is_async"), [*((name, False) for name in STYLES), *((name, True) for name in STYLES[1:])]
)
@pytest.mark.parametrize("plain", [False, True])
def test_a_key_function_that_runs_out_is_an_error(
    name: str, stop: type[BaseException], is_async: bool, plain: bool, server: FakeAgentServer
) -> None:
    def key() -> str:
        raise stop

    async def coming_key() -> str:
        raise stop

    style = Style(name)

    async def scenario() -> None:
        async with style.client("a", base_url=server.url, api_key=coming_key if is_async else key) as client:
            if plain:
                await client.run_generic("x")
            else:
                await client.run_generic_stream("x").text()

    with pytest.raises(ConfigurationError, match=rf"^api_key\(\) raised {stop.__name__}"):
        style.run(scenario)
    assert server.requests == []


@pytest.mark.parametrize("stop", STOPS)
def test_a_type_of_results_that_runs_out_is_an_error(
    style: Style, stop: type[BaseException], server: FakeAgentServer
) -> None:
    class Model:
        @staticmethod
        def model_validate(_: object) -> Any:
            raise stop

    async def scenario() -> None:
        async with style.client("a", base_url=server.url) as client:
            await client.run_generic("x", result_type=Model)

    server.agent("a").returns("Once")
    with pytest.raises(ConfigurationError, match=f"result_type raised {stop.__name__} in .*model_validate"):
        style.run(scenario)


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("hook", ["prepare", "attempt", "received", "attempt_ended", "completed", "finished"])
def test_an_observer_that_runs_out_is_asked_nothing_more(
    style: Style,
    stop: type[BaseException],
    hook: str,
    server: FakeAgentServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def run_out(self: Any, *facts: Any) -> Any:
        raise stop

    class Source:
        def observe_call(self, call: AgentCall) -> Any:
            return type("Observer", (), {hook: run_out})()

    async def scenario() -> str:
        async with style.client("a", base_url=server.url) as client:
            return str(await client.run_generic_stream("x").text())

    server.agent("a").reply("Once", " upon")
    with register_observer(Source()), caplog.at_level(logging.WARNING, "runagent.plugins"):
        assert "Once upon" == style.run(scenario)
    assert [True] == ["failed and is asked nothing more" in record.getMessage() for record in caplog.records]
