"""The registry of transports: found by name, loaded on first use, clear when something is wrong."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from runagent import ConfigurationError, PluginError, RunAgentClient
from runagent._plugins.installed import Installed
from runagent._plugins.registry import BUILT_IN, TransportRegistry
from runagent.transports._base import Transport
from tests.support.distributions import install as write
from tests.support.distributions import transport_module
from tests.support.transports import OwnTransport

if TYPE_CHECKING:
    from pathlib import Path

GOOD = transport_module("loud")

numbers = itertools.count()
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution that brings a transport, as far as the import system can see."""

    def install(distribution: str, name: str, source: str, folder: str = "site", **more: Any) -> None:
        module = f"plugin_{next(numbers)}"  # modules of earlier tests stay imported
        write(tmp_path / folder, distribution, source, transports=(name,), module=module, **more)
        monkeypatch.syspath_prepend(str(tmp_path / folder))

    return install


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_built_in_transports_are_found_by_name(name: str) -> None:
    transport = TransportRegistry(Installed()).get(name)
    assert transport.name == name
    assert isinstance(transport, Transport)


def test_a_plugin_is_found_by_its_entry_point(install: Install) -> None:
    install("runagent-loud", "loud", GOOD)
    registry = TransportRegistry(Installed())
    assert registry.get("loud").name == "loud"
    assert registry.get("runagent_loud:loud") is registry.get("loud")


LIBRARY = """
from runagent import Chunk, Completed, hookimpl

class Library:
    name = "library"
    api_version = 1
    capabilities = frozenset()
    runs_on = frozenset({"asyncio"})

    async def run(self, call, address, resume, emit):
        await emit(Chunk("from a package"), Completed())

@hookimpl
def runagent_register_transports(register):
    register(Library())
"""


def test_a_plugin_may_be_an_asynchronous_library(install: Install) -> None:
    install("runagent-library", "library", LIBRARY, declares="v1")
    library = TransportRegistry(Installed()).get("library")
    client = RunAgentClient("a", base_url="http://127.0.0.1:1", transport=library)
    assert "from a package" == client.run_generic_stream("x").text()


def test_listing_names_distributions_and_versions_without_importing(install: Install) -> None:
    install("runagent-loud", "loud", "raise RuntimeError('imported')")
    infos = {info.name: info for info in TransportRegistry(Installed()).installed()}
    assert {"chunked", "loud", "sse", "websocket"} <= infos.keys()
    assert (infos["loud"].distribution, infos["loud"].version) == ("runagent-loud", "1.2")


def test_a_broken_plugin_is_an_error_that_names_it(install: Install) -> None:
    install("runagent-broken", "broken", "import nothing_of_that_name")
    with pytest.raises(PluginError, match=r"runagent-broken .* cannot be loaded") as caught:
        TransportRegistry(Installed()).get("broken")
    assert caught.value.plugin == "runagent-broken:broken"
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("", "offers no transport 'loud'; it has no function runagent_register_transports"),
        (GOOD.replace("@hookimpl", ""), "it has no function .* marked with runagent.hookimpl"),
        (GOOD.replace("register(Plugged())", "pass"), "offers no transport 'loud'; its hook registers none"),
        (transport_module("quiet"), "offers 'quiet': the entry point's name has to be the transport's"),
        (GOOD.replace("register_transports", "register_transprots"), "cannot be loaded"),
        (GOOD.replace("register(Plugged())", "register(Plugged)"), "is not a transport"),
        (GOOD.replace("register(Plugged())", "register(42)"), "is not a transport"),
    ],
)
def test_a_plugin_that_keeps_no_promise_is_refused(install: Install, source: str, complaint: str) -> None:
    install("runagent-loud", "loud", source)
    with pytest.raises(PluginError, match=complaint):
        TransportRegistry(Installed()).get("loud")


def test_a_slow_import_delays_only_its_own_users(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    gate: Any = SimpleNamespace(entered=threading.Event(), opened=threading.Event())
    monkeypatch.setitem(sys.modules, "gate_of_a_test", gate)
    wait = "import gate_of_a_test as gate; gate.entered.set(); assert gate.opened.wait(10)"
    install("runagent-slow", "slow", transport_module("slow", wait), "one")
    install("runagent-loud", "loud", GOOD, "two")
    registry = TransportRegistry(Installed())
    with ThreadPoolExecutor() as threads:
        asked = [threads.submit(registry.get, "slow") for _ in range(4)]
        assert gate.entered.wait(10)
        assert "loud" == registry.get("loud").name
        assert not any(future.done() for future in asked)
        gate.opened.set()
        assert 1 == len({id(future.result(10)) for future in asked})


def test_two_distributions_of_one_name_are_distinguished(install: Install) -> None:
    install("runagent-loud", "loud", GOOD, "one")
    install("runagent-other", "loud", GOOD, "two")
    registry = TransportRegistry(Installed())
    with pytest.raises(
        ConfigurationError, match=r"runagent-(loud|other):loud.* or .*runagent-(loud|other):loud"
    ):
        registry.get("loud")
    assert registry.get("runagent-other:loud").name == "loud"


def test_what_the_program_registers_goes_before_what_is_installed(install: Install) -> None:
    install("runagent-loud", "loud", GOOD)
    registry = TransportRegistry(Installed())
    own = OwnTransport("loud")
    registry.register(own)
    assert own is registry.get("loud")
    assert registry.get("runagent-loud:loud") not in (None, own)


ALIASES = ("ws", "wss", "http", "https", "ndjson", "auto", "WS", "Auto", "NDJSON")


@pytest.mark.parametrize("name", ALIASES)
def test_common_words_for_a_transport_are_reserved(install: Install, name: str) -> None:
    install("runagent-cuckoo", name, "raise RuntimeError('imported')")
    registry = TransportRegistry(Installed())
    with pytest.raises(ConfigurationError, match="has a meaning already"):
        registry.register(OwnTransport(name))
    with pytest.raises(ConfigurationError, match="has a meaning already"):
        RunAgentClient("a", transport=OwnTransport(name))
    (cuckoo,) = (plugin for plugin in registry.installed() if plugin.name == name)
    assert "reserved" == registry.status(cuckoo)
    if name.lower() not in ("auto", "ndjson"):
        with pytest.raises(ConfigurationError, match=rf"unknown transport '{name}'; did you mean '"):
            registry.get(name)


@pytest.mark.parametrize(
    ("name", "word"),
    [("ws", "'websocket'"), ("WSS", "'websocket'"), ("http", "'sse' or 'chunked'"), ("https", "'sse' or")],
)
def test_a_scheme_as_a_transport_is_answered_with_the_right_name(name: str, word: str) -> None:
    with pytest.raises(ConfigurationError, match=f"did you mean {word}"):
        RunAgentClient("a", base_url="http://127.0.0.1:1", transport=name).run_generic_stream("x")


def test_ndjson_is_another_name_of_chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = TransportRegistry(Installed())
    assert registry.get("chunked") is registry.load(BUILT_IN["chunked"]) is registry.get("ndjson")
    registry.check(["ndjson"])
    client = RunAgentClient("a", base_url="http://127.0.0.1:1", transport=["ndjson", "chunked", "sse"])
    assert ("chunked", "sse") == client.settings.transport
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "ndjson")
    assert ("chunked",) == RunAgentClient("a", base_url="http://127.0.0.1:1").settings.transport


def test_a_url_as_a_transport_is_not_shown_with_its_password() -> None:
    with pytest.raises(ConfigurationError, match="put a URL into base_url") as caught:
        RunAgentClient("a", transport="https://user:s3cret@agents.example").run_generic_stream("x")
    assert "s3cret" not in repr(caught.value)


def test_built_in_names_are_reserved(install: Install) -> None:
    install("runagent-cuckoo", "sse", "raise RuntimeError('imported')")
    assert type(TransportRegistry(Installed()).get("sse")).__module__ == "runagent.transports._sse"


@pytest.mark.parametrize("switch", ["all", "loud", "runagent_loud"])
def test_plugins_can_be_switched_off(install: Install, switch: str) -> None:
    install("runagent-loud", "loud", GOOD)
    registry = TransportRegistry(Installed({"RUNAGENT_DISABLE_PLUGINS": f"other, {switch}"}))
    with pytest.raises(ConfigurationError, match="RUNAGENT_DISABLE_PLUGINS switches it off"):
        registry.get("loud")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("webscoket", "did you mean 'websocket'?"),
        ("WebSocket", "did you mean 'websocket'?"),
        ("ws", "did you mean 'websocket'?"),
        ("SSE", "did you mean 'sse'?"),
        ("NDJSON", "did you mean 'ndjson'?"),
        ("grpc", "there are: "),
    ],
)
def test_an_unknown_transport_is_a_configuration_error_with_the_nearest_name(name: str, hint: str) -> None:
    client = RunAgentClient("a", base_url="http://127.0.0.1:1", transport=name)
    with pytest.raises(ConfigurationError, match=re.escape(f"unknown transport {name!r}; {hint}")):
        client.run_generic_stream("x")


def test_a_run_imports_only_its_own_transport() -> None:
    code = (
        "import sys; from runagent._plugins.registry import default_registry; default_registry().get('sse');"
        " print([t for t in ('chunked', 'sse', 'websocket') if f'runagent.transports._{t}' in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "['sse']"
