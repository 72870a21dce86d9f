"""The HTTP request of a session, and the check that every request has to pass before it is sent."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - help(HttpRequest) looks its annotations up
from typing import TYPE_CHECKING, Any

import msgspec

from runagent._address.fields import header_name, header_value, is_token
from runagent._address.paths import target_fault
from runagent._address.url import Origin
from runagent._errors import ConfigurationError, PluginError
from runagent._internal.tracebacks import is_ours, without_traceback
from runagent._public import publish
from runagent._redact import describe, redact_url
from runagent._wire.jsontext import encode_json
from runagent.transports._returned import CODE as INVALID_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runagent._call import AgentCall

__all__ = [
    "HttpRequest",
    "check_bytes",
    "check_request",
    "check_session",
    "check_subprotocols",
    "name_transport",
    "post_json",
    "refuse_request",
]

__tracebackhide__ = is_ours

_CODE = "INVALID_REQUEST"
_FAULTS = {_CODE: "cannot send its request", INVALID_EVENTS: "returned something else than events"}

_MAX_GOOD_NAMES = 256
_good_names: dict[tuple[str, bool], str] = {}  # lower case by name, and by whether it is of an upgrade
_MAX_GOOD_LISTS, _MAX_NAMES = 64, 32
_good_lists: set[tuple[str, ...]] = set()  # names that were good together, without an upgrade
_PAIRS, _TEXT = frozenset({tuple}), frozenset({str})

Fields = list[tuple[str, str]]


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """An HTTP request. Its repr leaves out the values of the header fields, the query and the body.

    Attributes:
        method: The HTTP method.
        target: Path and query, percent-encoded; ``AgentCall.path`` makes one from the call's prefix and
            options.
        headers: The fields, without those of framing and route. ``AgentCall.request_headers`` returns the
            usual ones with the key and the caller's fields. If the caller gives a field of the same name, the
            caller's is sent. Names that a caller may not use are rejected here, too.
        body: The whole body; empty for none.
        upgrade: ``Connection``, ``Upgrade`` and ``Sec-WebSocket-…``, for a session that switches protocols.
        origin: Where it goes; None for the origin of the base URL. Any other one has to be among the caller's
            ``allowed_origins``, as the key goes there, too.
    """

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    upgrade: Sequence[tuple[str, str]] = ()
    origin: Origin | None = None

    def __repr__(self) -> str:
        names = [field[0] for field in self.headers]
        return f"HttpRequest({self.method} {redact_url(self.target)}, {names}, {len(self.body)} bytes)"


def post_json(
    call: AgentCall,
    path: str,
    body: Any,
    *,
    accept: str,
    headers: Iterable[tuple[str, str]] = (),
    key_field: str = "Authorization",
    key_prefix: str = "Bearer ",
) -> HttpRequest:
    """Make the request that most protocols begin a run with: a POST of JSON.

    Args:
        call: The call.
        path: What ``call.path`` returns.
        body: The JSON value.
        accept: The content types that the session reads.
        headers: Further header fields; one that the caller gives too is sent as the caller's.
        key_field: The field that carries the API key.
        key_prefix: What goes before the key in it.
    """
    ours = call.request_headers(accept=accept, key_field=key_field, key_prefix=key_prefix)
    fields = [*ours, ("Content-Type", "application/json"), *headers]
    return HttpRequest("POST", path, fields, encode_json(body))


@without_traceback
def check_request(request: object, callers: Sequence[tuple[str, str]]) -> HttpRequest:
    """Return a request that is safe to send.

    Args:
        request: The request of the session.
        callers: The header fields of the caller, which replace the session's of the same name.

    Raises:
        PluginError: The request is invalid; the message names the field and shows no value.
    """
    if not isinstance(request, HttpRequest):
        raise refuse_request("request", f"expected an HttpRequest, found {describe(request)}")
    method: object = request.method
    if not isinstance(method, str) or not is_token(method) or method.upper() == "CONNECT":
        raise refuse_request("method", f"expected a method such as POST, found {describe(method)}")
    if fault := target_fault(request.target):
        raise refuse_request("target", fault)
    if request.origin is not None and not isinstance(request.origin, Origin):
        raise refuse_request("origin", f"expected an Origin, found {describe(request.origin)}")
    check_bytes(request.body, "body")
    headers, upgrade = request.headers, request.upgrade
    usual = _are_usual(headers)
    headers = _without_replaced(headers[:] if usual else _pairs(headers, "headers"), callers)
    if not usual:
        _check_fields(headers)
    if upgrade != ():  # no field can be in both
        upgrade = _pairs(upgrade, "upgrade")
        _check_each(upgrade, upgrade=True)
    return HttpRequest(request.method, request.target, headers, request.body, upgrade, request.origin)


def check_bytes(data: object, field: str) -> None:
    """Reject data that is not bytes.

    Raises:
        PluginError: It is not; the message names only its type.
    """
    if not isinstance(data, bytes):
        raise refuse_request(field, f"expected bytes, found one of type {type(data).__name__}")


def check_session(session: object) -> None:
    """Reject a return value of a transport's ``open`` that is not a session.

    Raises:
        PluginError: It has no method ``data_to_send``.
    """
    if isinstance(session, type) or not callable(getattr(session, "data_to_send", None)):
        raise refuse_request("open", f"expected a session, found {describe(session)}")


def check_subprotocols(names: Iterable[object]) -> None:
    """Reject an offer of subprotocols unless it consists of different tokens (RFC 6455 §4.1).

    Raises:
        PluginError: It does not.
    """
    seen = [] if isinstance(names, str) else list(names)
    tokens = all(isinstance(name, str) and is_token(name) for name in seen)
    if not seen or not tokens or len(set(seen)) < len(seen):
        raise refuse_request("subprotocols", f"expected different tokens (RFC 9110), found {names!r:.80}")


def name_transport(error: BaseException, name: str) -> None:
    """Put the transport's name into an error about its request or its events."""
    if isinstance(error, PluginError) and error.code in _FAULTS and error.plugin is None:
        error.plugin = name
        error.message = f"the transport {name!r} {_FAULTS[error.code]}: {error.message}"
        error.args = (error.message,)


def refuse_request(field: str, problem: str) -> PluginError:
    """Make the error for something that a hook has returned and that cannot be sent."""
    return PluginError(f"{field}: {problem}", code=_CODE, details={"field": field})


def _pairs(fields: Any, what: str) -> Fields:
    """Copy a list of header fields, and reject anything but a list of pairs."""
    if isinstance(fields, list | tuple):
        pairs = [tuple(field) for field in fields if isinstance(field, list | tuple) and len(field) == 2]
        if len(pairs) == len(fields):
            return pairs
    raise refuse_request(what, f"expected a list of pairs of name and value, found {describe(fields)}")


def _without_replaced(headers: Fields, callers: Sequence[tuple[str, str]]) -> Fields:
    """Drop the session's fields for which the caller gives one of the same name."""
    if not callers:
        return headers
    own = {field[0].lower(): field for field in callers if field in headers}
    return [*(field for field in headers if _folded(field[0]) not in own), *own.values()]


def _folded(name: object) -> str:
    return name.lower() if isinstance(name, str) else ""


def _field_name(name: object, *, upgrade: bool) -> str:
    """Return the name of a field in lower case; a name that was good is not looked at again."""
    if type(name) is str and (folded := _good_names.get((name, upgrade))):
        return folded
    folded = header_name(name, "headers", upgrade=upgrade)
    if type(name) is str and len(_good_names) < _MAX_GOOD_NAMES:
        _good_names[name, upgrade] = folded
    return folded


def _are_usual(fields: object) -> bool:
    """Whether fields need no closer look: their names were good before, their values are printable ASCII."""
    if type(fields) is not list or not _PAIRS.issuperset(map(type, fields)) or {2} != set(map(len, fields)):
        return False
    names, values = zip(*fields, strict=True)
    if not (_TEXT.issuperset(map(type, names)) and _TEXT.issuperset(map(type, values))):
        return False
    together = "".join(values)
    return names in _good_lists and together.isascii() and together.isprintable()


def _check_fields(headers: Fields) -> None:
    """Reject fields that cannot be sent; nearly all runs of a client have the same names."""
    _check_each(headers, upgrade=False)
    names = tuple(name for name, _ in headers)
    keeps = len(_good_lists) < _MAX_GOOD_LISTS and len(names) <= _MAX_NAMES
    if keeps and _TEXT.issuperset(map(type, names)):
        _good_lists.add(names)


def _check_each(fields: Fields, *, upgrade: bool) -> None:
    seen: set[str] = set()
    for name, value in fields:
        try:
            folded = _field_name(name, upgrade=upgrade)
            # Usual values need no closer look, and no text for its error.
            if type(value) is not str or not (value.isascii() and value.isprintable()):
                header_value(value, f"headers: {name}")
        except ConfigurationError as exc:
            raise refuse_request(_folded(name)[:60] or "headers", exc.message) from None
        if folded in seen:
            raise refuse_request(name, "the header field is given twice (case makes no difference)")
        seen.add(folded)


publish(HttpRequest, module="runagent.transports")
