"""CONNECT: a tunnel through an HTTP proxy (RFC 9110 §9.3.6), without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._errors import NetworkError, RunAgentError
from runagent._wire.http1 import ResponseDecoder, encode_request

if TYPE_CHECKING:
    from runagent._address.route import Address

__all__ = ["Tunnel"]


class Tunnel:
    """Ask the proxy of an address for a tunnel to its origin.

    Attributes:
        open: The proxy has agreed; what comes next is from the origin.
    """

    def __init__(self, address: Address) -> None:
        assert address.proxy is not None
        origin, self._proxy = address.origin, address.proxy
        host = f"[{origin.host.partition('%')[0]}]" if ":" in origin.host else origin.host
        headers = [("Host", f"{host}:{origin.port}")]
        if self._proxy.authorization:
            headers.append(("Proxy-Authorization", self._proxy.authorization))
        self.request = encode_request("CONNECT", f"{host}:{origin.port}", headers)
        self.open = False
        self._answer = ResponseDecoder()

    def feed(self, data: bytes) -> None:
        """Take what the proxy sent; b"" is the end of the connection.

        Raises:
            NetworkError: There will be no tunnel.
        """
        try:
            early = self._answer.feed(data)
            if not data:
                self._answer.close()
        except RunAgentError as exc:
            raise self._refusal(f"it broke off: {exc}") from exc.with_traceback(None)
        if self._answer.error:
            raise self._refusal(str(self._answer.error)) from self._answer.error
        if not self._answer.head_complete:
            return
        status = self._answer.status
        if status in (401, 407):  # there are proxies that answer a wrong password with 401
            wish = "it wants a user name and a password" + (
                ", and not these" if self._proxy.authorization else ""
            )
            raise self._refusal(f"{wish}; put them into the proxy's URL", status)
        if not 200 <= status < 300:
            raise self._refusal(f"it answered with HTTP status {status}", status)
        if early or self._answer.excess:
            raise self._refusal("it sent bytes that nobody asked for")
        self.open = True

    def _refusal(self, why: str, status: int | None = None) -> NetworkError:
        code = "PROXY" if status is None else f"PROXY_{status}"
        return NetworkError(f"the proxy {self._proxy} opens no tunnel: {why}", code=code)
