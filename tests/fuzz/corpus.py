"""The inputs that are kept: those that reach something new, and each that has ever broken an invariant."""

from __future__ import annotations

import base64
import json
from pathlib import Path

__all__ = ["FOLDER", "findings", "seeds"]

FOLDER = Path(__file__).parent / "corpus"


def findings(target: str) -> dict[str, bytes]:
    """Return the inputs that have broken an invariant once, by their names."""
    return {path.name: path.read_bytes() for path in sorted((FOLDER / target).glob("*"))}


def seeds(target: str) -> list[bytes]:
    """Return the inputs that together reach all that the fuzzer has reached."""
    texts: list[str] = json.loads((FOLDER / f"{target}.json").read_text(encoding="ascii"))
    return [base64.b64decode(text) for text in texts]
