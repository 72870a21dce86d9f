"""The server that everybody is measured against: it parses next to nothing and writes bytes made beforehand.

The first ``WIRE-MODE-COUNT`` in a request's path chooses the answer:

* ``burst``: the whole answer at once;
* ``paced``: one event in each write, a thousand a second, each with the moment of its writing;
* ``many``: waits until COUNT streams are open, then writes an event to each of them twenty times a second;
  its answers end their connections, so that each round opens new ones, however many a client would keep.

    python -m tests.benchmarks.origin          prints its two ports, plain and TLS, and ends with its input
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import ssl
import sys
import threading
import time
from typing import TYPE_CHECKING

from tests.benchmarks.wires import WIRES, answer, stamped

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EVENTS_OF_MANY", "PACE", "main"]

PACE = 1000  # events a second of a paced stream
EVENTS_OF_MANY = 20
_RATE_OF_MANY = 20  # events a second of each of many streams
_ASKED = re.compile(rb"(%b)-(burst|paced|many)-(\d+)" % b"|".join(name.encode() for name in WIRES))
_KEY = re.compile(rb"sec-websocket-key: *(\S+)", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD_END, _CLOSE = b"\r\n\r\n", b"\r\nConnection: close"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_gathered: dict[bytes, list[tuple[socket.socket, threading.Event]]] = {}
_gathering = threading.Lock()


def main() -> None:
    """Serve until standard input ends."""
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    ports = [_listen(None), _listen(context)]
    ready = {"plain": ports[0], "tls": ports[1], "authority": authority.cert_pem.bytes().decode()}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


def _listen(context: ssl.SSLContext | None) -> int:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    threading.Thread(target=_accept, args=(listener, context), daemon=True).start()
    return int(listener.getsockname()[1])


def _accept(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    threading.stack_size(256 * 1024)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection, context), daemon=True).start()


def _serve(connection: socket.socket, context: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError), connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
        with connection:
            for head in _requests(connection):
                _answer(connection, head)
                if _KEY.search(head):
                    return


def _requests(connection: socket.socket) -> Iterator[bytes]:
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            received = connection.recv(65536)
            if not received:
                return
            data += received
        head, _, data = data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        missing = int(length[1]) - len(data) if length else 0
        while missing > 0:
            missing -= len(connection.recv(missing))
        data = b""
        yield head


def _answer(connection: socket.socket, head: bytes) -> None:
    asked = _ASKED.search(head)
    if asked is None:
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        return
    wire, mode, count = asked[1].decode(), asked[2].decode(), int(asked[3])
    key = _KEY.search(head)
    if key is not None:
        _shake_hands(connection, key[1])
    if mode == "burst":
        connection.sendall(answer(wire, count).whole)
    elif mode == "paced":
        _write_paced(connection, wire, count)
    else:
        _join_the_many(connection, asked[0], wire, count)
    if key is not None:
        connection.recv(64)  # the client's Close
        connection.sendall(b"\x88\x02\x03\xe8")


def _shake_hands(connection: socket.socket, key: bytes) -> None:
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )
    connection.recv(65536)  # the request message


def _write_paced(connection: socket.socket, wire: str, count: int) -> None:
    whole = answer(wire, 0)
    connection.sendall(whole.head)
    due = time.monotonic() + 1 / PACE
    for number in range(count):
        time.sleep(max(0.0, due - time.monotonic()))
        due += 1 / PACE
        connection.sendall(stamped(wire, number))
    connection.sendall(whole.ending)


def _join_the_many(connection: socket.socket, name: bytes, wire: str, count: int) -> None:
    connection.sendall(answer(wire, 0).head.replace(_HEAD_END, _CLOSE + _HEAD_END, 1))
    served = threading.Event()
    with _gathering:
        group = _gathered.setdefault(name, [])
        group.append((connection, served))
        if len(group) == count:
            del _gathered[name]
            threading.Thread(target=_write_many, args=(group, wire), daemon=True).start()
    served.wait()


def _write_many(group: list[tuple[socket.socket, threading.Event]], wire: str) -> None:
    """Give everybody the next event in turn; the writes are spread over the whole period."""
    time.sleep(1)  # the reader measures what the opening has cost
    began = time.monotonic()
    period = 1 / _RATE_OF_MANY
    for number in range(EVENTS_OF_MANY):
        for place, (connection, _) in enumerate(group):
            if place % 20 == 0:
                due = began + (number + place / len(group)) * period
                time.sleep(max(0.0, due - time.monotonic()))
            connection.send(stamped(wire, number))
    ending = answer(wire, 0).ending
    for connection, served in group:
        connection.send(ending)
        served.set()


if __name__ == "__main__":
    main()
