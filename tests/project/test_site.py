"""The site of the documentation has every page in its navigation and no dead link: `make docs` in short."""

from __future__ import annotations

import json
import posixpath
import re

import pytest
import yaml

from tests.docs import site
from tests.docs.pages import ROOT, Page, anchor

GROUPS = [
    *("Home", "Start", "Guides", "Cookbook", "Gateways", "Testing", "Other protocols", "Plugins", "Compare"),
    *("Migrate", "Reference", "About"),
]


def test_every_page_is_in_the_navigation_once() -> None:
    shown = [place for _, _, place in site.nav_pages()]
    assert sorted(site.SOURCES) == sorted(shown), "the navigation is in docs/mkdocs.yml"


def test_the_groups_of_the_navigation_are_in_order() -> None:
    groups = list(dict.fromkeys(group for group, _, _ in site.nav_pages()))
    assert [group for group in GROUPS if group in groups] == groups


def test_titles_differ_within_a_group() -> None:
    titles = [(group, title) for group, title, _ in site.nav_pages()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("place", site.SOURCES)
def test_every_link_of_the_site_leads_to_one_of_its_pages(place: str) -> None:
    for target in links(site.staged(place)):
        path, _, fragment = target.partition("#")
        there = posixpath.normpath(posixpath.join(posixpath.dirname(place), path)) if path else place
        if there in site.SOURCES:
            assert not fragment or fragment in map(anchor, Page(site.SOURCES[there]).headings()), target
        else:
            assert (ROOT / "docs" / there).is_file(), target


def links(text: str) -> list[str]:
    """Return the targets of a page's links that are not addresses."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return [match for match in re.findall(r"\]\(([^)\s]+)\)", prose) if ":" not in match]


def test_links_to_files_that_are_not_in_the_site_become_text() -> None:
    assert "test_rules.py)" in site.SOURCES["situations.md"].read_text("utf-8")
    assert "test_rules.py)" not in site.staged("situations.md")


def test_links_keep_their_fragments_and_lead_to_pictures_and_out_of_folders() -> None:
    assert "](../sharing.md)" in site.staged("cookbook/ask-several.md")
    assert "](performance.md)" in site.staged("readme.md")
    assert "](timeline.svg)" in site.staged("recordings.md")
    assert "](../plugins.md)" in site.staged("packages/index.md")


def test_a_picture_is_shown_in_the_scheme_of_the_reader() -> None:
    text = site.staged("cookbook/chat-page.md")
    for scheme in ("light", "dark"):
        assert f"](../chat-page-{scheme}.png#only-{scheme})" in text


def test_only_the_file_of_a_reference_describes_where_to_read_it() -> None:
    assert "`make docs` builds" in site.SOURCES["reference/api-runagent.md"].read_text("utf-8")
    assert "make docs" not in site.staged("reference/api-runagent.md")


def test_code_in_a_table_shows_no_escape() -> None:
    assert r"`Started \| Chunk" in site.SOURCES["reference/api-runagent.md"].read_text("utf-8")
    assert "`Started | Chunk" in site.staged("reference/api-runagent.md")


def blocks(text: str) -> list[str]:
    return re.findall(r"^```.*?^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("place", ["readme.md", "testing.md", "situations.md"])
def test_code_is_left_as_it_is(place: str) -> None:
    assert blocks(site.SOURCES[place].read_text("utf-8")) == blocks(site.staged(place))


def test_the_list_for_language_models_has_every_page() -> None:
    text = site.llms_txt()
    assert text.startswith("# runagent\n\n> Stream")
    assert set(re.findall(r"^- \[[^\]]+\]\(([^)]+)\): \S", text, re.MULTILINE)) == set(site.SOURCES)


def test_the_configuration_has_a_search_and_a_reference() -> None:
    names = [
        name
        for each in site.configuration()["plugins"]
        for name in ([each] if isinstance(each, str) else each)
    ]
    assert ["search", "mkdocstrings"] == names


@pytest.mark.parametrize(("word", "page"), site.SEARCHED.items())
def test_a_word_that_is_searched_for_is_on_its_page(word: str, page: str) -> None:
    assert word in site.staged(f"{page.rstrip('/')}.md")


def test_a_word_that_the_index_of_the_search_lacks_is_reported(tmp_path, monkeypatch) -> None:
    entries = [
        {"location": f"{page}#it", "title": "It", "text": f"is {word} here"}
        for word, page in site.SEARCHED.items()
        if word != "idle"
    ]
    (tmp_path / "site").mkdir()
    (tmp_path / "site/search.json").write_text(json.dumps({"items": entries}), encoding="utf-8")
    monkeypatch.setattr(site, "BUILD", tmp_path)
    assert ["idle"] == site.not_found()


def test_what_is_written_for_the_builder_is_plain_yaml_with_the_pages_of_folders(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(site, "BUILD", tmp_path / "docs")
    site.stage()
    text = (tmp_path / "docs/mkdocs.yml").read_text("utf-8")
    written = yaml.load(text, site._Loader)
    assert "/*" not in str(written["nav"])
    assert written["theme"] == site.configuration()["theme"]
    assert written.keys() == site.configuration().keys()
    assert {path.relative_to(tmp_path / "docs/pages").as_posix() for path in tmp_path.rglob("*.md")} == set(
        site.SOURCES
    )
    assert (tmp_path / "docs/pages/llms.txt").is_file()


def test_the_builders_are_pinned() -> None:
    lines = (ROOT / "docs/requirements.txt").read_text("utf-8").splitlines()
    assert all(line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    assert {"zensical==0.0.73", "mkdocstrings-python==2.0.11", "mkdocs==1.6.1"} <= set(lines)
