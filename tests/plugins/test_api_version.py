"""The transport API for third parties: its version, what they declare, and what core makes of it."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

import runagent
from runagent import Completed, ConfigurationError, ProtocolError, RunAgentClient, StreamTruncatedError
from runagent import transports as public
from runagent._plugins.registry import TransportRegistry, default_registry
from runagent.capabilities import (
    OLDEST_TRANSPORT_API_VERSION,
    TRANSPORT_API_VERSION,
    Capability,
    Declaration,
    api_version_fault,
    parse_declaration,
)
from tests.docs.pages import DOCS
from tests.support.peer import Peer, PeerConnection, answers, chunked, http, sse
from tests.support.transports import LettersSession, OwnTransport, QuietSession

if TYPE_CHECKING:
    from tests.support.styles import Style

LETTERS = chunked("text/plain", b"ab", b"c")


# Using a transport object


def test_a_transport_can_be_given_as_an_object(style: Style) -> None:
    async def scenario(url: str) -> list[Any]:
        stream = style.client("a", base_url=url, transport=OwnTransport()).run_generic_stream("x")
        return [event async for event in stream.events()]

    with Peer(answers(LETTERS)) as peer:
        *chunks, last = style.run(lambda: scenario(peer.url))
    assert ["a", "b", "c"] == [chunk.content for chunk in chunks]
    assert last == Completed()


def test_a_transport_can_be_one_of_a_choice() -> None:
    with Peer(answers(http(406)), answers(LETTERS)) as peer:
        client = RunAgentClient("a", base_url=peer.url, transport=["sse", OwnTransport()])
        stream = client.run_generic_stream("x")
        assert "abc" == stream.text()
    assert ["sse", "letters"] == [attempt.transport for attempt in stream.report.attempts]
    assert ("sse", "letters") == client.settings.transport


def test_a_given_transport_may_take_the_place_of_a_built_in_one() -> None:
    with Peer(answers(LETTERS)) as peer:
        client = RunAgentClient("a", base_url=peer.url, transport=OwnTransport("sse"))
        assert "abc" == client.run_generic_stream("x").text()


def test_a_registered_transport_is_chosen_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "spelled")
    with runagent.register_transport(OwnTransport("spelled")), Peer(answers(LETTERS)) as peer:
        assert "abc" == RunAgentClient("a", base_url=peer.url).run_generic_stream("x").text()
        with pytest.raises(ConfigurationError, match="another transport named 'spelled'"):
            runagent.register_transport(OwnTransport("spelled"))


def test_a_transport_is_known_until_its_handles_are_closed() -> None:
    transport = OwnTransport("spelled")
    with Peer(*[answers(LETTERS)] * 2) as peer:

        def read() -> str:
            return RunAgentClient("a", base_url=peer.url, transport="spelled").run_generic_stream("x").text()

        registered = runagent.register_transport(transport)
        with runagent.register_transport(transport):
            assert "abc" == read()
        assert "abc" == read()
        registered.close()
        registered.close()
        with pytest.raises(ConfigurationError, match="unknown transport 'spelled'"):
            read()
    with runagent.register_transport(OwnTransport("spelled")):  # the name is free
        assert default_registry().get("spelled") is not transport


@pytest.mark.parametrize("name", ["sse", "websocket", "auto"])
def test_names_that_mean_something_cannot_be_registered(name: str) -> None:
    with pytest.raises(ConfigurationError, match="take another"):
        runagent.register_transport(OwnTransport(name))


@pytest.mark.parametrize(
    ("transport", "complaint"),
    [
        (OwnTransport, "it is a class"),
        (OwnTransport("two words"), "its name"),
        (OwnTransport("a:b"), "its name"),
        (OwnTransport(None), "its name"),  # type: ignore[arg-type]
        (OwnTransport(api_version=None), "add api_version = 1"),
        (OwnTransport(api_version=0), "version 0 of the transport API.*upgrade the package that brings it"),
        (OwnTransport(api_version=TRANSPORT_API_VERSION + 1), "upgrade runagent"),
        (OwnTransport(capabilities={Capability.INVOKE}), "a frozenset"),
        (OwnTransport(capabilities=frozenset({"invoke"})), "a frozenset of Capability.INVOKE, .*'invoke'"),
        (OwnTransport(tunnels=None), "tunnels"),
        (object(), "its name"),
    ],
)
def test_what_is_no_transport_for_this_runagent_gets_a_reason(transport: Any, complaint: str) -> None:
    for take in (TransportRegistry().register, lambda given: RunAgentClient("a", transport=given)):
        with pytest.raises(ConfigurationError, match=complaint):
            take(transport)


@pytest.mark.parametrize("runs_on", [None, frozenset(), {"asyncio"}, frozenset({"asyncio", "curio"})])
def test_a_library_declares_in_which_loops_it_runs(runs_on: Any) -> None:
    library: Any = OwnTransport()
    library.run, library.runs_on = OwnTransport.open, runs_on
    with pytest.raises(ConfigurationError, match="runs_on has to be a frozenset of asyncio, trio or both"):
        TransportRegistry().register(library)


def test_a_transport_does_not_wait_to_open_sessions() -> None:
    async def wait(*_: Any) -> Any:
        raise AssertionError("never called")

    transport = OwnTransport()
    transport.open = wait  # type: ignore[assignment,method-assign]
    with pytest.raises(ConfigurationError, match="without async, or write an AsyncTransport"):
        TransportRegistry().register(transport)


def test_a_transport_needs_to_open_sessions() -> None:
    transport = OwnTransport()
    transport.open = None  # type: ignore[assignment,method-assign]
    with pytest.raises(ConfigurationError, match="no method open"):
        TransportRegistry().register(transport)


# Versions


def test_known_api_versions_have_no_fault() -> None:
    assert api_version_fault(TRANSPORT_API_VERSION) is None


def test_a_range_of_api_versions_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runagent.capabilities.TRANSPORT_API_VERSION", 4)
    monkeypatch.setattr("runagent.capabilities.OLDEST_TRANSPORT_API_VERSION", 2)
    assert [None] * 3 == [api_version_fault(version) for version in (2, 3, 4)]
    assert "knows 2 to 4; upgrade runagent" in str(api_version_fault(5))
    assert "knows 2 to 4; upgrade the package" in str(api_version_fault(1))


# Declarations


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("runagent.capabilities:v1", Declaration(1)),
        (" runagent.capabilities : v1.invoke.resume ", Declaration(1, frozenset({"invoke", "resume"}))),
        ("runagent.capabilities:v12.telepathy", Declaration(12, frozenset({"telepathy"}))),
        ("runagent.capabilities:v1.invoke [extra]", Declaration(1, frozenset({"invoke"}))),
        ("runagent.capabilities", None),
        ("another.api_version:v1", None),
        ("runagent.capabilities:TRANSPORT_API_VERSION", None),
    ],
)
def test_a_declaration_is_read_without_an_import(reference: str, expected: Declaration | None) -> None:
    assert expected == parse_declaration(reference)


def test_a_declaration_is_a_reference_that_leads_somewhere() -> None:
    entry = importlib.metadata.EntryPoint(
        "x", "runagent.capabilities:v1.invoke.structured", "runagent.capabilities"
    )
    assert entry.load() == parse_declaration(entry.value)


def test_a_misspelt_capability_leads_nowhere() -> None:
    with pytest.raises(AttributeError, match=r"no capability 'invoek'; there are: .*invoke"):
        Declaration(1).invoek  # noqa: B018  # the look-up is the test


@pytest.mark.parametrize("name", ["chunked", "sse", "websocket"])
def test_built_in_transports_state_version_and_capabilities(name: str) -> None:
    transport = default_registry().get(name)
    assert TRANSPORT_API_VERSION == transport.api_version
    assert transport.capabilities >= {Capability.INVOKE, Capability.STRUCTURED}
    assert (Capability.RESUME in transport.capabilities) == (name != "websocket")


# What core makes of capabilities


def plain_run(style: Style, url: str, *choice: Any) -> Any:
    async def scenario() -> Any:
        client = style.client("a", base_url=url, transport=list(choice))
        return await client.run_generic("x")

    return style.run(scenario)


def test_a_plain_run_needs_a_transport_that_makes_plain_runs(style: Style) -> None:
    streams_only = OwnTransport(capabilities=frozenset())
    with pytest.raises(ConfigurationError, match="'letters' cannot make a plain run: stream it") as caught:
        plain_run(style, "http://127.0.0.1:1", streams_only)
    assert "NO_PLAIN_RUN" == caught.value.code


def test_a_plain_run_goes_over_the_first_that_can(style: Style) -> None:
    with Peer(answers(LETTERS)) as peer:
        streams_only = OwnTransport("streams", capabilities=frozenset())
        assert "all" == plain_run(style, peer.url, streams_only, OwnTransport())


def test_a_stream_is_resumed_only_if_the_transport_declares_it() -> None:
    sse_transport = default_registry().get("sse")
    cut = sse(("chunk", {"content": "a", "index": 0}), end=False)
    rest = sse(("chunk", {"content": "b", "index": 1}), ("done", {}))

    class Unresumable(OwnTransport):
        def open(self, *args: Any) -> Any:
            return sse_transport.open(*args)

    with Peer(answers(cut), answers(rest)) as peer:
        client = RunAgentClient("a", base_url=peer.url, retry_delay=0)
        assert "ab" == client.run_generic_stream("x").text()
    with Peer(answers(cut), answers(rest)) as peer:
        client = RunAgentClient("a", base_url=peer.url, retry_delay=0, transport=Unresumable())
        with pytest.raises(StreamTruncatedError):
            client.run_generic_stream("x").text()


# What core does not take on trust


@pytest.mark.parametrize("method", ["run_generic_stream", "run_generic"])
def test_a_session_that_stops_without_a_last_event_is_no_good_end(style: Style, method: str) -> None:
    async def scenario(url: str) -> Any:
        client = style.client("a", base_url=url, transport=OwnTransport(session=QuietSession))
        if method == "run_generic":
            return await client.run_generic("x")
        return [chunk async for chunk in client.run_generic_stream("x")]

    with (
        Peer(answers(http(200, "x"))) as peer,
        pytest.raises(ProtocolError, match="'letters' ended the run without its last event"),
    ):
        style.run(lambda: scenario(peer.url))


class FaultySession(LettersSession):
    def read_body(self, data: bytes) -> list[Any]:
        raise ZeroDivisionError("a bug")


def test_a_bug_in_a_session_is_raised_and_ends_the_stream(style: Style) -> None:
    def act(connection: PeerConnection) -> None:
        connection.read_request()
        connection.send(LETTERS[: LETTERS.index(b"ab") + 2])
        connection.wait_gone()

    async def scenario(url: str) -> None:
        client = style.client("a", base_url=url, transport=OwnTransport(session=FaultySession))
        stream = client.run_generic_stream("x")
        with pytest.raises(ZeroDivisionError):
            await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    with Peer(act) as peer:
        style.run(lambda: scenario(peer.url))


# The public place


def test_public_names_for_transports_exist() -> None:
    assert sorted(public.__all__) == dir(public)
    assert all(getattr(public, name) is not None for name in public.__all__)
    with pytest.raises(AttributeError, match=r"'runagent.transports' has no attribute 'Sessoin'"):
        public.Sessoin  # type: ignore[attr-defined]  # noqa: B018  # the look-up is the test


@pytest.mark.parametrize("name", public.__all__)
def test_public_names_for_transports_are_documented(name: str) -> None:
    assert name in DOCS["transport-api"].words()


@pytest.mark.parametrize("capability", Capability)
def test_capabilities_are_documented(capability: Capability) -> None:
    assert capability.value in {row[0].strip("`") for row in DOCS["transport-api"].rows()}


def test_the_public_place_is_light() -> None:
    code = "import sys, runagent.transports; print(sorted(m for m in sys.modules if m[:8] == 'runagent'))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    light = ["_internal", "_internal.lazy", "_version", "transports"]
    assert str(["runagent", *(f"runagent.{name}" for name in light)]) == shown.stdout.strip()


def test_the_version_on_the_page_is_that_of_the_code() -> None:
    text = DOCS["transport-api"].text
    assert f"has version {TRANSPORT_API_VERSION} of the transport API" in text
    assert f"takes transports from version {OLDEST_TRANSPORT_API_VERSION} on" in text.replace("\n", " ")


def test_the_metadata_on_the_pages_is_valid() -> None:
    text = "".join(DOCS[name].text for name in ("plugins", "transport-api", "observers"))
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    groups = [tomllib.loads(block)["project"]["entry-points"] for block in blocks]
    known = {"runagent", "runagent.transports", "runagent.capabilities", "runagent_testing.dialects"}
    assert known == set().union(*groups)
    for reference in (value for group in groups for value in group.get("runagent.capabilities", {}).values()):
        assert importlib.metadata.EntryPoint("x", reference, "x").load() == parse_declaration(reference)
