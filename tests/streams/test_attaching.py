"""Handles of streams: another client reads on exactly behind what the first reader was handed."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from runagent import Chunk, Completed, ConfigurationError, RunAgentClient, StreamError, ValidationError
from runagent.transports import Capability, RunIds
from tests.support.lasting import Lasting, LastingSession, Service, serving
from tests.support.peer import http
from tests.support.process import run_python
from tests.support.transports import OwnTransport

if TYPE_CHECKING:
    from tests.support.peer import Peer
    from tests.support.styles import Style

TEXTS = ("a", "b", "c", "d")


def client_of(style: Style, peer: Peer, **options: Any) -> Any:
    options = {"transport": Lasting(), "retry_delay": 0.0} | options
    return style.client("a", base_url=peer.url, **options)


async def read(stream: Any, count: int) -> list[Any]:
    """Read so many events."""
    events = stream.events()
    return [await anext(events) for _ in range(count)]


@pytest.mark.parametrize("options", [{}, {"read_ahead_bytes": 1 << 20}])
@pytest.mark.parametrize("burst", [True, False])
@pytest.mark.parametrize("cut", range(1, len(TEXTS) + 2))
def test_another_client_reads_what_the_first_was_not_handed(
    style: Style, cut: int, burst: bool, options: dict[str, Any]
) -> None:
    async def scenario(peer: Peer) -> None:
        async with client_of(style, peer, transport_options=options) as client:
            stream = client.run_generic_stream("x")
            first = await read(stream, cut)
            open_handle = stream.handle
            await stream.aclose()
            assert open_handle == stream.handle
        async with client_of(style, peer) as client:
            rest = [event async for event in client.attach(open_handle).events()]
        texts = [event.content for event in (*first, *rest) if isinstance(event, Chunk)]
        assert list(TEXTS) == texts
        assert isinstance(rest[-1], Completed)

    with serving(Service(*TEXTS, burst=burst)) as peer:
        style.run(lambda: scenario(peer))
    assert 1 == sum(request.line.startswith("POST") for request in peer.requests)


def test_a_wait_hands_nothing_out(style: Style) -> None:
    async def scenario(peer: Peer) -> list[Any]:
        async with client_of(style, peer) as client:
            stream = client.run_generic_stream("x")
            await read(stream, 2)  # the greeting and the first chunk
            while not await stream.wait(0.01):
                pass
            handle = stream.handle
            await stream.aclose()
            return [content async for content in client.attach(handle)]

    with serving(Service(*TEXTS)) as peer:
        assert list(TEXTS[1:]) == style.run(lambda: scenario(peer))


def test_a_broken_stream_leaves_a_handle(style: Style) -> None:
    async def scenario(peer: Peer) -> tuple[list[Any], Any]:
        async with client_of(style, peer) as client:
            stream = client.run_generic_stream("x", max_resumes=0)
            with pytest.raises(StreamError):
                await stream.text()
            attached = client.attach(stream.handle)
            return [content async for content in attached], attached.report

    with serving(Service(*TEXTS, cut=2)) as peer:
        rest, report = style.run(lambda: scenario(peer))
    assert list(TEXTS[2:]) == rest
    assert report.attached
    assert report.as_dict()["attached"]
    assert "attached" in str(report)


def test_a_run_resumes_by_its_own_ids(style: Style) -> None:
    async def scenario(peer: Peer) -> tuple[list[Any], Any]:
        async with client_of(style, peer) as client:
            stream = client.run_generic_stream("x")
            return [content async for content in stream], stream.report

    with serving(Service(*TEXTS, cut=2)) as peer:
        texts, report = style.run(lambda: scenario(peer))
    assert list(TEXTS) == texts
    assert not report.attached
    assert ["POST /runs", "GET /runs/r%2F1?from=2"] == [r.line.rpartition(" ")[0] for r in peer.requests]


def test_an_attached_stream_has_a_handle_before_and_while_it_is_read(style: Style) -> None:
    async def scenario(peer: Peer) -> list[Any]:
        async with client_of(style, peer) as client:
            stream = client.run_generic_stream("x")
            await read(stream, 2)
            handle = stream.handle
            await stream.aclose()
            attached = client.attach(handle)
            assert handle == attached.handle
            await read(attached, 2)  # the greeting again, and the second chunk
            assert handle != attached.handle
            await attached.aclose()
            return [content async for content in client.attach(attached.handle)]

    with serving(Service(*TEXTS)) as peer:
        assert list(TEXTS[2:]) == style.run(lambda: scenario(peer))


def test_a_run_that_the_service_does_not_know_is_gone(style: Style) -> None:
    async def scenario(peer: Peer, service: Service) -> None:
        async with client_of(style, peer) as client:
            stream = client.run_generic_stream("x")
            await read(stream, 1)
            await stream.aclose()
            service.known = False
            with pytest.raises(StreamError) as caught:
                await client.attach(stream.handle).text()
            assert "GONE" == caught.value.code

    service = Service(*TEXTS)
    with serving(service) as peer:
        style.run(lambda: scenario(peer, service))
    assert 2 == len(peer.requests)


@pytest.mark.parametrize("failure", [http(502), http(503), b""])
def test_a_request_that_only_reads_is_repeated(style: Style, failure: bytes) -> None:
    async def scenario(peer: Peer, service: Service) -> Any:
        async with client_of(style, peer) as client:
            stream = client.run_generic_stream("x")
            await read(stream, 2)
            await stream.aclose()
            service.failing.append(failure)
            attached = client.attach(stream.handle)
            return await attached.text(), len(attached.report.attempts)

    service = Service(*TEXTS)
    with serving(service) as peer:
        assert ("bcd", 2) == style.run(lambda: scenario(peer, service))


def test_an_attached_stream_resumes(style: Style) -> None:
    async def scenario(peer: Peer, service: Service) -> Any:
        async with client_of(style, peer) as client:
            stream = client.run_generic_stream("x")
            await read(stream, 2)
            await stream.aclose()
            service.cut_again = 2
            attached = client.attach(stream.handle)
            return await attached.text(), len(attached.report.attempts)

    service = Service(*TEXTS)
    with serving(service) as peer:
        assert ("bcd", 2) == style.run(lambda: scenario(peer, service))
    assert ["/runs/r%2F1?from=1", "/runs/r%2F1?from=3"] == [r.target for r in peer.requests[1:]]


def test_a_run_has_no_handle_before_it_is_known_and_after_its_last_event(style: Style) -> None:
    async def scenario(peer: Peer) -> None:
        async with client_of(style, peer) as client:
            stream = client.run_generic_stream("x")
            assert stream.handle is None
            await stream.text()
            assert stream.handle is None

    with serving(Service(*TEXTS)) as peer:
        style.run(lambda: scenario(peer))


def test_a_protocol_without_lasting_runs_has_no_handle(style: Style) -> None:
    async def scenario(peer: Peer) -> None:
        async with client_of(style, peer, transport=Lasting(Capability.ATTACH)) as client:
            stream = client.run_generic_stream("x")
            await read(stream, 2)
            assert stream.handle is None
            await stream.aclose()

    with serving(Service(*TEXTS)) as peer:
        style.run(lambda: scenario(peer))


class _LargeIds(LastingSession):
    def read_body(self, data: bytes) -> Any:
        events = super().read_body(data)
        self.handle_ids = {"run": "x" * 1000, **{f"id{n}": "x" * 1000 for n in range(4)}}
        return events


class _SecretId(LastingSession):
    def read_body(self, data: bytes) -> Any:
        events = super().read_body(data)
        self.handle_ids = {"run": f"for-{self.call.api_key}"}
        return events


@pytest.mark.parametrize("session", [_LargeIds, _SecretId])
def test_ids_that_are_too_large_or_hold_the_key_make_no_handle(session: Any) -> None:
    transport = OwnTransport("lasting", session, capabilities=Lasting().capabilities - {Capability.CANCEL})
    with serving(Service(*TEXTS)) as peer:
        client = RunAgentClient("a", base_url=peer.url, transport=transport, api_key="0123456789secret")
        with client.run_generic_stream("x") as stream:
            next(stream)
            assert stream.handle is None
            assert any("handle" in kind for kind in stream.report.ignored)


def test_a_handle_shows_no_key() -> None:
    with serving(Service(*TEXTS)) as peer:
        client = RunAgentClient("a", base_url=peer.url, transport=Lasting(), api_key="0123456789secret")
        with client.run_generic_stream("x", headers={"X-Api-Key": "another-secret"}) as stream:
            next(stream)
            content = json.loads(_decoded(stream.handle or ""))
    assert {"transport", "origin", "agent_id", "ids", "place"} == content.keys()
    assert "secret" not in json.dumps(content)


def test_a_second_process_reads_the_rest() -> None:
    with serving(Service(*TEXTS)) as peer:
        client = RunAgentClient("a", base_url=peer.url, transport=Lasting())
        stream = client.run_generic_stream("x")
        first = [next(stream), next(stream)]
        handle = stream.handle
        stream.close()
        program = (
            "import sys\n"
            "from runagent import RunAgentClient\n"
            "from tests.support.lasting import Lasting\n"
            f"client = RunAgentClient('a', base_url={peer.url!r}, transport=Lasting())\n"
            f"print(client.attach({handle!r}).text(), end='')\n"
        )
        assert "ab" + "cd" == "".join(first) + run_python(program)


# Handles that a client refuses


def _decoded(handle: str) -> bytes:
    coded = handle.removeprefix("ra1.")
    return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))


def _coded(content: Any) -> str:
    return "ra1." + base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


ORIGIN = "http://127.0.0.1:9"
GOOD: dict[str, Any] = {"transport": "lasting", "origin": ORIGIN, "agent_id": "a", "ids": {"run": "r"}}
GOOD["place"] = {"next_index": 1, "last_event_id": "", "proof": "index", "parts": []}


def attach(handle: Any, **options: Any) -> Any:
    options = {"transport": Lasting()} | options
    return RunAgentClient("a", base_url=ORIGIN, **options).attach(handle)


def test_a_good_handle_is_taken() -> None:
    assert GOOD == json.loads(_decoded(attach(_coded(GOOD)).handle))


WRONG: list[dict[str, Any]] = [
    {"ids": {}},
    {"ids": {"run": 1}},
    {"ids": {"run": ""}},
    {"ids": {"run": "a\r\nX: y"}},
    {"ids": {"run": "\ud800"}},
    {"ids": {"run": "x" * 2000}},
    {"place": {"next_index": -1, "proof": "index"}},
    {"place": {"next_index": "1", "proof": "index"}},
    {"place": {"next_index": True, "proof": "index"}},
    {"place": {"next_index": 2**60, "proof": "index"}},
    {"place": {"next_index": 1}},
    {"place": {"proof": "index"}},
    {"place": {"last_event_id": "a\nb", "proof": "id"}},
    {"place": {"last_event_id": "", "proof": "id"}},
    {"place": {"proof": "snapshot", "parts": [{"name": "a", "size": -1, "digest": ""}]}},
    {"place": {"proof": "trust"}},
    {"trusted": True},
    {"transport": 1},
]
NEEDED = ("transport", "origin", "agent_id", "ids")


@pytest.mark.parametrize(
    "handle",
    [
        None,
        7,
        "",
        "ra1.",
        "ra2." + _coded(GOOD)[4:],
        _coded(GOOD) + "A" * 20_000,
        "ra1.\u00e9\u20ac",
        "ra1." + base64.urlsafe_b64encode(b'{"transport": "\xff"}').decode(),
        "ra1." + base64.urlsafe_b64encode(b"[" * 10_000).decode(),
        _coded([]),
        *(_coded({name: GOOD[name] for name in GOOD if name != left_out}) for left_out in NEEDED),
        *(_coded(GOOD | wrong) for wrong in WRONG),
    ],
)
def test_a_malformed_handle_is_refused_in_one_line(handle: Any) -> None:
    with pytest.raises(ValidationError, match="handle is malformed") as caught:
        attach(handle)
    assert "INVALID_HANDLE" == caught.value.code
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"agent_id": "b"}, "of another agent: the text 'b' instead of 'a'"),
        ({"transport": "sse"}, "of another transport: the text 'sse' instead of 'lasting'"),
        ({"origin": "https://evil.test"}, "of another service: .*evil.test"),
        ({"origin": "http://127.0.0.1:99"}, "of another service"),
    ],
)
def test_a_handle_of_something_else_is_refused(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        attach(_coded(GOOD | wrong))


@pytest.mark.parametrize("missing", [Capability.ATTACH, Capability.RESUME])
def test_a_transport_that_cannot_attach_is_refused(missing: Capability) -> None:
    with pytest.raises(ConfigurationError, match="cannot attach") as caught:
        attach(_coded(GOOD), transport=Lasting(missing))
    assert "NO_ATTACH" == caught.value.code


@pytest.mark.parametrize("run", ["..", "."])
def test_an_id_that_would_change_the_path_is_refused(style: Style, run: str) -> None:
    async def scenario(peer: Peer) -> None:
        async with client_of(style, peer) as client:
            handle = _coded(GOOD | {"origin": peer.url, "ids": {"run": run}})
            with pytest.raises(ValidationError, match="cannot be part of a path"):
                await client.attach(handle).text()

    with serving(Service(*TEXTS)) as peer:
        style.run(lambda: scenario(peer))
    assert [] == peer.requests


@pytest.mark.parametrize("run", ["a/../b?c#d", "%2e%2e", "a b", "\N{ROCKET}"])
def test_an_id_stays_in_its_segment_of_the_path(run: str) -> None:
    with serving(Service(*TEXTS)) as peer:
        client = RunAgentClient("a", base_url=peer.url, transport=Lasting())
        client.attach(_coded(GOOD | {"origin": peer.url, "ids": {"run": run}})).text()
    path = peer.requests[0].target.partition("?")[0]
    assert run == unquote(path.removeprefix("/runs/"))
    assert 2 == path.count("/")


def test_a_handle_without_the_id_that_the_transport_needs_is_refused() -> None:
    stream = attach(_coded(GOOD | {"ids": {"walk": "r"}}))
    with pytest.raises(ValidationError, match="no id 'run'"):
        stream.text()


def test_ids_are_a_dict_whose_missing_names_are_refused() -> None:
    ids = RunIds({"run": "a/b"})
    assert ("a/b", "a%2Fb", {"run": "a/b"}) == (ids["run"], ids.quoted("run"), dict(ids))
    with pytest.raises(ValidationError, match="no id 'thread'"):
        ids.quoted("thread")


def test_an_allowed_origin_is_attached_to_where_the_run_is(style: Style) -> None:
    async def scenario(peer: Peer) -> str:
        async with client_of(style, peer) as client:
            stream = client.run_generic_stream("x")
            await read(stream, 2)
            await stream.aclose()
        async with style.client(
            "a", base_url=ORIGIN, transport=Lasting(), allowed_origins=[peer.url]
        ) as client:
            text: str = await client.attach(stream.handle).text()
            return text

    with serving(Service(*TEXTS)) as peer:
        assert "bcd" == style.run(lambda: scenario(peer))
