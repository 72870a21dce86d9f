"""What a signal handler raises passes through unchanged, wherever it strikes, and nothing is made of it."""

from __future__ import annotations

import functools
import json
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from websockets.streams import StreamReader

from runagent import ProtocolError, RunAgentClient
from runagent._internal.locks import ForkSafeLock
from runagent._run.run import Run
from runagent._wire.http1 import ResponseDecoder
from runagent._wire.websocket import WebSocketConnection
from runagent_testing import FakeAgentServer, ending
from runagent_testing._memory.requests import RequestReader
from tests.docs.pages import ROOT
from tests.support.peer import Peer
from tests.support.signals import (
    HANDLERS_RAISE,
    TWO_HANDLERS_RAISE,
    SoftTimeLimit,
    assert_same,
    handling,
    raise_it,
    strike,
    striking,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.styles import Style

SECONDS = 10.0
CALLBACKS = ("begin", "add_field", "end_head", "end_message")


# While bytes are parsed


@HANDLERS_RAISE
@pytest.mark.parametrize("callback", CALLBACKS)
def test_a_callback_of_the_parser(
    callback: str, handler: Any, raised: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ResponseDecoder, callback, striking(getattr(ResponseDecoder, callback)))
    with handling(handler), pytest.raises(type(raised)) as caught:
        ResponseDecoder().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    assert_same(raised, caught.value)


@TWO_HANDLERS_RAISE
@pytest.mark.parametrize("callback", CALLBACKS)
def test_a_run_whose_answer_is_being_parsed(
    callback: str,
    handler: Any,
    raised: BaseException,
    style: Style,
    transport: str,
    server: FakeAgentServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if transport == "websocket" and callback == "end_message":
        pytest.skip("an upgrade has no end")
    server.agent("a").always("x", ending("stall") if callback != "end_message" else "y")
    monkeypatch.setattr(ResponseDecoder, callback, striking(getattr(ResponseDecoder, callback)))
    streams = []

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport, timeout=SECONDS)
        stream = client.run_generic_stream("q")
        streams.append(stream)
        await stream.text()

    with handling(handler), pytest.raises(type(raised)) as caught:
        style.run(scenario)
    assert_same(raised, caught.value)
    report = (streams[0].stream if style.name == "sync" else streams[0]).report
    assert ("failed" if isinstance(raised, Exception) else "closed") == report.outcome
    assert 1 == len(report.attempts)


@pytest.mark.parametrize("callback", CALLBACKS)
def test_ctrl_c_in_a_callback_while_the_caller_handles_an_exception(
    callback: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser's own error then has no room for what the callback was interrupted by."""
    monkeypatch.setattr(ResponseDecoder, callback, striking(getattr(ResponseDecoder, callback)))
    decoder = ResponseDecoder()
    try:
        raise ProtocolError("the one that is being handled")
    except ProtocolError:
        with handling(signal.default_int_handler), pytest.raises(KeyboardInterrupt):
            decoder.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")


def test_a_callback_when_a_folded_head_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResponseDecoder, "end_head", striking(ResponseDecoder.end_head))
    with handling(lambda *_: sys.exit(3)), pytest.raises(SystemExit):
        ResponseDecoder().feed(b"HTTP/1.1 200 OK\r\nA: b\r\n  c\r\nContent-Length: 0\r\n\r\n")


@HANDLERS_RAISE
def test_the_core_that_reads_frames(
    handler: Any, raised: BaseException, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connection = WebSocketConnection()
    monkeypatch.setattr(connection._core, "recv_frame", striking(connection._core.recv_frame))
    with handling(handler), pytest.raises(type(raised)) as caught:
        connection.receive_data(b"\x88\x02\x03\xe8")  # a Close
    assert_same(raised, caught.value)


@HANDLERS_RAISE
def test_the_core_that_is_being_made(
    handler: Any, raised: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps what its parser was struck by, and would close the connection instead."""
    monkeypatch.setattr(StreamReader, "at_eof", striking(StreamReader.at_eof))
    with handling(handler), pytest.raises(type(raised)) as caught:
        WebSocketConnection()
    assert_same(raised, caught.value)


@HANDLERS_RAISE
def test_the_requests_of_the_memory_network(
    handler: Any, raised: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RequestReader, "on_header", striking(RequestReader.on_header))
    with handling(handler), pytest.raises(type(raised)) as caught:
        RequestReader(1, lambda: 0.0).feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert_same(raised, caught.value)


@HANDLERS_RAISE
def test_a_run_whose_bytes_were_taken_half_is_over(
    handler: Any,
    raised: BaseException,
    style: Style,
    transport: str,
    server: FakeAgentServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.agent("a").always("x", ending("stall"))
    before_the_run = 1 if transport == "websocket" else 0  # the answer to the handshake
    monkeypatch.setattr(Run, "received", striking(Run.received, after=before_the_run))

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport, timeout=SECONDS)
        stream = client.run_generic_stream("q")
        with pytest.raises(type(raised)) as caught:
            await anext(stream)
        assert_same(raised, caught.value)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        gone = await style.in_thread(server.requests[0].wait_disconnected, SECONDS)
        assert gone

    with handling(handler):
        style.run(scenario)


# While the network is waited for


def stalled(transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", ending("stall"))
    stream = RunAgentClient("a", base_url=server.url, transport=transport).run_generic_stream("q")
    next(stream)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    next(stream)


def unanswered(transport: str, server: FakeAgentServer) -> None:
    with Peer(lambda connection: connection.wait_gone()) as peer:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        RunAgentClient("a", base_url=peer.url, transport=transport).run_generic_stream("q").text()


def handshaking(transport: str, server: FakeAgentServer) -> None:
    with Peer(lambda connection: connection.wait_gone()) as peer:
        url = peer.url.replace("http:", "https:")
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        RunAgentClient("a", base_url=url, transport=transport).run_generic_stream("q").text()


def sending(transport: str, server: FakeAgentServer) -> None:
    over = threading.Event()
    with Peer(lambda _: over.wait(SECONDS)) as peer:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            RunAgentClient("a", base_url=peer.url, transport=transport).run_generic_stream("q" * 10**7).text()
        finally:
            over.set()


@pytest.mark.parametrize("kind", [TimeoutError, ConnectionAbortedError, SoftTimeLimit])
@pytest.mark.parametrize("wait", [stalled, unanswered, handshaking, sending])
def test_an_alarm_that_raises_what_the_network_raises_too(
    wait: Callable[..., None], kind: type[Exception], transport: str, server: FakeAgentServer
) -> None:
    """``signal.alarm`` with a handler that raises TimeoutError is how many programs limit a call."""
    raised = kind("alarm")

    def ring(_number: int, _frame: object) -> None:
        raise raised

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with pytest.raises(kind) as caught:
            wait(transport, server)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert raised is caught.value


def test_an_alarm_while_a_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = threading.Event()
    original = socket.getaddrinfo

    def slow(*args: Any, **options: Any) -> Any:
        found.wait(SECONDS)
        return original("127.0.0.1", 1, type=socket.SOCK_STREAM)

    def ring(_number: int, _frame: object) -> None:
        raise TimeoutError("alarm")

    monkeypatch.setattr("runagent._net.resolve.socket.getaddrinfo", slow)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError, match=r"^alarm$"):
            RunAgentClient("a", base_url="http://agents.example").run_generic_stream("q").text()
    finally:
        signal.signal(signal.SIGALRM, before)
        found.set()


@pytest.mark.filterwarnings("ignore:Exception ignored in thread started by")
def test_while_a_thread_starts(server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter then looks for the thread where it is no more, and raises a KeyError."""
    server.agent("a").always("x")
    name = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"
    start = getattr(threading, name)

    def start_and_strike(bootstrap: Any, *args: Any, **options: Any) -> None:
        start(bootstrap, *args, **options)
        assert bootstrap.__self__._started.wait(SECONDS)
        monkeypatch.undo()
        strike()

    client = RunAgentClient("a", base_url=server.url, transport_options={"read_ahead_bytes": 1000})
    monkeypatch.setattr(threading, name, start_and_strike)
    error = SoftTimeLimit("struck")
    with handling(functools.partial(raise_it, error)), pytest.raises(SoftTimeLimit) as caught:
        next(client.run_generic_stream("q"))
    assert_same(error, caught.value)
    client.close()


# What is left behind


def test_no_lock_stays_locked() -> None:
    plain, lock = threading.RLock(), ForkSafeLock()
    if not stays_free(plain, plain):
        pytest.skip("this interpreter leaves any lock locked (python/cpython#148874)")
    assert stays_free(lock, lock._lock)


def stays_free(lock: Any, inner: Any) -> bool:
    """Raise from a signal handler while a lock is taken and released, and look whether it stays locked."""
    taken = 0

    def ring(_number: int, _frame: object) -> None:
        raise SoftTimeLimit

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with ThreadPoolExecutor(1) as pool:
            for number in range(200):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0001 + number % 7 * 0.00003)
                    while True:
                        with lock:
                            taken += 1
                except SoftTimeLimit:
                    pass
                if not pool.submit(inner.acquire, timeout=SECONDS / 5).result():
                    return False
                pool.submit(inner.release).result()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert taken > 0
    return True


# The interpreter drops what a handler raises in a finalizer, ends a thread whose start was interrupted, and
# closes a socket that an interrupt has left without a name: all of these with a warning.
@pytest.mark.filterwarnings("ignore:Exception ignored in", "ignore:unclosed <socket")
@pytest.mark.parametrize("ahead", [0, 1000])
def test_no_stream_stays_taken(ahead: int, server: FakeAgentServer) -> None:
    """After any interrupt the next read is neither refused nor does it wait for ever."""
    server.agent("a").always("x", ending("stall"))
    armed = False

    def ring(_number: int, _frame: object) -> None:
        if armed:
            raise SoftTimeLimit

    options = {"read_ahead_bytes": ahead} if ahead else {}
    client = RunAgentClient("a", base_url=server.url, transport_options=options)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        for number in range(100):
            stream = client.run_generic_stream("q")
            try:
                armed = True
                signal.setitimer(
                    signal.ITIMER_REAL, 0.0003 + number * 0.00005, 0.5
                )  # again, if it is dropped
                next(stream)
                next(stream)
            except SoftTimeLimit:
                armed = False
            # At its end where the interrupt came in the middle of something, and else at its next chunk.
            stream.close()
            assert next(stream, None) is None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        client.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ("sync", "KeyboardInterrupt"),
        ("sync", "SoftTimeLimit"),
        ("ahead", "KeyboardInterrupt"),
        ("trio", "SIGINT"),
    ],
    ids=" ".join,
)
def test_a_storm_of_signals_on_short_runs(arguments: tuple[str, str]) -> None:
    """Each signal comes out of the run that it has struck, as itself.

    Those that strike a finalizer are dropped by the interpreter, and counted apart.
    """
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.storm", *arguments, "2.5"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert 0 == ran.returncode, ran.stderr
    counts = json.loads(ran.stdout.splitlines()[-1])
    assert ({}, {}) == (counts["swallowed"], counts["others"])
    assert counts["seen"] > 20
    assert counts["finalizers"] <= 2 + counts["seen"] // 20
    assert counts["held"] <= 2 + counts["seen"] // 50  # struck between two steps of opening or keeping one
