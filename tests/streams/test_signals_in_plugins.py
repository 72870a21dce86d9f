"""What a signal handler raises passes unchanged while a plugin is imported, or while its code runs."""

from __future__ import annotations

import asyncio
import gc
import itertools
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runagent import Chunk, Completed, PluginError, RunAgentClient
from runagent._plugins.installed import Installed
from runagent._plugins.observers import Observers
from runagent._plugins.registry import TransportRegistry
from tests.support.distributions import install, transport_module
from tests.support.signals import (
    HANDLERS_RAISE,
    assert_same,
    handling,
    strike,
)

if TYPE_CHECKING:
    from pathlib import Path

    from runagent_testing import FakeAgentServer
    from tests.support.styles import Style

numbers = itertools.count()


# While something is imported


def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, **names: Any) -> None:
    """Install a module that is interrupted at its first import, and works at the second."""
    module = f"interrupted_{next(numbers)}"
    once = "import sys\nfrom tests.support.signals import strike\n"
    once += f"if not hasattr(sys, {module!r}):\n    sys.{module} = True\n    strike()\n"
    monkeypatch.setattr(sys, module, None, raising=False)
    monkeypatch.delattr(sys, module)
    install(tmp_path, "runagent-struck", once + source, module=module, **names)
    monkeypatch.syspath_prepend(str(tmp_path))


@HANDLERS_RAISE
def test_the_import_of_a_transport_is_tried_again(
    handler: Any, raised: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, monkeypatch, transport_module("struck"), transports=("struck",))
    registry = TransportRegistry(Installed())
    with handling(handler):
        with pytest.raises(type(raised)) as caught:
            registry.get("struck")
        assert_same(raised, caught.value)
        assert "struck" == registry.get("struck").name


OBSERVER = """
from runagent import hookimpl
seen = []

@hookimpl
def runagent_observe_call(call):
    seen.append(call.agent_id)
"""


@HANDLERS_RAISE
def test_the_import_of_an_observer_is_tried_again(
    handler: Any, raised: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "runagent-before", OBSERVER, observers=("before",), module=f"before_{next(numbers)}")
    write(tmp_path, monkeypatch, OBSERVER, observers=("struck",))
    observers = Observers(Installed())
    with handling(handler):
        with pytest.raises(type(raised)) as caught:
            observers.loaded()
        assert_same(raised, caught.value)
        assert observers.loaded() is observers
    assert 2 == len(observers._sources)


@pytest.mark.parametrize("moment", ["register", "check_pending", "add_hookspecs"])
def test_registering_an_observer_that_is_interrupted_is_done_again(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pluggy

    observers = Observers(Installed({"RUNAGENT_DISABLE_PLUGINS": "all"}))

    class Watcher:
        from runagent import hookimpl

        @hookimpl
        def runagent_observe_call(self, call: object) -> None: ...

    watcher = Watcher()
    with monkeypatch.context() as patch, handling(signal.default_int_handler):
        original = getattr(pluggy.PluginManager, moment)

        def interrupted(*args: Any) -> Any:
            original(*args)
            strike()

        patch.setattr(pluggy.PluginManager, moment, interrupted)
        with pytest.raises(KeyboardInterrupt):
            observers._add_plugin(watcher, "watcher")
    observers._add_plugin(watcher, "watcher")
    assert 1 == len(observers._sources)


def test_ctrl_c_while_a_plugin_makes_a_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Python 3.12 it becomes a RuntimeError in ``__set_name__``."""
    source = (
        "import signal\nclass Named:\n    def __set_name__(self, owner, name):\n"
        "        signal.raise_signal(signal.SIGUSR1)\nclass Owner:\n    named = Named()\n"
    )
    module = f"naming_{next(numbers)}"
    install(tmp_path, "runagent-naming", source, transports=("naming",), module=module)
    monkeypatch.syspath_prepend(str(tmp_path))
    with handling(signal.default_int_handler), pytest.raises(KeyboardInterrupt):
        TransportRegistry(Installed()).get("naming")


def test_a_plugin_that_handles_ctrl_c_by_itself_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "try:\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt:\n    raise ImportError('no tool')\n"
    )
    module = f"handles_{next(numbers)}"
    install(tmp_path, "runagent-handles", source, transports=("handles",), module=module)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError, match="no tool"):
        TransportRegistry(Installed()).get("handles")


# While somebody else's code runs

WATCHED = ["observe_call", "prepare", "attempt", "first_event", "completed", "attempt_ended", "finished"]


@HANDLERS_RAISE
@pytest.mark.parametrize("hook", WATCHED)
def test_a_hook_of_an_observer(
    hook: str,
    handler: Any,
    raised: BaseException,
    server: FakeAgentServer,
) -> None:
    from runagent import register_observer

    server.agent("a").always("x")
    calls = []

    def watch(fact: object) -> None:
        calls.append(hook)
        if len(calls) == 1:
            strike()

    class Watcher:
        def observe_call(self, call: object) -> Watcher:
            return self

    watcher: Any = Watcher()
    setattr(watcher, hook, watch)
    client = RunAgentClient("a", base_url=server.url)
    with register_observer(watcher):
        with handling(handler), pytest.raises(type(raised)) as caught:
            client.run_generic_stream("q").text()
        assert_same(raised, caught.value)
        assert "x" == client.run_generic_stream("q").text()
    assert 2 == len(calls)  # it was not switched off
    client.close()


class StruckLibrary:
    """An `AsyncTransport` that is interrupted after its first event."""

    name = "library"
    api_version = 1
    capabilities: frozenset[Any] = frozenset()

    def __init__(self, runs_on: str) -> None:
        self.runs_on = frozenset({runs_on})

    async def run(self, call: Any, address: Any, resume: Any, emit: Any) -> None:
        await emit(Chunk("x"))
        strike()
        await emit(Completed())


@HANDLERS_RAISE
def test_a_library_in_the_readers_own_loop(
    handler: Any, raised: BaseException, style: Style, caplog: pytest.LogCaptureFixture
) -> None:
    if style.name == "sync" or isinstance(raised, asyncio.CancelledError):
        pytest.skip("signals come in no other thread, and a cancelled task is nobody's failure")

    async def scenario() -> None:
        runs_on = "trio" if style.name == "trio" else "asyncio"
        client = style.client("a", base_url="http://127.0.0.1:1", transport=StruckLibrary(runs_on))
        await client.run_generic_stream("q", timeout=10).text()

    with handling(handler), pytest.raises(type(raised)) as caught:
        style.run(scenario)
    assert_same(raised, caught.value)
    raised.__traceback__ = None  # which keeps the library's task
    del caught
    gc.collect()
    assert "never retrieved" not in caplog.text
