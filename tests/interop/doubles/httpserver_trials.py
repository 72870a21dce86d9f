"""pytest-httpserver: a real server, whose streams a test writes as generators."""

# mypy: ignore-errors
# A separate environment runs this, which has the double; that of the project does not.

from __future__ import annotations

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
from pytest_httpserver import HTTPServer
from trials import main, situation
from werkzeug import Response

PATIENCE = 5.0  # seconds


@contextlib.contextmanager
def serving(*answers, threaded=True, path="/stream"):
    """A server with these answers, one for each request in order."""
    server = HTTPServer(port=0, threaded=threaded)
    for answer in answers:
        server.expect_ordered_request(path).respond_with_handler(answer)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def streams(*steps):
    """A handler that streams these steps: texts, pauses in seconds, events to wait for, and errors."""

    def chunks():
        for step in steps:
            if isinstance(step, float):
                time.sleep(step)
            elif isinstance(step, threading.Event):
                step.wait(PATIENCE)
            elif isinstance(step, Exception):
                raise step
            else:
                yield step

    return lambda _request: Response(chunks())


def read(server, **options):
    """Read a stream; return what came, the error, and the fields of the head."""
    came, fields = [], {}
    try:
        with httpx.stream("GET", server.url_for("/stream"), **options) as response:
            fields = response.headers
            came.extend(response.iter_raw())
    except httpx.HTTPError as error:
        return came, error, fields
    return came, None, fields


def disconnect_early(server):
    """Read the first piece of a stream."""
    with httpx.stream("GET", server.url_for("/stream")) as response:
        next(response.iter_raw())


@situation(4, "yes")
def one_slow_answer_holds_no_other_up():
    door = threading.Event()
    with (
        serving(streams(b"a", door), streams(b"b")) as server,
        ThreadPoolExecutor() as pool,
        httpx.stream("GET", server.url_for("/stream")),
    ):
        quick = pool.submit(read, server).result(PATIENCE)
        door.set()
    return quick[0] == [b"b"]


@situation(5, "yes")
def the_server_ends_after_a_hundred_clients_have_left():
    with serving(*[streams(b"a", 0.2, b"b")] * 100) as server:
        for _ in range(100):
            disconnect_early(server)
        began = time.monotonic()
    return time.monotonic() - began < PATIENCE


@situation(7, "partly")
def the_test_decides_when_each_event_comes():
    door = threading.Event()
    with (
        serving(streams(b"1", door, b"2")) as server,
        httpx.stream("GET", server.url_for("/stream")) as response,
    ):
        pieces = response.iter_raw()
        first = next(pieces)
        door.set()
        return (first, next(pieces)) == (b"1", b"2")


@situation(9, "partly")
def hundreds_of_slow_streams_at_once():
    with serving(*[streams(*[0.05, b"x"] * 4)] * 200) as server, ThreadPoolExecutor(200) as pool:
        answers = [pool.submit(read, server) for _ in range(200)]
        return all(b"".join(one.result()[0]) == b"xxxx" for one in answers)


@situation(10, "yes")
def the_first_answer_fails_and_the_next_is_good():
    with serving() as server:
        server.expect_ordered_request("/a").respond_with_data(status=503)
        server.expect_ordered_request("/a").respond_with_data("good")
        return [httpx.get(server.url_for("/a")).status_code for _ in range(2)] == [503, 200]


@situation(11, "yes")
def answers_by_body_and_header_and_one_for_the_rest():
    with serving() as server:
        server.expect_request("/a", json={"query": "rain"}).respond_with_data("by body")
        server.expect_request("/a", headers={"X-Tenant": "acme"}).respond_with_data("by header")
        server.expect_request("/a").respond_with_data("the rest")
        url = server.url_for("/a")
        asked = [httpx.post(url, json={"query": "rain"}), httpx.get(url, headers={"X-Tenant": "acme"})]
        return [one.text for one in (*asked, httpx.get(url))] == ["by body", "by header", "the rest"]


@situation(13, "partly")  # only with threaded=True, which is not the default
def the_double_sends_in_http_chunks():
    framing = []
    for threaded in (False, True):
        with serving(streams(b"1", b"2"), threaded=threaded) as server:
            framing.append(read(server)[2].get("transfer-encoding"))
    return framing == [None, "chunked"]


@situation(17, "partly")  # the server's own check does not find it
def a_stream_is_cut_after_two_chunks():
    with serving(streams(b"1", b"2", OSError("cut"))) as server:
        came, error, _ = read(server)
        server.check()
    return b"".join(came) == b"12" and isinstance(error, httpx.RemoteProtocolError)


@situation(19, "partly")
def the_client_lets_go():
    closed = threading.Event()

    def answer(request):
        def chunks():
            try:
                while True:
                    yield b"x" * 1000
                    time.sleep(0.01)
            finally:
                closed.set()

        return Response(chunks())

    with serving(answer) as server:
        disconnect_early(server)
        return closed.wait(PATIENCE)


@situation(25, "partly")
def a_stream_without_an_end():
    def answer(request):
        return Response(iter(lambda: time.sleep(0.001) or b"tick ", b""))

    with serving(answer) as server, httpx.stream("GET", server.url_for("/stream")) as response:
        pieces = response.iter_raw()
        return all(next(pieces).startswith(b"tick ") for _ in range(3))


@situation(33, "yes")
def the_order_of_requests():
    with serving() as server:
        for name in ("/planner", "/writer"):
            server.expect_request(name).respond_with_data("")
            httpx.get(server.url_for(name))
        return [request.path for request, _ in server.log] == ["/planner", "/writer"]


@situation(34, "yes")
def large_bodies_and_the_question_before_one():
    with serving() as server:
        server.expect_request("/a").respond_with_handler(
            lambda request: Response(str(len(request.get_data())))
        )
        server.expect_request("/b").respond_with_data(b"x" * 11_000_000)
        asked = httpx.post(server.url_for("/a"), content=b"x" * 16_000_000).text
        got = len(httpx.get(server.url_for("/b")).content)
        with socket.create_connection((server.host, server.port), PATIENCE) as client:
            client.sendall(
                b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
            )
            goes_on = client.recv(100)
            client.sendall(b"x")
            client.recv(1000)
    return (asked, got) == ("16000000", 11_000_000) and goes_on.startswith(b"HTTP/1.1 100 ")


@situation(37, "yes")
def half_a_request_and_then_silence():
    with serving() as server:
        client = socket.create_connection((server.host, server.port), PATIENCE)
        client.sendall(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        began = time.monotonic()
    ended = time.monotonic() - began < PATIENCE
    client.close()
    return ended


@situation(43, "partly")
def the_time_limit_of_the_client_is_met():
    with serving(streams(b"1", 0.5, b"2")) as server:
        _, error, _ = read(server, timeout=httpx.Timeout(5, read=0.1))
    return isinstance(error, httpx.ReadTimeout)


@situation(44, "partly")  # only with threaded=True: the default shows half a stream as a whole one
def a_stream_that_is_cut_off_shows_as_cut_off():
    errors = []
    for threaded in (False, True):
        with serving(streams(b"1", OSError("cut")), threaded=threaded) as server:
            errors.append(read(server)[1])
    return errors[0] is None and isinstance(errors[1], httpx.RemoteProtocolError)


if __name__ == "__main__":
    main("pytest-httpserver")
