"""Where credentials are: names of the fields that hold them, and values that a request holds. No I/O."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

from runagent_testing._internal.names import is_credential

__all__ = ["CREDENTIAL_FIELDS", "USUAL_NAMES", "Names", "values_in"]

# Header fields, query parameters and members of JSON; dialects add theirs (`Dialect.credential_fields`).
CREDENTIAL_FIELDS = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-auth-token",
    "api_key",
    "client_secret",
    "access_token",
    "key",
    "token",
    "auth",
    "pass",
    "pwd",
    "sig",
)
# Other names are known by their last word, as to the client (OPENAI_API_KEY), or by any of these.
_ANYWHERE = frozenset(
    (
        *("secret", "secrets", "password", "passwords", "passwd", "passphrase", "credential", "credentials"),
        *("apikey", "cookies", "accesskey", "secretkey", "privatekey", "authtoken", "accesstoken"),
        *("clientsecret", "signature"),
    )
)
_HARMLESS = re.compile(r".*(?:idempotency|websocket|public|cache|primary|foreign|sort|partition)key")
# Often something else in answers and in prose: {"token": "Once"}, "with another key: expected…".
_AMBIGUOUS = frozenset(("key", "keys", "token", "auth", "pass", "sig", "signature"))

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_LONGEST_NAME = 200  # characters
_DEPTH = 50  # of a body's lists and objects
_MESSAGES = 20  # of a WebSocket

_PAIRS = (
    re.compile(r"""(?P<q>["'])(?P<name>[^"'\\\r\n]{1,200})(?P=q)\s*[:=]\s*b?"(?P<value>(?:\\.|[^"\\])+)"""),
    re.compile(r"""(?P<q>["'])(?P<name>[^"'\\\r\n]{1,200})(?P=q)\s*[:=,]\s*b?'(?P<value>(?:\\.|[^'\\])+)"""),
    re.compile(r"""\\"(?P<name>[^"'\\\r\n]{1,200})\\"\s*:\s*\\"(?P<value>[^"\\]+)"""),
    re.compile(r"""(?P<q>["'])(?P<name>[^"'\\\r\n]{1,200})(?P=q)\s*:\s*(?P<value>[0-9][^\s,}\]]*)"""),
    re.compile(r"""(?<![\w.%+-])(?P<name>[\w.%+-]{1,200})=(?P<value>[^\s&;#,"'<>)]+)"""),
)
_FIELD = re.compile(r"""(?<![\w"'-])(?P<name>[A-Za-z][\w-]{0,200})[ \t]*:[ \t]*(?=[^\s"'])""")
_FIELD_END = re.compile(r"""[\r\n"']|\\[rn]|$""")
_UNNAMED = (
    re.compile(r"(?i)\b(?:bearer|basic|apikey)[ \t]+(?P<value>[\w.~+/=:-]{6,})"),
    re.compile(r"://(?P<value>[^/?#@\s\"'<>]+)@"),
)


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


class Names:
    """Knows which names mean a credential.

    Args:
        more: Names besides the usual ones.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._exact = frozenset(map(_folded, (*CREDENTIAL_FIELDS, *more)))
        self._known: dict[tuple[str, bool], bool] = {}

    def mean_a_credential(self, name: str, *, certain: bool = False) -> bool:
        """Whether the field holds a credential; ``certain``: without ambiguous names."""
        if len(name) > _LONGEST_NAME:
            return False
        if (known := self._known.get((name, certain))) is None:
            if len(self._known) > 1000:
                self._known.clear()
            known = self._known[name, certain] = self._decide(unquote_plus(name), certain=certain)
        return known

    def places_in(self, text: str, *, certain: bool = False) -> Iterator[tuple[int, int]]:
        """Give begin and end of each credential in a text that is named there, or has its usual form."""
        for pattern in _PAIRS:
            for match in pattern.finditer(text):
                if self.mean_a_credential(match["name"], certain=certain):
                    yield match.span("value")
        for match in _FIELD.finditer(text):
            if self.mean_a_credential(match["name"], certain=certain):
                end = _FIELD_END.search(text, match.end())
                yield match.end(), len(text) if end is None else end.start()
        for pattern in _UNNAMED:
            for match in pattern.finditer(text):
                yield match.span("value")

    def _decide(self, name: str, *, certain: bool) -> bool:
        folded = _folded(name)
        if certain and folded in _AMBIGUOUS:
            return False
        if folded in self._exact:
            return True
        if _HARMLESS.fullmatch(folded):
            return False
        words = [word.lower() for word in _WORD.findall(name)]
        pairs = itertools.pairwise(words)
        return is_credential("-".join(words)) or not _ANYWHERE.isdisjoint(words) or ("api", "key") in pairs


USUAL_NAMES = Names()


def values_in(
    names: Names, headers: Mapping[str, str], path: str = "", bodies: Iterable[Any] = ()
) -> Iterator[str]:
    """Give the credentials of a request: those of its header fields, its target and its bodies."""
    for name, value in headers.items():
        if names.mean_a_credential(name):
            yield from _parts(value)
    for begin, end in names.places_in(path):
        yield from _parts(path[begin:end])
    for body in itertools.islice(bodies, _MESSAGES):
        yield from _in_body(names, _decoded(body), _DEPTH)


def _parts(value: str) -> Iterator[str]:
    """Give a credential, and what of it may turn up alone: a bearer's token, a user's password, a cookie."""
    value = value.strip()
    yield value
    scheme, space, rest = value.partition(" ")
    if space and scheme.isalpha():
        yield rest.strip()
        yield from _passwords(rest.strip())
    if (decoded := unquote_plus(value)) != value:
        yield decoded
    for part in re.split(r"[;,]\s*", value):
        yield part.partition("=")[2].strip()
    yield value.partition(":")[2]


def _passwords(encoded: str) -> Iterator[str]:
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    if ":" in decoded:
        yield decoded
        yield decoded.partition(":")[2]


def _decoded(body: Any) -> Any:
    """Read a message that is JSON; anything else stays as it is."""
    if isinstance(body, str | bytes):
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            return body.decode("latin-1") if isinstance(body, bytes) else body
    return body


def _in_body(names: Names, value: Any, depth: int, *, named: bool = False) -> Iterator[str]:
    if depth == 0:
        return
    if isinstance(value, Mapping):
        for name, item in value.items():
            inside = named or names.mean_a_credential(str(name))
            yield from _in_body(names, item, depth - 1, named=inside)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _in_body(names, item, depth - 1, named=named)
    elif isinstance(value, str):
        found = [(0, len(value))] if named else names.places_in(value)
        for begin, end in found:
            yield from _parts(value[begin:end])
    elif named and isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
