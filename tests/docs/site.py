"""The site of the documentation: ``python -m tests.docs.site`` builds it, for ``make docs``.

Pages lead to each other as files of the repository, so that they can be read there as well. Zensical and
MkDocs want them in one folder: each gets a place in build/docs, next to the configuration, and its links are
rewritten.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import yaml

from tests.docs.pages import ROOT, Page
from tests.docs.reference.api import WHERE_TO_READ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = [
    "CONFIGURATION",
    "SEARCHED",
    "SOURCES",
    "build",
    "configuration",
    "llms_txt",
    "nav_pages",
    "not_found",
    "stage",
    "staged",
]

CONFIGURATION = ROOT / "docs/mkdocs.yml"
BUILD = ROOT / "build/docs"
VENV = ROOT / ".venv-docs/bin"

_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])+)\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_ROW = re.compile(r"^\|.*$", re.MULTILINE)
# Words that a reader may search for, each with a page that has to be among the first results.
SEARCHED = {
    "StreamTruncatedError": "reference/errors/",
    "idle": "timeouts/",
    "Retry-After": "reference/errors/",
    "SSLKEYLOGFILE": "reference/environment/",
    "--fake-agent-chaos": "reference/fixtures/",
    "max_event_bytes": "transports/",
    "runagent_observe_call": "reference/hooks/",
}
_SLUGIFY = "tag:yaml.org,2002:python/object/apply:pymdownx.slugs.slugify"


def _sources() -> dict[str, Path]:
    """Return each page of the site, by its path there, with its file."""
    docs = ROOT / "docs"
    found = {path.relative_to(docs).as_posix(): path for path in sorted(docs.rglob("*.md"))}
    found |= {
        "readme.md": ROOT / "README.md",
        "changelog.md": ROOT / "CHANGELOG.md",
        "contributing.md": ROOT / "CONTRIBUTING.md",
        "security.md": ROOT / "SECURITY.md",
        "license.md": ROOT / "LICENSE",
        "packages/index.md": ROOT / "plugins/README.md",
    }
    readmes = sorted((ROOT / "plugins").glob("*/README.md"))
    return found | {f"packages/{path.parent.name}.md": path for path in readmes}


SOURCES = _sources()
_PLACES = {path: place for place, path in SOURCES.items()}


class _Loader(yaml.SafeLoader):
    """Reads the configuration without importing what it names: fragments are those of GitHub."""


def _arguments(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(_SLUGIFY, _arguments)


def configuration() -> dict[str, Any]:
    """Return the configuration of the site, with `folder/*` as it is written there."""
    read: dict[str, Any] = yaml.load(CONFIGURATION.read_text("utf-8"), _Loader)
    return read


def _entries(nav: list[Any]) -> list[Any]:
    """Return these entries of the navigation with the pages of each folder in the place of `folder/*`."""
    found: list[Any] = []
    for entry in nav:
        if isinstance(entry, str):
            found += _in_folder(entry.removesuffix("*"))
        else:
            ((title, value),) = entry.items()
            found.append({title: _entries(value) if isinstance(value, list) else value})
    return found


def _in_folder(folder: str) -> list[dict[str, str]]:
    """Return its pages by their headings, an index first."""
    pages = [place for place in SOURCES if place.startswith(folder) and "/" not in place.removeprefix(folder)]
    pages.sort(key=lambda place: (not place.endswith("/index.md"), _heading(place).casefold()))
    return [{_heading(place): place} for place in pages]


def _heading(place: str) -> str:
    return Page(SOURCES[place]).headings()[0].replace("`", "")


def nav_pages() -> list[tuple[str, str, str]]:
    """Return the group, the title and the path of each page in the navigation, in order."""
    found = []
    for group in _entries(configuration()["nav"]):
        ((name, value),) = group.items()
        entries = value if isinstance(value, list) else [group]
        found += [(name, title, place) for entry in entries for title, place in entry.items()]
    return found


def staged(place: str) -> str:
    """Return the text of a page for the site, in which links lead to other pages of it.

    Links to files that are not in the site, such as tests, become text, a name becomes code; a picture with a
    twin for the dark becomes both.
    """
    path = SOURCES[place]
    if path.suffix != ".md":
        return f"# License\n\n```\n{path.read_text('utf-8').strip()}\n```\n"
    text = path.read_text("utf-8").replace(f"{WHERE_TO_READ}\n\n", "")
    return _outside_code(text, lambda text: _rewritten(text, place))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    at, parts = 0, []
    for code in _CODE.finditer(text):
        if "\n" not in code[0]:
            continue  # a name in a line may be the text of a link
        parts += [change(text[at : code.start()]), code[0]]
        at = code.end()
    return "".join([*parts, change(text[at:])])


def _rewritten(text: str, place: str) -> str:
    def replace(link: re.Match[str]) -> str:
        target, hash_, fragment = link["target"].partition("#")
        if not target or ":" in target:
            return link[0]
        path = (SOURCES[place].parent / target).resolve()
        if path in _PLACES:
            there = _PLACES[path]
        elif path.is_relative_to(ROOT / "docs"):  # a picture
            there = path.relative_to(ROOT / "docs").as_posix()
        else:
            return f"`{link['text']}`" if link["text"].isidentifier() else link["text"]
        way = posixpath.relpath(there, posixpath.dirname(place) or ".")
        if link["image"] and way.endswith("-light.png"):
            return _in_both_schemes(link["text"], way)
        return f"{link['image']}[{link['text']}]({way}{hash_}{fragment})"

    return _ROW.sub(lambda row: _without_escapes(row[0]), _LINK.sub(replace, text))


def _in_both_schemes(text: str, light: str) -> str:
    """Return a picture and its twin for the dark; the theme shows one of them."""
    dark = light.replace("-light.", "-dark.")
    return f"![{text}]({light}#only-light)\n![{text}]({dark}#only-dark)"


def _without_escapes(row: str) -> str:
    """Return a table's row whose code has plain bars: only GitHub takes the escape out of code."""
    return _CODE.sub(lambda code: code[0].replace(r"\|", "|"), row)


def llms_txt() -> str:
    """Return the list of pages for language models (llmstxt.org): a link to each page."""
    about = configuration()
    lines = [f"# {about['site_name']}", "", f"> {about['site_description']}"]
    last = ""
    for group, title, place in nav_pages():
        if group != last:
            lines += ["", f"## {group}", ""]
            last = group
        lines.append(f"- [{title}]({place}): {_first_sentence(place)}")
    return "\n".join(lines) + "\n"


def _first_sentence(place: str) -> str:
    """Return the first sentence of a page's text, without links."""
    blocks = Page(SOURCES[place]).prose.split("\n\n")
    text = next((b for b in map(str.strip, blocks) if b[:1].isalpha() or b[:1] == "`"), "")
    return re.split(r"(?<=[.:])\s", " ".join(_LINK.sub(r"\g<text>", text).split()), maxsplit=1)[0].rstrip(":")


def stage() -> None:
    """Write configuration, pages, pictures and llms.txt into build/docs; what a build left there goes."""
    shutil.rmtree(BUILD, ignore_errors=True)
    pages = BUILD / "pages"
    for place in SOURCES:
        (pages / place).parent.mkdir(parents=True, exist_ok=True)
        (pages / place).write_text(staged(place), encoding="utf-8")
    for path in _other_files():
        shutil.copyfile(path, pages / path.relative_to(ROOT / "docs"))
    (pages / "llms.txt").write_text(llms_txt(), encoding="utf-8")
    before, _, after = CONFIGURATION.read_text("utf-8").partition("\nnav:\n")
    rest = after.partition("\n\n")[2]
    nav = yaml.safe_dump({"nav": _entries(configuration()["nav"])}, sort_keys=False)
    (BUILD / "mkdocs.yml").write_text(f"{before}\n{nav}\n{rest}", encoding="utf-8")


def _other_files() -> Iterator[Path]:
    """Give pictures, and what else pages link to or have people copy."""
    for path in sorted((ROOT / "docs").rglob("*")):
        if path.is_file() and path.suffix not in (".md", ".yml") and path.name != "requirements.txt":
            yield path


def build() -> None:
    """Build the site with Zensical, then with MkDocs to see that it could; each fails on every warning.

    Raises:
        CalledProcessError: One of them found something wrong, and has printed it.
    """
    stage()
    _run("zensical", "build", "--strict", "--clean", "--config-file", "mkdocs.yml")
    for place in SOURCES:  # as llms.txt links them
        (BUILD / "site" / place).parent.mkdir(exist_ok=True)
        shutil.copyfile(BUILD / "pages" / place, BUILD / "site" / place)
    plain = "INHERIT: mkdocs.yml\ntheme:\n  name: mkdocs\nsite_dir: ../docs-by-mkdocs\n"
    (BUILD / "by-mkdocs.yml").write_text(plain, encoding="utf-8")
    _run("mkdocs", "build", "--strict", "--quiet", "--config-file", "by-mkdocs.yml")


def not_found() -> list[str]:
    """Return the words of SEARCHED that the index of the built site does not have on their pages."""
    entries = json.loads((BUILD / "site/search.json").read_text("utf-8"))["items"]
    texts: dict[str, str] = {}
    for entry in entries:
        page = entry["location"].partition("#")[0]
        texts[page] = f"{texts.get(page, '')} {entry['title']} {entry['text']}"
    return [word for word, page in SEARCHED.items() if word not in texts.get(page, "")]


def _run(program: str, *arguments: str) -> None:
    settings = {**os.environ, "NO_COLOR": "1", "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run([VENV / program, *arguments], cwd=BUILD, check=True, env=settings)


if __name__ == "__main__":
    try:
        build()
    except subprocess.CalledProcessError as exc:
        sys.exit(f"the site was not built: {exc}")
    if words := not_found():
        sys.exit(f"the search does not find {', '.join(words)}")
    print(f"{BUILD / 'site'}: {len(SOURCES)} pages")  # noqa: T201
