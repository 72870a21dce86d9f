"""What all runs of a client have in common, made once of its settings."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from runagent._address.route import Address
from runagent._client.options import key_risk, retry_policy
from runagent._config.parsers import parse_transport, validate_api_key
from runagent._config.settings import misspelt_variables
from runagent._errors import ConfigurationError, NetworkError, RunTimeoutError
from runagent._internal.clock import now, time_of_day
from runagent._internal.tracebacks import is_ours, without_traceback
from runagent._redact import escape_controls
from runagent._run.spec import KnownUnsupported

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from runagent._address.route import SocketOption
    from runagent._address.url import Origin
    from runagent._call import FoundByClient
    from runagent._config.settings import Settings
    from runagent._errors import RunAgentError
    from runagent._limits import Limits
    from runagent._plugins.registry import TransportRegistry
    from runagent.transports._base import Transport

__all__ = ["ClientContext"]

__tracebackhide__ = is_ours

_logger = logging.getLogger("runagent.client")

_DEFAULT_ADDRESS = "{} is the default address, as neither base_url= nor RUNAGENT_API_URL is set"
_SLOW_SECONDS = 1.0
_SLOW = (
    "api_key (%s) took %.1f s, in which its thread, or the whole event loop, does nothing else: keep the key"
    " until it expires, or give AsyncRunAgentClient an async function"
)


def _not_reached(error: RunAgentError) -> bool:
    late = isinstance(error, RunTimeoutError) and error.phase == "connect"
    return late or isinstance(error, NetworkError)


class ClientContext:
    """The `RunContext` of a client.

    Args:
        settings: What is in force.
        limits: What was found among them.
        transports: Those that were given as objects, by name.
        registry: Where the others are.
        ssl_context: What checks certificates, if one was given.
        client_cert: See `default_context`.
        socket_options: What sockets have set instead of the defaults.
        allowed_origins: Where requests may go besides the base URL's origin.
        asynchronous: The client awaits the key, if it is awaitable.

    Attributes:
        settings: What is in force.
        limits: The bounds of what a peer may make us hold.
        policy: What is tried again.
        known_unsupported: Which transports the runs found unsupported.
        asks_key: The key comes from a function.
        origins: Where requests may go, the base URL's origin first.
        key_risks: The origins at which others than the service can read the key, and who can.
        found: What steps of the runs found.
    """

    clock = staticmethod(time_of_day)

    def __init__(
        self,
        settings: Settings,
        limits: Limits,
        transports: Mapping[str, Transport],
        registry: TransportRegistry,
        ssl_context: ssl.SSLContext | None,
        client_cert: tuple[str, ...],
        *,
        socket_options: tuple[SocketOption, ...] | None,
        allowed_origins: tuple[Origin, ...],
        asynchronous: bool,
    ) -> None:
        self.settings = settings
        self.limits = limits
        self.policy = retry_policy(settings)
        self.known_unsupported = KnownUnsupported()
        self.asks_key = callable(settings.api_key)
        self._transports = transports
        self._registry = registry
        self._ssl_context = ssl_context
        self._client_cert = client_cert
        self._socket_options = socket_options
        self._asynchronous = asynchronous
        self._warned_of_slow_key = False
        self.found: FoundByClient = {}
        self._addresses: dict[tuple[bool, Origin], Address] = {}
        self.origins = (settings.base_url.origin, *allowed_origins)
        risks = ((origin, key_risk(origin, ssl_context)) for origin in self.origins)
        self.key_risks = [(origin, risk) for origin, risk in risks if risk]

    def find(self, name: str) -> Transport:
        """Return the transport of a name."""
        return self._transports.get(name) or self._registry.get(name)

    def choose_transports(self, choice: str | Sequence[str] | None) -> Sequence[str]:
        """Return the names of the transports of a call, by default the client's.

        Raises:
            ConfigurationError: It is no choice of names, or one of them has no transport.
        """
        if choice is None:
            return self.settings.transport
        names = parse_transport(choice, "argument transport")
        self._registry.check(name for name in names if name not in self._transports)
        return names

    def api_key(self) -> str | Awaitable[str] | None:
        """Return the key; a function that gives it is asked for each attempt."""
        key = self.settings.api_key
        if not callable(key):
            return key
        begin = now()
        asked = _ask(key, asynchronous=self._asynchronous)
        seconds = now() - begin
        if seconds > _SLOW_SECONDS and not self._warned_of_slow_key:
            self._warned_of_slow_key = True
            _logger.warning(_SLOW, getattr(key, "__qualname__", type(key).__name__), seconds)
        return asked

    def hint_at(self, error: RunAgentError) -> str:
        """Return what the settings may have to do with a refused key, or an address that is not reached.

        These are the variables that look like a misspelt one, and that nobody has given the address; "" if
        there is neither.
        """
        hints = []
        if _not_reached(error) and self.settings.sources.get("api_url") == "default":
            hints.append(_DEFAULT_ADDRESS.format(self.settings.base_url))
        elif not error.key_refused:
            return ""
        found = misspelt_variables().items()
        hints += (f"{escape_controls(name)} is set: did you mean {meant}?" for name, meant in found)
        return "; ".join(hints)

    def address(self, tunnels: bool, origin: Origin | None = None) -> Address:
        """Return where to connect, through a tunnel if the transport wants one; see `RunContext.address`."""
        if origin is None:
            origin = self.origins[0]
        elif origin not in self.origins:
            raise ConfigurationError(
                f"the transport wants to go on at {origin}, which is not the origin of base_url",
                hint="if the key may go there, too, add it to allowed_origins=",
                code="ORIGIN_NOT_ALLOWED",
            )
        address = self._addresses.get((tunnels, origin))
        if address is None:
            asks_environment = self.settings.proxy is None and not origin.is_loopback
            address = self._find_address(tunnels, origin, asks_environment=asks_environment)
            if not asks_environment:  # which may change
                self._addresses[tunnels, origin] = address
        return address

    @without_traceback
    def _find_address(self, tunnels: bool, origin: Origin, *, asks_environment: bool) -> Address:
        proxy = None
        if self.settings.proxy or asks_environment:
            from runagent._address.proxy import proxy_for  # an agent on this machine is asked directly

            proxy = proxy_for(origin, self.settings.proxy, os.environ)
        if origin.secure and self._ssl_context is None:
            from runagent._net.tls import default_context  # plain http does without ssl

            self._ssl_context = default_context(self._client_cert)
        tunnel = proxy is not None and (tunnels or origin.secure)
        context = self._ssl_context if origin.secure else None
        return Address(origin, proxy, tunnel, context, self._socket_options)


@without_traceback
def _ask(key: Callable[[], str | Awaitable[str]], *, asynchronous: bool) -> str | Awaitable[str]:
    given = key()
    if not hasattr(given, "__await__"):
        return _checked(given)
    if asynchronous:
        return _await_key(given)
    if hasattr(given, "close"):
        given.close()  # a coroutine that is never awaited complains
    raise ConfigurationError(
        "api_key: an async function goes with AsyncRunAgentClient, which awaits it; give a plain one here"
    )


async def _await_key(given: Awaitable[str]) -> str:
    return _checked(await given)


@without_traceback
def _checked(key: object) -> str:
    return validate_api_key(key, "what api_key() returned")
