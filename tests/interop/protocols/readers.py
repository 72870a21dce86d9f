"""Programs that read a stream with an official client, in a separate environment: JSON in, JSON out."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.docs.pages import ROOT, Page
from tests.interop.programs import environment

__all__ = ["Read", "Reader", "broken_streams"]

AGENTS = Path(__file__).parents[1] / "agents"


def broken_streams(plugin: str) -> dict[str, list[str]]:
    """Read in a plugin's page what the official client and ours show of broken streams, by how they break.

    The names of classes, or "no error".
    """
    rows = Page(ROOT / "plugins" / f"runagent-{plugin}" / "README.md").rows()
    start = next(at for at, row in enumerate(rows) if row[0] == "the stream after a text")
    return {row[0]: [cell.strip("`") for cell in row[1:]] for row in rows[start + 2 : start + 7]}


@dataclass(frozen=True)
class Read:
    """What came, and the error with ``class``, ``status`` and ``text``, or None."""

    got: list[Any]
    error: dict[str, Any] | None

    @property
    def fails(self) -> str:
        """The error's class; "" if there was none."""
        return "" if self.error is None else str(self.error["class"])


class Reader:
    """One process of the program ``agents/read_NAME.py`` for many questions.

    Args:
        name: Of the program and of the environment.
        key: The key that it sends.
    """

    def __init__(self, name: str, key: str) -> None:
        self._key = key
        self._process = subprocess.Popen(
            [environment(name), AGENTS / f"read_{name}.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": "", "PYTHONUTF8": "1"},
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)

    def read(self, url: str, style: str, do: str, **ask: Any) -> Read:
        """Ask the client to read; ``timeout`` is its limit in seconds, all others are its arguments."""
        limit = {"timeout": ask.pop("timeout")} if "timeout" in ask else {}
        task = {"url": url, "key": self._key, "style": style, "do": do, "ask": ask, **limit}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        return Read(**json.loads(self._process.stdout.readline()))
