"""Observers are guests: none is in the way, whatever it does, and none costs where there is none."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

import runagent
from runagent import PluginError, RunAgentClient, hookimpl
from runagent._plugins import hookspecs
from runagent._plugins.observers import HOOKS, Observers, default_observers
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
    style: Style,
    server: FakeAgentServer,
    watcher: Watcher,
    observe: Callable[[object], runagent.Registration],
    caplog: pytest.LogCaptureFixture,
    hook: str,
) -> None:
    observer = Failing(hook)
    observe(observer)
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
def test_what_is_no_observer_is_refused(observer: object, complaint: str) -> None:
    with pytest.raises(PluginError, match=complaint):
        runagent.register_observer(observer)
    assert default_observers().loaded() is None


def test_without_observers_no_hook_is_called(
    server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*facts: object) -> None:
        raise AssertionError("asked")

    for name in ("prepare", "started", "finished"):
        monkeypatch.setattr(Observers, name, fail)
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


def test_a_closed_observer_hears_nothing_more_of_a_run_that_has_begun(server: FakeAgentServer) -> None:
    server.agent("a").always("x")
    watcher = Watcher()
    with runagent.register_observer(watcher):
        stream = RunAgentClient("a", base_url=server.url).run_generic_stream("x")
        next(stream)
    assert "" == stream.text()
    assert ["started"] == watcher.outcomes


def test_a_handle_of_an_observer_that_failed_can_be_closed(server: FakeAgentServer) -> None:
    server.agent("a").always("x")
    observer = Failing("runagent_call_started")
    with runagent.register_observer(observer):
        RunAgentClient("a", base_url=server.url).run_generic_stream("x").text()
    assert ["runagent_prepare_call", "runagent_call_started"] == observer.asked
    with runagent.register_observer(observer):
        RunAgentClient("a", base_url=server.url).run_generic_stream("x").text()
    assert 4 == len(observer.asked)


def test_hooks_are_not_called_per_chunk(server: FakeAgentServer, watcher: Watcher) -> None:
    server.agent("a").always(*"abcdefgh" * 20)
    assert 160 == len(RunAgentClient("a", base_url=server.url).run_generic_stream("x").text())
    assert 2 == len(watcher.noted)


@pytest.mark.parametrize("hook", [name for name in dir(hookspecs) if name.startswith("runagent_")])
def test_every_hook_is_tested_and_has_a_heading(hook: str) -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    assert f"def {hook}(" in tests
    assert hook in DOCS["plugins"].headings() or f"`{hook}`" in " ".join(DOCS["plugins"].headings())
    assert inspect.getdoc(getattr(hookspecs, hook))
