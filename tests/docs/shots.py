"""Looks at the site with a browser: ``python -m tests.docs.shots``, after ``make docs``.

It takes pictures of a few pages at the width of a phone and of a desk, into build/docs/shots, and fails if
one of them loads something from elsewhere, if any page is wider than a phone or logs an error, or if the
search does not lead to the page of a word.
"""

from __future__ import annotations

import functools
import itertools
import re
import sys
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.docs.site import BUILD, SEARCHED, SOURCES
from tests.interop.browser import BROWSERS, Tab, browser_on
from tests.interop.programs import Port, find

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = {"phone": (390, 844), "desk": (1440, 900)}
PATIENCE = 120.0  # seconds: a busy machine may take its time, as nothing here measures any
_SECTION = "reference/api-runagent/#runagent.RunAgentClient"
LOOKED_AT = (
    "",
    "readme/",
    "start/",
    "streaming-responses/",
    "cookbook/",
    "cookbook/chat-page/",
    "control/",
    "compare/",
    "situations/",
    "reliability/",
    "performance/",
    "faq/",
    "reference/errors/",
    "reference/api-runagent/",
    "reference/settings/",
    _SECTION,
)
_SIDEWAYS = "document.scrollingElement.scrollWidth - window.innerWidth"
_SCHEME = "document.body.getAttribute('data-md-color-scheme')"
_RESULTS = "[...document.querySelectorAll('div')].find(each => each.shadowRoot).shadowRoot"
_ELSEWHERE = (
    "performance.getEntriesByType('resource').map(e => e.name).filter(u => !u.startsWith(location.origin))"
)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def main() -> int:
    """Look at each page, and return the exit code."""
    if find(*BROWSERS) is None:
        print(f"nobody has looked at the site: none of {', '.join(BROWSERS)} is installed")  # noqa: T201
        return 0
    handler = functools.partial(_Quiet, directory=BUILD / "site")
    folder = BUILD / "shots"
    folder.mkdir(exist_ok=True)
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        tempfile.TemporaryDirectory() as profile,
        Port() as port,
        browser_on(port, Path(profile)) as browser,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/"
            with Tab(browser, url, patience=PATIENCE) as tab:
                problems = [*_pages(tab, url, folder), *_widths(tab, url), *_logged(tab)]
                _search(tab, url, folder)
        finally:
            server.shutdown()
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201
    return 1 if problems else 0


def _pages(tab: Tab, url: str, folder: Path) -> Iterator[str]:
    for page in LOOKED_AT:
        name = re.sub(r"\W+", "-", page.strip("/")) or "home"
        for (size, (width, height)), scheme in itertools.product(SIZES.items(), ("light", "dark")):
            picture = folder / f"{name}-{size}-{scheme}.png"
            tab.emulate(width, height, scheme=scheme)
            tab.open(url + page)
            tab.screenshot(picture, width, height, scheme=scheme)
            if (pixels := tab.value(_SIDEWAYS)) > 0:
                yield f"/{page} is {pixels} pixels wider than a {size}"
            if (shown := tab.value(_SCHEME)) != {"light": "default", "dark": "slate"}[scheme]:
                yield f"/{page} is shown as {shown} to who prefers {scheme}"
        if loaded := tab.value(_ELSEWHERE):
            yield f"/{page} loads {loaded}"


def _widths(tab: Tab, url: str) -> Iterator[str]:
    """Open every page at the width of a phone: wide tables and examples have to scroll by themselves."""
    tab.emulate(*SIZES["phone"])
    for place in SOURCES:
        page = re.sub("(^|/)index$", r"\1", place.removesuffix(".md"))
        tab.open(f"{url}{page}/" if page and page[-1] != "/" else url + page)
        if (pixels := tab.value(_SIDEWAYS)) > 0:
            yield f"/{page} is {pixels} pixels wider than a phone"


def _logged(tab: Tab) -> Iterator[str]:
    if errors := [entry for entry in tab.logged if '"level": "info"' not in entry]:
        yield f"the browser has logged {errors}"


def _search(tab: Tab, url: str, folder: Path) -> None:
    """Search for each word; if its page is not found within the patience of a tab, that fails."""
    for word, page in SEARCHED.items():
        tab.open(url)
        tab.value("document.querySelector('.md-search__button').click()")
        tab.wait(f"{_RESULTS}.querySelector('dialog[open] input')")
        tab.value(f"{_RESULTS}.querySelector('dialog[open] input').focus()")
        tab.type(word)
        tab.wait(f"[...{_RESULTS}.querySelectorAll('a')].some(link => link.href.startsWith('{url}{page}'))")
        tab.screenshot(folder / f"search-{word.strip('-')}-desk-light.png", *SIZES["desk"])


if __name__ == "__main__":
    sys.exit(main())
