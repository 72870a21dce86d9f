"""Observers are guests: none is in the way, whatever it does, and none costs where there is none."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

import runagent
from runagent import PluginError, RunAgentClient
from runagent._plugins import hookspecs
from runagent._plugins.call_observers import HOOKS
from runagent._plugins.observers import Observers, default_observers
from tests.docs.pages import DOCS, ROOT
from tests.observers.watcher import Watcher, read_to_the_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing import FakeAgentServer
    from tests.support.styles import Style


class Failing:
    """Fails at one hook, and would be glad not to be asked again."""

    def __init__(self, hook: str) -> None:
        self.hook = hook
        self.asked: list[str] = []

    def observe_call(self, call: object) -> Failing:
        return self

    def __getattr__(self, hook: str) -> Callable[..., None]:
        if hook not in HOOKS:
            raise AttributeError(hook)

        def meet(*facts: object) -> None:
            self.asked.append(hook)
            if hook == self.hook:
                raise ZeroDivisionError("an observer's own fault")

        return meet


ORDER = ("prepare", "attempt", "first_event", "received", "completed", "attempt_ended", "finished")


@pytest.mark.parametrize("hook", ORDER)
def test_an_observer_that_raises_is_logged_and_asked_nothing_more_about_that_call(
    style: Style,
    server: FakeAgentServer,
    watcher: Watcher,
    observe: Callable[[object], runagent.Registration],
    caplog: pytest.LogCaptureFixture,
    hook: str,
) -> None:
    observer = Failing(hook)
    observe(observer)
    server.agent("a").always("x", writes="merged")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url)
        for _ in range(2):
            await read_to_the_end(client, style)

    style.run(scenario)
    assert set(ORDER) == set(HOOKS)
    heard = list(dict.fromkeys(observer.asked))
    assert list(ORDER[: ORDER.index(hook) + 1]) == heard
    assert 2 == observer.asked.count(hook)  # once a call
    assert ["started", "completed"] * 2 == watcher.outcomes
    assert 2 == caplog.text.count("is asked nothing more about this call")
    assert "an observer's own fault" in caplog.text


class Raising:
    def observe_call(self, call: object) -> None:
        raise ZeroDivisionError


class Pointless:
    def observe_call(self, call: object) -> object:
        return object()


class Awaited:
    def observe_call(self, call: object) -> Awaited:
        return self

    async def finished(self, report: object) -> None: ...


@pytest.mark.parametrize(
    ("observer", "complaint"),
    [
        (Raising(), "ZeroDivisionError"),
        (Pointless(), "has none of the methods prepare, attempt"),
        (Awaited(), "without await"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_an_observer_does_wrong_is_logged(
    server: FakeAgentServer,
    observe: Callable[[object], runagent.Registration],
    caplog: pytest.LogCaptureFixture,
    observer: object,
    complaint: str,
) -> None:
    observe(observer)
    server.agent("a").always("x")
    assert "x" == RunAgentClient("a", base_url=server.url).run_generic_stream("x").text()
    assert complaint in caplog.text


class Misspelt:
    def observe_calls(self, call: object) -> None: ...


class Waiting:
    async def observe_call(self, call: object) -> None: ...


@pytest.mark.parametrize(
    ("observer", "complaint"),
    [
        (object(), r"has no method observe_call\(call\)$"),
        (Misspelt(), "is 'observe_calls' meant to be it"),
        (Watcher, "make an object of it"),
        (Waiting(), "without await"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_observer_is_refused(observer: object, complaint: str) -> None:
    with pytest.raises(PluginError, match=complaint):
        runagent.register_observer(observer)
    assert default_observers().loaded() is None


def test_without_observers_no_hook_is_called(
    server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*facts: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(Observers, "observe", fail)
    server.agent("a").always("x")
    assert "x" == RunAgentClient("a", base_url=server.url).run_generic_stream("x").text()


def test_an_observer_is_asked_until_its_handles_are_closed(server: FakeAgentServer) -> None:
    server.agent("a").always("x")
    client, watcher = RunAgentClient("a", base_url=server.url), Watcher()

    def asked() -> bool:
        before = len(watcher.noted)
        client.run_generic_stream("x").text()
        return len(watcher.noted) - before == 2  # once for each hook, however often it is registered

    registered = runagent.register_observer(watcher)
    with runagent.register_observer(watcher):
        assert asked()
    assert asked()
    registered.close()
    registered.close()
    assert not asked()
    with runagent.register_observer(watcher):
        assert asked()
    assert default_observers().loaded() is None


def test_a_closed_observer_hears_the_end_of_a_run_that_has_begun(server: FakeAgentServer) -> None:
    server.agent("a").always("x")
    watcher = Watcher()
    with runagent.register_observer(watcher):
        stream = RunAgentClient("a", base_url=server.url).run_generic_stream("x")
        next(stream)
    assert "" == stream.text()
    assert ["started", "completed"] == watcher.outcomes


def test_hooks_are_not_called_per_chunk(server: FakeAgentServer, watcher: Watcher) -> None:
    server.agent("a").always(*"abcdefgh" * 20)
    assert 160 == len(RunAgentClient("a", base_url=server.url).run_generic_stream("x").text())
    assert 2 == len(watcher.noted)


@pytest.mark.parametrize("hook", [name for name in dir(hookspecs) if name.startswith("runagent_")])
def test_every_hook_is_tested_and_has_a_heading(hook: str) -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    assert f"def {hook}(" in tests
    pages = DOCS["observers"], DOCS["transport-api"]
    assert f"`{hook}`" in {heading for page in pages for heading in page.headings()}
    assert inspect.getdoc(getattr(hookspecs, hook))
