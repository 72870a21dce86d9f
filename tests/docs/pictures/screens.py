"""The sources of which `python -m tests.interop.pictures` has taken the pictures of pages."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.docs.pages import COOKBOOK, ROOT

__all__ = ["SCREENS", "digests", "recorded", "write"]

# Each is a picture for either color scheme: NAME-light.png and NAME-dark.png in docs.
SCREENS = ("fake-page", "chat-page")
_RECORDED = Path(__file__).with_name("screens.json")


def digests() -> dict[str, str]:
    """Return the digest of what each picture shows, as it is now."""
    sources = {
        "fake-page": (ROOT / "runagent_testing/_control/page.html").read_text(encoding="utf-8"),
        "chat-page": COOKBOOK["chat-page"].block("<!doctype html>"),
    }
    return {name: hashlib.sha256(sources[name].encode()).hexdigest() for name in SCREENS}


def recorded() -> dict[str, str]:
    """Return the digest of what each picture showed when it was taken."""
    read: dict[str, str] = json.loads(_RECORDED.read_text(encoding="utf-8"))
    return read


def write() -> None:
    """Note that the pictures are taken of the sources as they are now."""
    _RECORDED.write_text(json.dumps(digests(), indent=2) + "\n", encoding="utf-8")
