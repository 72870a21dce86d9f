"""Answers that are no stream: something else speaks, the head is wrong, or the service refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing._script.steps import Head, RawResponse, Status, Step, head, raw_response, status
from runagent_testing.faults._kind import (
    WEBSOCKET_ONLY,
    ErrorFamily,
    FaultContext,
    FaultKind,
    Hidden,
    Position,
    Scenario,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["KINDS"]

_HTML = "<!doctype html><title>502 Bad Gateway</title><h1>Bad Gateway</h1>"
_HTML_TYPE = {"Content-Type": "text/html; charset=utf-8"}
# A date that is a second away from the answer's own idea of now, whatever the clock shows.
_DATE, _SECOND_LATER = "Tue, 02 Jan 2024 03:04:05 GMT", "Tue, 02 Jan 2024 03:04:06 GMT"
_INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
_INTERIMS = 2000


def _instead(step: Step) -> Callable[[FaultContext], Scenario]:
    """Answer with this alone."""
    return lambda context: context.scenario(step)


def _with_head(step: Step) -> Callable[[FaultContext], Scenario]:
    """Answer as usual, but for the head."""
    return lambda context: context.scenario(step, *context.after())


def _oversized_head(context: FaultContext) -> Scenario:
    began = b"HTTP/1.1 101 Switching Protocols" if context.websocket else b"HTTP/1.1 200 OK"
    return context.scenario(raw_response(began + b"\r\nX-Filler: " + b"x" * context.oversize + b"\r\n\r\n"))


def _many_headers(context: FaultContext) -> Scenario:
    lines = context.oversize // 8
    began = b"HTTP/1.1 101 Switching Protocols" if context.websocket else b"HTTP/1.1 200 OK"
    return context.scenario(raw_response(began + b"\r\n" + b"X-A: b\r\n" * lines + b"\r\n"))


def _interim_flood(context: FaultContext) -> Scenario:
    return context.scenario(raw_response(_INTERIM * _INTERIMS))


def _kind(
    name: str,
    description: str,
    make_scenario: Callable[[FaultContext], Scenario],
    family: ErrorFamily,
    *,
    accepted: tuple[ErrorFamily, ...] = (),
    hidden: Hidden = "nothing",
    absent: Mapping[str, str] | None = None,
) -> FaultKind:
    return FaultKind(
        name,
        description,
        (Position("in-head"),),
        make_scenario,
        family,
        accepted={"": accepted} if accepted else {},
        hidden=hidden,
        absent=absent or {},
        alone=True,
    )


def _garbage(name: str, description: str, data: bytes) -> FaultKind:
    return _kind(name, description, _instead(RawResponse(data)), "protocol")


def _refusal(
    name: str, description: str, code: int, *, hidden: Hidden = "nothing", **fields: Any
) -> FaultKind:
    return _kind(name, description, _instead(status(code, **fields)), "agent", hidden=hidden)


def _no_stream(
    name: str, description: str, step: Status | Head, absent: Mapping[str, str] | None = None
) -> FaultKind:
    make_scenario = _instead(step) if isinstance(step, Status) else _with_head(step)
    return _kind(name, description, make_scenario, "protocol", absent=absent)


def _handshake(name: str, description: str, **headers: str | None) -> FaultKind:
    named = {field.replace("_", "-"): value for field, value in headers.items()}
    return _kind(name, description, _with_head(head(headers=named)), "protocol", absent=WEBSOCKET_ONLY)


_OTHER_TYPE = "application/octet-stream"
_OWN_TYPE = {"websocket": "the answer to a handshake has no content"}
_TEXT_ONLY = dict.fromkeys(("sse", "chunked"), "its charset is UTF-8, whatever the head declares")

_GARBAGE = (
    _garbage("ssh-banner", "another service answers", b"SSH-2.0-OpenSSH_9.6\r\n"),
    _garbage("tls-alert", "a TLS server answers plain text", b"\x15\x03\x01\x00\x02\x02\x16"),
    _garbage("binary-junk", "bytes that mean nothing", bytes(range(255, 127, -1)) + b"\r\n\r\n"),
    _garbage("bad-status-line", "no number in the status line", b"HTTP/1.1 fine OK\r\n\r\n"),
    _kind("oversized-head", "a header longer than the client's limit", _oversized_head, "limit"),
    _kind("many-headers", "more headers than the client's limit", _many_headers, "limit"),
    _kind(
        "interim-flood",
        "1xx answers, and never the real one",
        _interim_flood,
        "limit",
        accepted=("protocol",),
    ),
)

_REFUSALS = (
    _refusal("status-400", "the input is not valid", 400),
    _refusal("status-401", "the key is wrong", 401),
    _refusal("status-403", "the key is not for this agent", 403),
    _refusal("status-403-empty", "the same, without a text", 403, body=b""),
    _refusal("status-404", "there is no such agent", 404),
    _refusal("status-429", "too many requests", 429, hidden="retry"),
    _refusal("status-429-seconds", "with Retry-After in seconds", 429, hidden="retry", retry_after=1),
    _refusal(
        "status-429-date",
        "with Retry-After as a date",
        429,
        hidden="retry",
        retry_after=_SECOND_LATER,
        headers={"Date": _DATE},
    ),
    _refusal("status-500", "the service failed", 500, hidden="retry"),
    _refusal("status-503", "the service has no room", 503, hidden="retry"),
    _refusal("status-503-seconds", "with Retry-After in seconds", 503, hidden="retry", retry_after=1),
    _refusal(
        "status-503-date",
        "with Retry-After as a date",
        503,
        hidden="retry",
        retry_after=_SECOND_LATER,
        headers={"Date": _DATE},
    ),
    _refusal("html-error", "a proxy's error page", 502, hidden="retry", body=_HTML, headers=_HTML_TYPE),
)

_WRONG_KIND = (
    _no_stream("html-page", "a web page, with status 200", status(200, body=_HTML, headers=_HTML_TYPE)),
    _no_stream("json-answer", "a JSON object, with status 200", status(200, body={"result": "no stream"})),
    _no_stream("no-content", "status 204", status(204)),
    _no_stream(
        "wrong-content-type",
        "the stream calls itself something else",
        head(headers={"Content-Type": _OTHER_TYPE}),
        _OWN_TYPE | {_OTHER_TYPE: "that is what the dialect calls its streams"},
    ),
    _no_stream(
        "no-content-type",
        "the stream does not declare its type",
        head(headers={"Content-Type": None}),
        _OWN_TYPE,
    ),
    _no_stream(
        "unknown-charset",
        "a charset that nobody knows",
        head(headers={"Content-Type": "text/plain; charset=klingon"}),
        _TEXT_ONLY | _OWN_TYPE,
    ),
    _no_stream(
        "unknown-coding",
        "a content coding that nobody asked for",
        head(headers={"Content-Encoding": "snappy"}),
        _OWN_TYPE,
    ),
    _kind(
        "redirect-elsewhere",
        "to another origin, to which neither key nor input may go",
        _instead(status(307, body=b"", headers={"Location": "http://elsewhere.invalid/"})),
        "protocol",
        accepted=("network",),
    ),
    _no_stream("redirect-nowhere", "without a Location", status(307, body=b"")),
    _kind(
        "unasked-101",
        "a switch to a protocol that nobody asked for",
        _instead(
            RawResponse(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
        ),
        "protocol",
    ),
)

_HANDSHAKES = (
    _handshake("wrong-accept", "the answer to another client's key", Sec_WebSocket_Accept="AAAA"),
    _handshake("no-accept", "no answer to the key", Sec_WebSocket_Accept=None),
    _handshake("no-upgrade", "101 without an Upgrade header", Upgrade=None),
    _handshake(
        "unoffered-extension", "an extension that was not offered", Sec_WebSocket_Extensions="permessage-zip"
    ),
    _handshake("unoffered-subprotocol", "a subprotocol that was not offered", Sec_WebSocket_Protocol="chat"),
)

KINDS = (*_GARBAGE, *_REFUSALS, *_WRONG_KIND, *_HANDSHAKES)
