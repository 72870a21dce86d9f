"""Names that mean a credential to the client; a copy, as the fake agent imports nothing of the client."""

from __future__ import annotations

import re

__all__ = ["NO_CREDENTIAL", "PATTERN", "is_credential"]

# The same two as in runagent._redact, which a test compares with these.
PATTERN = (
    r"(?:.*[-_])?(?:api-?key|auth|authorization|bearer|cookie|credentials?|jwt|key|passw(?:or)?d|secret"
    r"|signature|token)"
)
NO_CREDENTIAL = frozenset({"idempotency-key", "sec-websocket-key"})


def is_credential(name: str) -> bool:
    """Whether the value of a header field, an option or a parameter of this name is a secret."""
    folded = name.lower()
    return folded not in NO_CREDENTIAL and re.fullmatch(PATTERN, folded) is not None
