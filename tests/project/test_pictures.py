"""The pictures of the pages are what their programs draw, and have a text for readers who cannot see them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from runagent._cli import main
from tests.docs.pages import ROOT
from tests.docs.pictures import demo, screens
from tests.docs.pictures.write import FOLDER, PICTURES

PAGES = {path: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *FOLDER.rglob("*.md")]}
SHOWN = [
    (page.parent / target).resolve()
    for page, text in PAGES.items()
    for target in re.findall(r"!\[[^\]]{20,}\]\(([^)]+)\)", text)
]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_fresh(name: str) -> None:
    shown = (FOLDER / name).read_text(encoding="utf-8")
    assert PICTURES[name]() == shown, "run: python -m tests.docs.pictures.write"
    ET.fromstring(shown)


@pytest.mark.parametrize("name", screens.SCREENS)
def test_a_picture_of_a_page_is_of_the_page_as_it_is(name: str) -> None:
    again = "run: python -m tests.interop.pictures, and look at the pictures"
    assert screens.digests()[name] == screens.recorded()[name], again


def test_every_png_is_a_picture_of_a_page() -> None:
    names = {f"{name}-{scheme}.png" for name in screens.SCREENS for scheme in ("light", "dark")}
    assert names == {path.name for path in FOLDER.rglob("*.png")}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.svg")), ids=lambda path: path.name)
def test_a_picture_is_shown_by_a_page_and_described(path) -> None:
    assert path in SHOWN
    assert "<title>" in path.read_text(encoding="utf-8")


def test_the_demo_is_recorded_as_it_is_today(capfd) -> None:
    assert 0 == main(["demo", "--fast"])
    printed = f"{demo.PROMPT}\n{capfd.readouterr().out}".rstrip("\n")
    again = "run: python -m tests.docs.pictures.demo"
    assert demo.without_figures(demo.shown()) == demo.without_figures(printed), again


def test_lines_of_a_recorded_terminal_appear_in_their_time() -> None:
    lines = [(0.5 * number, f"line {number}") for number in range(24)]
    drawn = demo.drawn(lines)
    assert 'style="animation-delay:11.50s"' in drawn
    assert "@keyframes up{0%{transform:translateY(0)}95.65%{transform:translateY(-17px)}" in drawn
    assert ".all{transform:translateY(-34px)}" in drawn  # the last lines, if nothing moves
    ET.fromstring(drawn)
