"""Pages of the package index: its renderer takes each README from the metadata, and no link is dead."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import ROOT
from tests.interop.programs import environment, needs_environment
from tests.support.process import printed_by

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_environment("readme")

PROJECTS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
RENDER = "import sys\nfrom readme_renderer import markdown\nprint(markdown.render(sys.stdin.read()))"


class Targets(HTMLParser):
    """Collects what a page links to and shows."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.targets += [value or "" for name, value in attrs if name in {"href", "src"}]


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
def test_the_page_of_a_package_is_rendered_without_dead_links(project: Path) -> None:
    hatchling = [sys.executable, "-m", "hatchling"]
    readme = json.loads(printed_by([*hatchling, "metadata"], cwd=project))["readme"]
    assert "text/markdown" == readme["content-type"]
    page = printed_by([environment("readme"), "-W", "error", "-c", RENDER], input=readme["text"])
    assert page.startswith("<h1")
    parser = Targets()
    parser.feed(page)
    assert [] == [target for target in parser.targets if not target.startswith(("#", "https://"))]
