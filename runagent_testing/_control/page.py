"""The page at ``/``, with which people steer a server through the control API."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path

from runagent_testing._control.messages import Reply

__all__ = ["page"]

_FILE = Path(__file__).with_name("page.html")


@functools.cache
def page() -> Reply:
    """Return the page, with a policy that lets it run its own script and reach this server alone."""
    content = _FILE.read_bytes()
    policy = "; ".join(
        [
            "default-src 'none'",
            "connect-src 'self'",
            "img-src data:",
            f"script-src {_hash(content, b'script')}",
            f"style-src {_hash(content, b'style')}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return Reply(content, headers=headers)


def _hash(content: bytes, tag: bytes) -> str:
    """Return the source that allows the page's only element of this kind."""
    found = re.search(rb"<%b>(.*?)</%b>" % (tag, tag), content, re.DOTALL)
    assert found is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1]).digest()).decode()}'"
