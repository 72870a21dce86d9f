"""The pictures of the pages are what their programs draw, and have a text for readers who cannot see them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from tests.docs.pages import ROOT
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


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.svg")), ids=lambda path: path.name)
def test_a_picture_is_shown_by_a_page_and_described(path) -> None:
    assert path in SHOWN
    assert "<title>" in path.read_text(encoding="utf-8")
