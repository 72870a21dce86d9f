"""Agent paths and request targets: checked and percent-encoded.

RFC 3986 (URLs); docs/wire.md section 4.
"""

from __future__ import annotations

import re
from functools import lru_cache

from runagent._errors import ConfigurationError
from runagent._redact import describe, redact_url

__all__ = [
    "BAD_ESCAPE",
    "PATH_SAFE",
    "agent_path",
    "holds_blank",
    "is_plain",
    "path_segment",
    "percent_encode",
    "target_fault",
    "validate_agent_id",
]

PATH_SAFE = "/%!$&'()*+,;=:@"

# What every process does once, with its base URL, goes without `re` and `urllib`: to compile the patterns and
# to import the module takes longer than to open the connection.
# Patterns are texts: `re` compiles one when it is first needed, and most processes need none of them.
BAD_ESCAPE = r"%(?![0-9A-Fa-f]{2})"
_CONTROL = r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]"
_BAD_TARGET = rf'[^!-~]|{BAD_ESCAPE}|[#\\{{}}<>"^`]'
_UNRESERVED = b"-._~"
_PLAIN_MARKS = b"-._~/?=&"


def path_segment(id: object) -> str:
    """Return an id for one segment of a path, percent-encoded.

    Raises:
        ValueError: It is not text, is empty, holds control characters or lone surrogates, or would lead to
            another path (``.`` and ``..``).

    Example:
        ``path_segment("a/b")`` is ``"a%2Fb"``.
    """
    if not isinstance(id, str) or id in {"", ".", ".."} or _holds_control(id):
        raise ValueError(f"not an id for a path: {describe(id)}")
    return percent_encode(id, "")


def validate_agent_id(agent_id: str) -> str:
    """Return ``agent_id`` if it can be one segment of a path.

    Raises:
        ConfigurationError: It is no text, empty, ``.``, ``..`` or holds control characters.
    """
    if not isinstance(agent_id, str):
        raise _refuse_agent_id(f"expected text, found {describe(agent_id)}")
    if agent_id in ("", ".", ".."):
        raise _refuse_agent_id(f"{agent_id!r} names no agent")
    if _holds_control(agent_id):
        raise _refuse_agent_id(f"{agent_id[:80]!r} holds control characters or lone surrogates")
    return agent_id


def agent_path(template: str, agent_id: str) -> str:
    """Put ``agent_id`` into ``template`` in place of ``{agent_id}``, percent-encoded as one path segment.

    Args:
        template: A path that begins with ``/``, perhaps with a query; it may omit ``{agent_id}``.
        agent_id: Any text that `validate_agent_id` accepts.

    Raises:
        ConfigurationError: The id or the template is not usable.
    """
    if not isinstance(template, str):
        raise _refuse_path(f"expected a path that begins with /, found {describe(template)}")
    if not isinstance(agent_id, str):
        validate_agent_id(agent_id)  # which refuses it
    return _agent_path(template, agent_id)


@lru_cache(maxsize=64)  # each attempt asks, mostly for the same
def _agent_path(template: str, agent_id: str) -> str:
    segment = percent_encode(validate_agent_id(agent_id), "")
    return segment.join(percent_encode(part, PATH_SAFE + "?") for part in _template_parts(template))


def percent_encode(text: str, safe: str) -> str:
    """Percent-encode a text but for letters, digits, ``-._~`` and the marks of ``safe``."""
    if is_plain(text, _PLAIN_MARKS if safe else _UNRESERVED):
        return text
    from urllib.parse import quote

    return quote(text, safe, errors="surrogateescape")


def target_fault(target: object) -> str | None:
    """Describe what is wrong with a request's target, which is a path and perhaps a query, if anything is."""
    if not isinstance(target, str):
        return f"expected a path that begins with /, found {describe(target)}"
    if not target.startswith("/"):
        return f"expected a path that begins with /, found {redact_url(target)}"
    if not is_plain(target) and re.search(_BAD_TARGET, target):
        return f"{redact_url(target)} holds what has to be percent-encoded, or a % without two hex digits"
    return None


def is_plain(text: str, marks: bytes = _PLAIN_MARKS) -> bool:
    """Whether a text has only letters, digits and some marks: usual ones need no closer look."""
    if not text.isascii():
        return False
    kept = text.encode().translate(None, marks)  # the translate of a text looks each character up in a dict
    return not kept or kept.isalnum()


def holds_blank(text: str) -> bool:
    """Whether there is whitespace, a control character or a lone surrogate in a text."""
    return " " in text or _holds_control(text, r"\s|" + _CONTROL)


def _holds_control(text: str, pattern: str = _CONTROL) -> bool:
    return not text.isprintable() and re.search(pattern, text) is not None


def _refuse_agent_id(problem: str) -> ConfigurationError:
    hint = 'an agent id is the id or name the agent was deployed under, such as "my-agent" or a UUID'
    return ConfigurationError(f"agent_id: {problem}; {hint}", code="INVALID_AGENT_ID")


def _refuse_path(problem: str) -> ConfigurationError:
    return ConfigurationError(f"agent path: {problem}", code="INVALID_PATH")


def _template_parts(template: str) -> list[str]:
    if not template.startswith("/"):
        raise _refuse_path(f"expected a path that begins with /, found {redact_url(template)}")
    parts = template.split("{agent_id}")
    if any(holds_blank(part) or _is_bad_in_template(part) for part in parts):
        raise _refuse_path(
            f"{redact_url(template)} holds whitespace, a control character, #, \\, a % without two "
            "hexadecimal digits, or braces other than {agent_id}"
        )
    return parts


def _is_bad_in_template(part: str) -> bool:
    return not is_plain(part) and bool(re.search(rf"{BAD_ESCAPE}|[{{}}#\\]", part))
