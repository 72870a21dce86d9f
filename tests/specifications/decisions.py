"""The decisions of docs/conformance.md about the cases that leave a choice."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["DECISIONS"]

_DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"
_ROW = re.compile(r"\| `([\w.-]+)` \| `([\w-]+)` \| ")

# The case's name, and the outcome that the document promises; test_decisions.py lists the missing ones.
DECISIONS: dict[str, str] = dict(_ROW.findall(_DOCUMENT.read_text(encoding="utf-8")))
