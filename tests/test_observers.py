"""Observers: asked once a call, told of each end once, and never in the way."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio

import runagent
from runagent import PluginError, RunAgentClient, RunAgentError, hookimpl, hookspecs
from runagent.installed import Installed
from runagent.observers import CHANGEABLE, HOOKS, Observers
from runagent_testing import FakeAgentServer, error, gate, status
from tests.docs.pages import DOCS, ROOT
from tests.support.peer import Peer, answers, http
from tests.support.threads import wait_for_reader
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent import RunReport
    from runagent.transports import AgentCall
    from tests.support.styles import Style

NOTHING_INSTALLED = {"RUNAGENT_DISABLE_PLUGINS": "all"}


class Watcher:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.calls: list[AgentCall] = []

    @property
    def outcomes(self) -> list[str]:
        return [word for word, _ in self.told]

    @hookimpl
    def runagent_call_started(self, call: AgentCall) -> None:
        self.calls.append(call)
        self.told.append(("started", None))

    @hookimpl
    def runagent_call_finished(self, call: AgentCall, report: RunReport) -> None:
        assert self.calls[-1] is call
        self.told.append((report.outcome, report))


@pytest.fixture
def observers(monkeypatch: pytest.MonkeyPatch) -> Observers:
    """The observers of the process, none at first."""
    made = Observers(Installed(NOTHING_INSTALLED))
    monkeypatch.setattr("runagent.observers._default", made)
    return made


@pytest.fixture
def watcher(observers: Observers) -> Watcher:
    watcher = Watcher()
    runagent.register_observer(watcher)
    runagent.register_observer(watcher)  # again is no fault, and tells nothing twice
    return watcher


# Every way in which a call ends


async def read_to_the_end(client: Any, style: Style) -> None:
    async for _ in client.run_generic_stream("x"):
        pass


async def stop_behind_the_last_event(client: Any, style: Style) -> None:
    stream = client.run_generic_stream("x")
    async with stream:
        async for event in stream.events():
            if isinstance(event, runagent.Completed):
                break


async def run_plainly(client: Any, style: Style) -> None:
    await client.run_generic("x")


async def read_until_it_fails(client: Any, style: Style) -> None:
    with pytest.raises(RunAgentError):
        await read_to_the_end(client, style)


async def break_off(client: Any, style: Style) -> None:
    async with client.run_generic_stream("x") as stream:
        async for _ in stream:
            break


async def raise_in_the_loop(client: Any, style: Style) -> None:
    async def read() -> None:
        async with client.run_generic_stream("x") as stream:
            async for _ in stream:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await read()


async def close(client: Any, style: Style) -> None:
    stream = client.run_generic_stream("x")
    await anext(stream)
    await stream.aclose()
    await stream.aclose()


async def drop(client: Any, style: Style) -> None:
    stream = client.run_generic_stream("x")
    await anext(stream)
    del stream
    gc.collect()


async def cancel(client: Any, style: Style) -> None:
    """Be cancelled, or hit by Ctrl-C, while the second chunk is waited for."""

    async def read(cancel: Callable[[], object]) -> None:
        async with client.run_generic_stream("x") as stream:
            async for _ in stream:
                cancel()

    if style.name == "trio":
        with trio.CancelScope() as scope:
            await read(scope.cancel)
    elif style.name == "sync":
        with pytest.raises(KeyboardInterrupt):
            await read(press_ctrl_c_later().start)
    else:
        task = asyncio.ensure_future(read(lambda: task.cancel()))
        with pytest.raises(asyncio.CancelledError):
            await task


def press_ctrl_c_later() -> threading.Thread:
    """Make a thread that waits until somebody reads, and then presses Ctrl-C."""

    def press() -> None:
        wait_for_reader()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    return threading.Thread(target=press)


HANGS = ("a", gate("never"))


@pytest.mark.parametrize(
    ("act", "script", "outcome"),
    [
        (read_to_the_end, ("a", "b"), "completed"),
        (stop_behind_the_last_event, ("a", "b"), "completed"),
        (run_plainly, ("a",), "completed"),
        (read_until_it_fails, (status(401),), "failed"),
        (read_until_it_fails, ("a", error("CODE", "gave up")), "failed"),
        (break_off, HANGS, "left"),
        (raise_in_the_loop, HANGS, "left"),
        (close, HANGS, "left"),
        (drop, HANGS, "left"),
        (cancel, HANGS, "left"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_end_is_told_once(
    style: Style, server: FakeAgentServer, watcher: Watcher, act: Any, script: Any, outcome: str
) -> None:
    server.agent("a").always(*script).returns("x")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, max_retries=0)
        await act(client, style)
        await client.aclose()
        gc.collect()
        await style.settle()

    style.run(scenario)
    assert ["started", outcome] == watcher.outcomes
    report = watcher.told[-1][1]
    assert ("sse", 1) == (report.transport, len(report.attempts))
    assert (report.total_seconds is None) == (act is drop)


def test_a_failure_to_connect_is_told_after_its_retries(style: Style, watcher: Watcher) -> None:
    async def scenario() -> None:
        client = style.client("a", base_url="http://127.0.0.1:1", max_retries=2, retry_delay=0)
        await read_until_it_fails(client, style)

    style.run(scenario)
    assert ["started", "failed"] == watcher.outcomes
    assert 3 == len(watcher.told[-1][1].attempts)


def test_a_call_that_cannot_be_made_is_told(style: Style, watcher: Watcher) -> None:
    async def scenario() -> None:
        streams_only = OwnTransport(capabilities=frozenset())
        with pytest.raises(runagent.ConfigurationError):
            await style.client("a", base_url="http://127.0.0.1:1", transport=streams_only).run_generic("x")

    style.run(scenario)
    assert ["started", "failed"] == watcher.outcomes


def test_a_bug_in_a_session_is_told(style: Style, watcher: Watcher) -> None:
    class Faulty(LettersSession):
        def open_body(self, content_type: str, charset: str) -> bool:
            raise ZeroDivisionError

    async def scenario(url: str) -> None:
        client = style.client("a", base_url=url, transport=OwnTransport(session=Faulty))
        with pytest.raises(ZeroDivisionError):
            await anext(client.run_generic_stream("x"))

    with Peer(answers(http(200, "x"))) as peer:
        style.run(lambda: scenario(peer.url))
    assert ["started", "failed"] == watcher.outcomes


def test_a_stream_that_never_began_is_not_told(
    style: Style, server: FakeAgentServer, watcher: Watcher
) -> None:
    async def scenario() -> None:
        client = style.client("a", base_url=server.url)
        stream = client.run_generic_stream("x")
        await stream.aclose()
        client.run_generic_stream("x")  # dropped

    style.run(scenario)
    gc.collect()
    assert [] == watcher.told


def test_reading_ahead_is_told_once(style: Style, server: FakeAgentServer, watcher: Watcher) -> None:
    server.agent("a").always("a", "b")

    async def scenario() -> None:
        options = {"read_ahead_bytes": 1000}
        client = style.client("a", base_url=server.url, transport_options=options)
        await read_to_the_end(client, style)
        await style.settle()

    style.run(scenario)
    assert ["started", "completed"] == watcher.outcomes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_tells_only_in_the_process_that_reads(server: FakeAgentServer, watcher: Watcher) -> None:
    server.agent("a").always(*HANGS)
    stream = RunAgentClient("a", base_url=server.url).run_generic_stream("x")
    assert "a" == next(stream)
    child = os.fork()
    if child == 0:
        del stream
        gc.collect()
        os._exit(len(watcher.told))
    assert 1 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    stream.close()
    assert ["started", "left"] == watcher.outcomes


# Preparing a call


class Preparer:
    """Changes a call as a test says."""

    def __init__(self, change: Callable[[AgentCall], Any]) -> None:
        self.change = change

    @hookimpl
    def runagent_prepare_call(self, call: AgentCall) -> Any:
        return self.change(call)


def with_header(name: str, value: str) -> Preparer:
    return Preparer(lambda call: replace(call, headers=(*call.headers, (name, value))))


def run_prepared(style: Style, server: FakeAgentServer, *preparers: Any) -> Any:
    """Run once and return the request that the agent saw."""
    server.agent("a").always("x")
    for preparer in preparers:
        runagent.register_observer(preparer)

    async def scenario() -> None:
        await read_to_the_end(style.client("a", base_url=server.url, headers={"X-Own": "1"}), style)

    style.run(scenario)
    return server.requests[0]


@pytest.mark.usefixtures("observers")
def test_a_call_is_prepared_by_one_after_the_other(style: Style, server: FakeAgentServer) -> None:
    seen = []

    def look(call: AgentCall) -> None:
        seen.append(dict(call.headers))

    request = run_prepared(
        style,
        server,
        Preparer(look),
        with_header("Traceparent", "00-1"),
        Preparer(lambda call: replace(call, input={**call.input, "added": True})),
    )
    assert ("00-1", "1") == (request.headers["traceparent"], request.headers["x-own"])
    assert {"query": "x", "added": True} == request.body
    assert [{"X-Own": "1", "Traceparent": "00-1"}] == seen  # the last to come is the first to be asked


def test_the_prepared_call_is_what_observers_see(
    style: Style, server: FakeAgentServer, watcher: Watcher
) -> None:
    run_prepared(style, server, with_header("Traceparent", "00-1"))
    (call,) = watcher.calls
    assert ("Traceparent", "00-1") in call.headers
    assert call.api_key is None


@pytest.mark.usefixtures("observers")
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda _call: "text", "returned 'text' instead of an AgentCall"),
        (lambda call: replace(call, agent_id="another"), "changed agent_id; it may change args"),
        (lambda call: replace(call, api_key="stolen"), "changed api_key"),
        (lambda call: replace(call, headers=(("X", "a\r\nY: b"),)), "X"),
        (lambda call: replace(call, headers=(("Host", "elsewhere"),)), "Host"),
        (lambda call: replace(call, input={"query": object()}), "input"),
        (lambda _call: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_what_must_not_be_changed_is_not(
    style: Style, server: FakeAgentServer, caplog: pytest.LogCaptureFixture, change: Any, complaint: str
) -> None:
    request = run_prepared(style, server, Preparer(change))
    assert ({"query": "x"}, "1", "a") == (request.body, request.headers["x-own"], request.agent_id)
    (record,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "Preparer" in record.getMessage()
    assert "is switched off" in record.getMessage()
    assert complaint in str(caplog.text)


@pytest.mark.parametrize("name", sorted(CHANGEABLE))
def test_what_may_be_changed_is_documented(name: str) -> None:
    assert name in DOCS["plugins"].spans()


# Observers that fail


class Failing:
    """Fails at one hook, and would be glad not to be asked again."""

    def __init__(self, hook: str) -> None:
        self.hook = hook
        self.asked: list[str] = []

    def _meet(self, hook: str) -> None:
        self.asked.append(hook)
        if hook == self.hook:
            raise ZeroDivisionError("an observer's own fault")

    @hookimpl
    def runagent_prepare_call(self) -> None:
        self._meet("runagent_prepare_call")

    @hookimpl
    def runagent_call_started(self) -> None:
        self._meet("runagent_call_started")

    @hookimpl
    def runagent_call_finished(self) -> None:
        self._meet("runagent_call_finished")


@pytest.mark.parametrize("hook", HOOKS)
def test_an_observer_that_raises_is_logged_once_and_switched_off(
    style: Style, server: FakeAgentServer, watcher: Watcher, caplog: pytest.LogCaptureFixture, hook: str
) -> None:
    observer = Failing(hook)
    runagent.register_observer(observer)
    server.agent("a").always("x")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url)
        for _ in range(3):
            await read_to_the_end(client, style)

    style.run(scenario)
    assert list(HOOKS[: HOOKS.index(hook) + 1]) == observer.asked
    assert ["started", "completed"] * 3 == watcher.outcomes
    assert 1 == caplog.text.count("is switched off")
    assert "an observer's own fault" in caplog.text


class WithoutHook:
    def runagent_call_started(self) -> None:
        """Is not marked."""


class Misspelt:
    @hookimpl
    def runagent_call_strated(self) -> None: ...


class MisspeltArgument:
    @hookimpl
    def runagent_call_started(self, cal: object) -> None: ...


class Wrapper:
    @hookimpl(wrapper=True)
    def runagent_call_started(self) -> Any:
        return (yield)


class Waiting:
    @hookimpl
    async def runagent_call_started(self) -> None: ...


@pytest.mark.parametrize(
    ("observer", "complaint"),
    [
        (WithoutHook(), "implements none of runagent_prepare_call"),
        (Misspelt(), "runagent_call_strated"),
        (MisspeltArgument(), "cal"),
        (Wrapper(), "wraps no other"),
        (Waiting(), "without await"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_observer_is_refused(observers: Observers, observer: object, complaint: str) -> None:
    with pytest.raises(PluginError, match=complaint):
        runagent.register_observer(observer)
    assert observers.loaded() is None


# The cost


@pytest.mark.usefixtures("observers")
def test_nobody_is_asked_where_nobody_observes(
    server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*facts: object) -> None:
        raise AssertionError("asked")

    for name in ("prepare", "started", "finished"):
        monkeypatch.setattr(Observers, name, fail)
    server.agent("a").always("x")
    assert "x" == RunAgentClient("a", base_url=server.url).run_generic_stream("x").text()


def test_hooks_are_not_called_per_chunk(server: FakeAgentServer, watcher: Watcher) -> None:
    server.agent("a").always(*"abcdefgh" * 20)
    assert 160 == len(RunAgentClient("a", base_url=server.url).run_generic_stream("x").text())
    assert 2 == len(watcher.told)


# Every hook is tested and documented


@pytest.mark.parametrize("hook", [name for name in dir(hookspecs) if name.startswith("runagent_")])
def test_every_hook_is_tested_and_has_a_heading(hook: str) -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    assert f"def {hook}(" in tests
    assert hook in DOCS["plugins"].headings() or f"`{hook}`" in " ".join(DOCS["plugins"].headings())
    assert inspect.getdoc(getattr(hookspecs, hook))
