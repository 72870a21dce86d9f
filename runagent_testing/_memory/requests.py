"""Parses requests, with httptools. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httptools

from runagent._wire.http1 import let_interrupts_through
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing.dialects._request import MAX_BODY, Request, joined

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BadRequestError", "RequestReader"]

__tracebackhide__ = is_ours


class BadRequestError(Exception):
    """The client's bytes are not an HTTP request."""


class RequestReader:
    """Reads the requests of one connection.

    Args:
        connection: The connection's number.
        now: Returns the time in seconds.

    Attributes:
        rest: The bytes after a request that asks for an upgrade; None before such a request.
        expects_continue: Whether the client waits for a ``100 Continue``; its sender resets this.
    """

    def __init__(self, connection: int, now: Callable[[], float]) -> None:
        self._now = now
        self._count = 0
        self._ignored: dict[str, str] = {}
        self.rest: bytes | None = None
        self.expects_continue = False
        self._connection = connection
        self._parser = httptools.HttpRequestParser(self)
        self._done: list[Request] = []
        self.on_message_begin()

    def feed(self, data: bytes) -> list[Request]:
        """Take bytes, and return the requests that they complete.

        Raises:
            BadRequestError: The bytes are not HTTP.
        """
        if self.rest is not None:
            self.rest += data
            return []
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._headers.get("upgrade", "").lower() != "websocket":
                return self._without_upgrade(rest)
            self.rest = rest
        except httptools.HttpParserError as exc:
            let_interrupts_through(exc)
            raise BadRequestError(str(exc)) from exc
        done, self._done = self._done, []
        return done

    def _without_upgrade(self, rest: bytes) -> list[Request]:
        """Read a request again as one that asks for no upgrade, which a server may ignore: RFC 9110, 7.8."""
        asked = self._done.pop()
        self._count -= 1
        fields = [f"{name}: {value}" for name, value in self._fields if name.lower() != "upgrade"]
        version = "1.1" if asked.http_1_1 else "1.0"
        head = "\r\n".join([f"{asked.method} {asked.path} HTTP/{version}", *fields, "", ""])
        self._parser = httptools.HttpRequestParser(self)
        self._ignored = {"upgrade": asked.headers["upgrade"]}
        done, self._done = self._done, []
        return [*done, *self.feed(head.encode("latin-1") + rest)]

    # What httptools calls

    def on_message_begin(self) -> None:
        self._url = b""
        self._fields: list[tuple[str, str]] = []
        self._body: bytearray | None = bytearray()

    def on_url(self, data: bytes) -> None:
        self._url += data

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._headers = joined(self._fields) | self._ignored
        self._ignored = {}
        self.expects_continue = self._headers.get("expect", "").lower() == "100-continue"
        length = self._headers.get("content-length", "0")
        if length.isdigit() and int(length) > MAX_BODY:
            self._body = None
            self._complete()

    def on_body(self, data: bytes) -> None:
        if self._body is not None:
            self._body += data
            if len(self._body) > MAX_BODY:
                self._body = None
                self._complete()

    def on_message_complete(self) -> None:
        if self._body is not None:
            self._complete()

    def _complete(self) -> None:
        self.expects_continue = False
        self._done.append(
            Request(
                method=self._parser.get_method().decode("latin-1"),
                path=self._url.decode("latin-1"),
                headers=self._headers,
                connection=self._connection,
                body=None if self._body is None else bytes(self._body),
                http_1_1=self._parser.get_http_version() == "1.1",
                keep_alive=self._parser.should_keep_alive(),
                reused=self._count > 0,
                now=lambda: self._now(),
            )
        )
        self._count += 1
