"""The README is true: its example without Ray prints what it shows; ``make interop`` runs the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.docs.pages import DOCS, Example, Page
from tests.support.plugin_readmes import check_examples, check_links

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

README = Page(Path(__file__).parents[1] / "README.md")


class WithoutRay(Page):
    """The README without the examples that need Ray."""

    def examples(self) -> Iterator[Example]:
        return (example for example in super().examples() if "ray.data" not in example.text)


def test_its_example_without_ray_does_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    page = WithoutRay(README.path)
    assert list(page.examples())
    check_examples(page, capsys)


def test_its_links_lead_somewhere() -> None:
    check_links(README)


def test_the_page_about_fleets_shows_a_piece_of_its_job() -> None:
    assert DOCS["fleets"].block("rows.map_batches(") in README.text
