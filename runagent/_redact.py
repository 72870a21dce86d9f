"""What messages may show: of values that could hold a secret, of bad documents, of what a peer sends."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "credential_parts",
    "describe",
    "escape_controls",
    "hide_secrets",
    "is_credential",
    "lone_surrogate",
    "parse_json",
    "query_credentials",
    "redact_url",
]

# What could forge a line of a log, act on a terminal, show text in another order than it is, or not be
# encoded at all: C0, DEL, C1, line separators, the bidirectional controls (UAX #9) and lone surrogates.
_CONTROL = "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
_CUT = "…"
_HIDDEN = "***"
_SHORTEST_SECRET = 8  # what is shorter occurs in many texts by chance
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
# The one list of names whose values authorize a caller: of header fields, options and parameters.
_CREDENTIAL = (
    r"(?:.*[-_])?(?:api-?key|auth|authorization|bearer|cookie|credentials?|jwt|key|passw(?:or)?d|secret"
    r"|signature|token)"
)
_NO_CREDENTIAL = frozenset({"idempotency-key", "sec-websocket-key"})


def is_credential(name: str) -> bool:
    """Whether the value of a header field, an option or a parameter of this name has to be kept secret."""
    folded = name.lower()
    return folded not in _NO_CREDENTIAL and re.fullmatch(_CREDENTIAL, folded) is not None


def credential_parts(value: str) -> Iterator[str]:
    """Yield a credential and what a peer that repeats it may repeat alone.

    That is the word behind ``Bearer``, the value of each cookie or parameter, the user name and password of
    ``Basic``.
    """
    yield value
    scheme, _, token = value.rpartition(" ")
    yield token
    for pair in re.split(r"[;,]", value):
        yield pair.partition("=")[2].strip(' "')
    if scheme.lower() == "basic":
        from base64 import b64decode  # few credentials are of this form

        with contextlib.suppress(ValueError):
            decoded = b64decode(token).decode("utf-8", "replace")
            yield from (decoded, decoded.partition(":")[2])


def query_credentials(path: str) -> Iterator[str]:
    """Yield what authorizes the caller in the query of a path, as it is written and as it is meant."""
    for parameter in path.partition("?")[2].split("&"):
        name, _, value = parameter.partition("=")
        if is_credential(name):
            from urllib.parse import unquote_plus  # keys belong in header fields, and mostly are there

            yield from (value, unquote_plus(value))


def redact_url(text: str, limit: int = 100) -> str:
    """Quote a URL for a message, without user name, password, query and fragment.

    It is made for malformed URLs too, so it hides more than a correct parser would: everything before the
    last ``@``, and anything in the place of a port that is no number (``http://user:password``).
    """
    match = re.match(_SCHEME, text)
    scheme = match.group() if match else ""
    _, at, rest = text[len(scheme) :].rpartition("@")
    shown = re.split(r"[?#]", rest, maxsplit=1)[0]
    hidden = "" if shown == rest else "?…"
    authority = shown.partition("/")[0]
    host, colon, port = authority.partition(":")
    if colon and not port.isdigit() and not authority.startswith("["):
        shown, hidden = host, ":…"
    return repr(_shorten(f"{scheme}{'***@' if at else ''}{shown}", limit) + hidden)


def escape_controls(text: str) -> str:
    """Put a text into one line that does nothing to a terminal: control characters become escapes."""
    if text.isprintable():
        return text
    return re.sub(_CONTROL, lambda match: match.group().encode("unicode_escape").decode(), text)


def lone_surrogate(text: str) -> int | None:
    """Return where a text holds half of a character, which no encoding can carry; None if it holds none."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        return exc.start
    return None


def hide_secrets(error: BaseException, secrets: Iterable[str]) -> None:
    """Take secrets out of an error and what caused it: some services repeat the key that they refuse."""
    hidden = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
    if not hidden:
        return
    hider = _Hider(hidden)
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        cause.args = tuple(map(hider.without, cause.args))
        for name, value in vars(cause).items():
            setattr(cause, name, hider.without(value))
        cause = cause.__cause__


class _Hider:
    """Finds secrets by how they begin, all in one search, so that a text is gone through once.

    Args:
        secrets: None is shorter than `_SHORTEST_SECRET`.
    """

    def __init__(self, secrets: list[str]) -> None:
        self._secrets = sorted(set(secrets), key=len, reverse=True)
        heads = {re.escape(secret[:_SHORTEST_SECRET]) for secret in secrets}
        self._heads = re.compile("|".join(heads))

    def without(self, value: Any) -> Any:
        """Return a value with *** in place of secrets."""
        try:
            if isinstance(value, str):
                return self._text_without(value)
            if isinstance(value, dict):
                return {self.without(key): self.without(item) for key, item in value.items()}
            if isinstance(value, list | tuple):
                return type(value)(map(self.without, value))
        except RecursionError:
            return None
        return value

    def _text_without(self, text: str) -> str:
        pieces: list[str] = []
        done = at = 0
        while (found := self._heads.search(text, at)) is not None:
            at = found.start()
            end = self._end_of_secret(text, at)
            if end > at:
                pieces += text[done:at], _HIDDEN
                done = at = end
            else:
                at += 1
        return "".join([*pieces, text[done:]]) if pieces else text

    def _end_of_secret(self, text: str, at: int) -> int:
        """Return where a secret ends that begins here, or the part of one that a quotation cuts; else 0."""
        ends = [at + len(secret) for secret in self._secrets if text.startswith(secret, at)]
        for secret in self._secrets:
            for mark in ('"', _CUT):
                end = text.find(mark, at + _SHORTEST_SECRET, at + len(secret))
                if end > 0 and secret.startswith(text[at:end]):
                    ends.append(end)
        return max(ends, default=0)


def describe(value: object, limit: int = 60) -> str:
    """Describe a value: plain scalars are quoted, of anything else only the type is named."""
    if value is None or isinstance(value, bool | int | float):
        return _shorten(_scalar(value), limit)
    if isinstance(value, str):
        return f"the text {redact_url(value, limit) if '://' in value else repr(_shorten(value, limit))}"
    return f"a value of type {type(value).__name__}"


def parse_json(text: str | bytes) -> Any:
    """Decode JSON strictly (no duplicate keys), with errors that do not carry the document.

    Args:
        text: Bytes may be UTF-8, UTF-16 or UTF-32 and begin with a byte order mark.

    Raises:
        ValueError: It is not JSON. A `json.JSONDecodeError` would hold the whole text, keys included.
    """
    import json

    try:
        return json.loads(text, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        problem = f"not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
    except UnicodeDecodeError as error:
        problem = f"not valid {error.encoding} text at byte {error.start}"
    except RecursionError:
        problem = "not usable JSON: nested too deeply"
    except ValueError as error:
        problem = f"not usable JSON: {error}"
    raise ValueError(problem)  # outside of the except clauses, so that it has no __context__


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        from collections import Counter

        raise ValueError(f"duplicate key {Counter(name for name, _ in pairs).most_common(1)[0][0]!r}")
    return result


def _scalar(value: float | None) -> str:
    try:
        return repr(value)
    except ValueError:  # more digits than sys.get_int_max_str_digits() lets through
        return "a huge number"


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + _CUT
