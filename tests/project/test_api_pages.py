"""Every name of the interfaces for authors has a place on a page: a table links to where it is explained."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest

from runagent import capabilities, transports
from runagent._address.proxy import parse_proxy
from runagent._address.url import parse_base_url
from runagent._call import Found, ReceivedPart
from runagent._wire.http1 import ResponseDecoder
from runagent._wire.ndjson import LineRow
from runagent._wire.sse import EventRow
from runagent_testing import conformance, dialects
from tests.docs.pages import DOCS, Page, code_in

if TYPE_CHECKING:
    from types import ModuleType

MODULES = {
    transports: "transport-api",
    capabilities: "transport-api",
    dialects: "dialects",
    conformance: "kit",
}
NAMES = [(module, name) for module in MODULES for name in module.__all__]

# Those of pytest and of Python, which nobody calls.
NOT_EXPLAINED = {"pytest_generate_tests", "test_baseline", *dir(dict), *dir(BaseException), *dir(str)}


def places(page: Page) -> dict[str, tuple[Page, str]]:
    """Return the page and the fragment to which a table links each name."""
    links = re.findall(r"\[`(\w+)`\]\(([\w.-]*)#([\w-]+)\)", "\n".join(row[0] for row in page.rows()))
    return {
        name: (Page(page.path.parent / path) if path else page, fragment) for name, path, fragment in links
    }


def attributes(value: Any) -> set[str]:
    """Return the public attributes of a class, those of its instances included."""
    named = {name for kind in value.__mro__ for name in getattr(kind, "__annotations__", {})}
    return {name for name in {*dir(value), *named} if not name.startswith("_")} - NOT_EXPLAINED


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda value: getattr(value, "__name__", value))
def test_every_name_for_authors_has_a_place_that_explains_it(module: ModuleType, name: str) -> None:
    page, fragment = places(DOCS[MODULES[module]])[name]
    assert name in set(re.findall(r"\w+", page.section(fragment)))


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda value: getattr(value, "__name__", value))
def test_every_attribute_of_a_type_for_authors_is_explained(module: ModuleType, name: str) -> None:
    value = getattr(module, name)
    page, _ = places(DOCS[MODULES[module]])[name]
    if inspect.isclass(value):
        explained = {word.lower() for word in page.words()}
        assert {name for name in attributes(value) if name.lower() not in explained} == set()


@pytest.mark.parametrize("page", sorted(set(MODULES.values())))
def test_tables_of_names_have_no_unknown_ones(page: str) -> None:
    known = set().union(*(module.__all__ for module, name in MODULES.items() if name == page))
    assert set(places(DOCS[page])) == known


# Types that authors meet without importing them, by the names on the page.
MET = {
    "BaseURL": parse_base_url("http://agent.test"),
    "Origin": parse_base_url("http://agent.test").origin,
    "Proxy": parse_proxy("http://proxy.test:3128"),
    "Found": Found(),
    "ReceivedPart": ReceivedPart("answer", 1, ""),
    "ResponseDecoder": ResponseDecoder(),
    "EventRow": EventRow(b"chunk", b"{}", 1, ""),
    "LineRow": LineRow(b"{}", 1),
}


@pytest.mark.parametrize("name", MET)
def test_the_page_describes_the_types_that_authors_meet(name: str) -> None:
    kind = type(MET[name])
    assert name == kind.__name__
    (row,) = (row for row in DOCS["transport-api"].rows() if len(row) == 3 and name in code_in(row[0]))
    named = {word.removesuffix("()") for word in code_in(row[2])}
    has = {attribute for attribute in named if hasattr(MET[name], attribute)}
    assert has, "the row names nothing that the type has"
    if name not in ("ResponseDecoder", "EventRow", "LineRow"):  # whose other attributes are not for authors
        assert attributes(kind) - {"by_run", "by_client", "transport", "now"} <= named
