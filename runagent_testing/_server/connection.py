"""One accepted connection: what its client speaks, and how it disconnects."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import HttpVersion11, web

from runagent_testing._host.foreign import BEGINNING, foreign_protocol
from runagent_testing._internal.log import log_failure
from runagent_testing._server.tcpinfo import bytes_taken, is_half_closed
from runagent_testing.dialects._request import MAX_BODY, Request, joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._host.foreign import Foreign
    from runagent_testing._journal.record import ClientState

__all__ = ["Connection", "read_request"]

_SECOND_LOOK = 0.02  # seconds


class Connection(web.RequestHandler):
    """aiohttp's protocol of one connection.

    Args:
        server: Makes the connection's requests.
        number: Of the connection.
        note_foreign: Records a connection that began with another protocol.

    Attributes:
        number: Of the connection.
        served: How many requests of agents' clients it has carried.
        is_control: Whether it has carried nothing but requests to the control API.
        departure: How the client disconnected and how many bytes it had taken by then; None before that.
    """

    __slots__ = ("_beginning", "_note_foreign", "_secure", "departure", "is_control", "number", "served")

    def __init__(self, server: web.Server, number: int, note_foreign: Callable[[Foreign, int], None]) -> None:
        loop = asyncio.get_running_loop()
        # No lingering: who is answered before the request was read is not listened to any longer.
        super().__init__(server, loop=loop, access_log=None, lingering_time=0)  # type: ignore[arg-type]
        self.number = number
        self.served = 0
        self.is_control = False
        self.departure: tuple[ClientState, int | None] | None = None
        self._secure = False
        self._beginning = b""
        self._note_foreign = note_foreign

    def data_received(self, data: bytes) -> None:
        """Take bytes; the first ones show what protocol a client speaks that sends no request."""
        if len(self._beginning) < BEGINNING:
            self._beginning += data[: BEGINNING - len(self._beginning)]
        super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no request, and log it; neither quotes it, as it may hold a key."""
        if (protocol := foreign_protocol(self._beginning)) is not None:
            self._note_foreign(protocol, self.number)
        else:
            self.log_exception(exc_info=exc)
        return super().handle_error(
            request, status, None, None if message is None else HTTPStatus(status).phrase
        )

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log what aiohttp cannot read, without its traceback, which quotes it."""
        if (failure := options.get("exc_info")) is not None:
            log_failure(f"connection {self.number}: invalid request ({type(failure).__name__})", None)

    def log_debug(self, *args: Any, **options: Any) -> None:
        """Log nothing; see `log_exception`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; asyncio's TLS transport cannot be asked any more once it was closed twice."""
        self._secure = transport.get_extra_info("sslcontext") is not None
        super().connection_made(transport)

    @property
    def taken(self) -> int | None:
        """How many bytes the client's kernel has acknowledged; None if that is unknown."""
        return None if self._secure else bytes_taken(self.transport)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Note that the client has sent a FIN, and close, as the published server does."""
        if self.departure is None and self._is_half_closed():
            # A client that closes sends its FIN a moment before it lets go of the socket.
            asyncio.get_running_loop().call_later(_SECOND_LOOK, self._look_again, self.taken)
            return True
        self._note_departure("closed")
        return super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note how it was lost; after our end, nobody looks at it."""
        self._note_departure("reset" if isinstance(exc, OSError) else "closed")
        super().connection_lost(exc)

    def _look_again(self, taken: int | None) -> None:
        if self.departure is None and self.transport is not None:
            self.departure = "half-closed" if self._is_half_closed() else "closed", taken
            self.transport.close()

    def _is_half_closed(self) -> bool:
        # There is no half-close over TLS.
        if self.transport is None or self._secure:
            return False
        return is_half_closed(self.transport.get_extra_info("socket")) or False

    def _note_departure(self, how: ClientState) -> None:
        if self.departure is None:
            self.departure = how, self.taken


async def read_request(request: web.BaseRequest, limit: int = MAX_BODY) -> Request:
    """Read a request; one to the control API does not count as served.

    Args:
        request: aiohttp's request, whose body was not read.
        limit: The most bytes of the body; of a larger one the rest stays unread.
    """
    connection = request.protocol
    assert isinstance(connection, Connection)
    connection.served += not connection.is_control
    http_1_1 = request.version >= HttpVersion11
    return Request(
        method=request.method,
        path=request.raw_path,
        headers=joined(list(request.headers.items())),
        connection=connection.number,
        body=await _read_body(request, limit),
        http_1_1=http_1_1,
        keep_alive=bool(request.keep_alive),
        reused=connection.served > 1,
    )


async def _read_body(request: web.BaseRequest, limit: int) -> bytes | None:
    if (request.content_length or 0) > limit:
        return None
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    async for data in request.content.iter_any():
        body += data
        if len(body) > limit:
            return None
    return bytes(body)
