"""Header fields of a caller or a transport: checked before anything is sent (RFC 9110 section 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from runagent._errors import ConfigurationError
from runagent._redact import describe

__all__ = ["header_name", "header_value", "is_token", "validate_headers"]

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE_CONTROL = r"[\x00-\x08\x0a-\x1f\x7f]"
_FRAMING = "the transport frames the request itself"
_OWNED = {
    "host": "it follows from base_url",
    "content-length": _FRAMING,
    "transfer-encoding": _FRAMING,
    "trailer": _FRAMING,
    "te": _FRAMING,
    "expect": _FRAMING,
    "connection": "connections are managed by the client",
    "keep-alive": "connections are managed by the client",
    "upgrade": "the transport decides which protocol is spoken",
    "proxy-authorization": "put user name and password into the proxy's URL",
}


def validate_headers(
    headers: Mapping[str, str] | None, source: str = "headers"
) -> tuple[tuple[str, str], ...]:
    """Return header fields that are safe to send as they are.

    Raises:
        ConfigurationError: A name or a value is not allowed; values are never shown.
    """
    if headers is None:
        return ()
    if not isinstance(headers, Mapping):
        raise _refuse_header(f"{source}: expected a mapping of names to values, found {describe(headers)}")
    seen: set[str] = set()
    checked = []
    for name, value in headers.items():
        folded = header_name(name, source)
        if folded in seen:
            raise _refuse_header(f"{source}: {name} is given twice (case makes no difference)")
        seen.add(folded)
        checked.append((name, header_value(value, f"{source}: {name}")))
    return tuple(checked)


def header_name(name: object, source: str, *, upgrade: bool = False) -> str:
    """Return the name of a header field in lower case.

    Args:
        name: The name.
        source: Where it came from, for the error's message.
        upgrade: It belongs to the handshake of another protocol, whose fields nothing else may set.

    Raises:
        ConfigurationError: It is no token, or not the caller's to set.
    """
    if not isinstance(name, str) or not is_token(name):
        # "Authorization: Bearer KEY" given as a name must not put the key into the message.
        shown = (
            repr(re.split(r"[:\s]", name, maxsplit=1)[0][:60]) if isinstance(name, str) else describe(name)
        )
        raise _refuse_header(f"{source}: a header name must be an RFC 9110 token, found one like {shown}")
    folded = name.lower()
    handshake = folded.startswith("sec-websocket-") or (upgrade and folded in ("connection", "upgrade"))
    if upgrade and not handshake:
        raise _refuse_header(f"{source}: {name} is no field of an upgrade")
    reason = "the transport makes the handshake" if handshake else _OWNED.get(folded)
    if reason and not upgrade:
        raise _refuse_header(f"{source}: {name} cannot be set: {reason}")
    return folded


def header_value(value: object, field: str) -> str:
    """Return the value of a header field without blanks at its ends.

    Raises:
        ConfigurationError: It cannot be sent; it is not shown.
    """
    if not isinstance(value, str):
        raise _refuse_header(f"{field}: the value must be text, found one of type {type(value).__name__}")
    stripped = value.strip(" \t")
    if stripped.isascii() and stripped.isprintable():
        return stripped
    if re.search(_VALUE_CONTROL, stripped):
        raise _refuse_header(f"{field}: the value holds a line break or another control character")
    if any(ord(character) > 0xFF for character in stripped):
        raise _refuse_header(f"{field}: the value holds characters outside Latin-1; percent-encode it")
    return stripped


def is_token(text: str) -> bool:
    """Whether a text can be a method or the name of a header field (RFC 9110 §5.6.2)."""
    # Usual names need no regular expression, which a process would have to compile before its first chunk.
    return (text.isascii() and text.replace("-", "").isalnum()) or bool(re.fullmatch(_TOKEN, text))


def _refuse_header(message: str) -> ConfigurationError:
    return ConfigurationError(message, code="INVALID_HEADER")
