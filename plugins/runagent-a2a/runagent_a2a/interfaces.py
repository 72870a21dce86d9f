"""Where an agent is spoken to: an interface that its card names, or that the options choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from runagent import ConfigurationError, ProtocolError
from runagent.transports import check_options, parse_url, quote
from runagent_a2a.words import V0_3, V1_0, Words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent.transports import AgentCall

__all__ = ["CARD_PATH", "Interface", "card_path", "check", "choose", "given_interface"]

CARD_PATH = "/.well-known/agent-card.json"
_OPTIONS = {
    "a2a_binding": Literal["JSONRPC", "HTTP+JSON"],
    "a2a_version": Literal["1.0", "0.3"],
    "a2a_tenant": str,
    "a2a_path": str,
}
_SPOKEN = {("JSONRPC", "1.0"), ("HTTP+JSON", "1.0"), ("JSONRPC", "0.3")}


class Interface(msgspec.Struct, frozen=True):
    """An interface of an agent.

    Attributes:
        url: Its absolute URL; None for that of the call.
        binding: ``JSONRPC`` or ``HTTP+JSON``.
        version: ``1.0`` or ``0.3``.
        tenant: What requests name as ``tenant``; "" for none.
    """

    url: str | None
    binding: str
    version: str
    tenant: str = ""

    @property
    def words(self) -> Words:
        """The vocabulary of the version."""
        return V1_0 if self.version == "1.0" else V0_3

    @property
    def is_rpc(self) -> bool:
        """Whether it is JSON-RPC."""
        return self.binding == "JSONRPC"


def check(call: AgentCall) -> None:
    """Check the options of this transport.

    Raises:
        ConfigurationError: One is unknown or of another form, or they name what is not spoken.
    """
    options = call.options
    check_options(options, "a2a_", _OPTIONS)
    if options.get("a2a_binding") == "HTTP+JSON" and options.get("a2a_version") == "0.3":
        raise ConfigurationError("transport_options: HTTP+JSON of A2A 0.3 is not supported; use JSONRPC")


def own_path(call: AgentCall) -> str:
    """Return the path of the agent's URL: that of ``base_url``, and ``a2a_path`` behind it."""
    return call.path(str(call.options.get("a2a_path", "")), "stream_path", exact=True)


def card_path(call: AgentCall) -> str:
    """Return the path of the card."""
    return call.path(str(call.options.get("a2a_path", "")) + CARD_PATH, "card_path", exact=True)


def given_interface(call: AgentCall) -> Interface | None:
    """Return the interface that the options choose, for which no card is read; None if they choose none."""
    options = call.options
    if "a2a_binding" not in options and "a2a_version" not in options:
        return None
    binding, version = options.get("a2a_binding", "JSONRPC"), options.get("a2a_version", "1.0")
    return Interface(None, binding, version, options.get("a2a_tenant", ""))


def choose(card: Any, call: AgentCall) -> Interface:
    """Return the first interface of a card that is spoken here.

    Raises:
        ProtocolError: There is none, or its URL is not usable.
        LookupError, AttributeError, TypeError: It is no card.
    """
    found = list(_interfaces(card))
    for interface in found:
        if (interface.binding, interface.version) in _SPOKEN:
            parse_url(interface.url)
            tenant = str(call.options.get("a2a_tenant", interface.tenant))
            return msgspec.structs.replace(interface, tenant=tenant)
    named = ", ".join(f"{interface.binding} {interface.version}" for interface in found) or "none"
    spoken = ", ".join(f"{binding} {version}" for binding, version in sorted(_SPOKEN))
    raise ProtocolError(f"the card names no interface of {spoken}, but {quote(named)}", code="NO_INTERFACE")


def _interfaces(card: dict[str, Any]) -> Iterator[Interface]:
    """Yield the interfaces of a card in its order of preference, those of 0.3 last."""
    for each in card.get("supportedInterfaces") or ():
        version = _short(each.get("protocolVersion"))
        yield Interface(each["url"], str(each["protocolBinding"]), version, str(each.get("tenant", "")))
    if "url" in card:
        version = _short(card.get("protocolVersion", "0.3"))
        yield Interface(card["url"], str(card.get("preferredTransport", "JSONRPC")), version)
        for each in card.get("additionalInterfaces") or ():
            yield Interface(each["url"], str(each["transport"]), version)


def _short(version: object) -> str:
    """Return major and minor number: an agent answers to any patch of its version."""
    return ".".join(str(version).split(".")[:2])
