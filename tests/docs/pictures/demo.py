"""A recording of ``runagent demo`` that moves; ``python -m tests.docs.pictures.demo`` makes a new one."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from runagent_testing._timeline.svg import Drawing
from tests.docs.pages import ROOT
from tests.support.process import killed_at_end

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PATH", "PROMPT", "drawn", "shown", "without_figures"]

PATH = ROOT / "docs/demo.svg"
PROMPT = "$ runagent demo"
_WIDTH, _LINE, _SHOWN = 720, 17, 22  # pixels, pixels, lines at a time
_TOP, _LEFT = 14, 14
_PATIENCE = 20  # seconds in which the demo ends after its last line


def recorded() -> list[tuple[float, str]]:
    """Run the demo, and return each line with the seconds after which it was complete."""
    began = time.monotonic()
    lines = [(0.0, PROMPT)]
    command = [sys.executable, "-m", "runagent", "demo"]
    started = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    with killed_at_end(started) as process:
        assert process.stdout is not None
        lines += [(time.monotonic() - began, line.rstrip("\n")) for line in process.stdout]
        if code := process.wait(_PATIENCE):
            raise RuntimeError(f"the demo has failed: {code}")
    return lines


def drawn(lines: Sequence[tuple[float, str]]) -> str:
    """Draw lines that appear after their seconds; the last ones stay, also if nothing moves."""
    drawing = Drawing(
        _WIDTH,
        "runagent demo",
        "A terminal: a story is streamed over three transports, in three styles; a table of the times.",
        font="monospace",
        style=_motion(lines),
    )
    height = _SHOWN * _LINE + 2 * _TOP
    drawing.rect(0, 0, _WIDTH, height, "box", round_by=8)
    drawing.markup(f'<svg y="{_TOP}" width="{_WIDTH}" height="{_SHOWN * _LINE}"><g class="all">')
    for number, (seconds, line) in enumerate(lines):
        drawing.markup(f'<g class="on" style="animation-delay:{seconds:.2f}s">')
        drawing.text(_LEFT, (number + 0.75) * _LINE, line, "dim" if line == PROMPT else "ink")
        drawing.markup("</g>")
    drawing.markup("</g></svg>")
    return drawing.svg(height)


def _motion(lines: Sequence[tuple[float, str]]) -> str:
    """Write the rules that show the lines, and move them up when there is no room below."""
    total = lines[-1][0]
    steps = ["0%{transform:translateY(0)}"]
    for number, (seconds, _) in enumerate(lines):
        if number >= _SHOWN:
            steps.append(
                f"{100 * seconds / total:.2f}%{{transform:translateY({-_LINE * (number + 1 - _SHOWN)}px)}}"
            )
    last = -_LINE * max(len(lines) - _SHOWN, 0)
    return (
        "@keyframes on{from{opacity:0}to{opacity:1}}"
        f"@keyframes up{{{''.join(steps)}}}.all{{transform:translateY({last}px)}}"
        "@media(prefers-reduced-motion:no-preference){"
        f".on{{animation:on .01s both}}.all{{animation:up {total:.2f}s step-end both}}}}"
    )


def without_figures(text: str) -> str:
    """Return text in which each figure with its padding is one sign."""
    return re.sub(r" *\d+(?:\.\d+)?", "#", text)


def shown() -> str:
    """Return the text of the picture."""
    root = ET.parse(PATH).getroot()
    return "\n".join(element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text"))


if __name__ == "__main__":
    PATH.write_text(drawn(recorded()), encoding="utf-8")
