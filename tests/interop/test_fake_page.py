"""The fake agent's page in a real browser: it steers a running server, and no page of another origin does."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runagent import RunAgentClient
from runagent_testing import FakeAgentServer, gate
from tests.interop.browser import BROWSERS, Tab, browser_on
from tests.interop.programs import Port, Program, needs
from tests.support.peer import Peer, http

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.peer import PeerConnection

pytestmark = [pytest.mark.interop, needs(*BROWSERS)]

LIVE = "document.getElementById('live').textContent === 'live'"
STORY = ("Once", " upon", " a", " time 😀")
PROTOCOLS = (
    *("sse", "chunked", "websocket", "plain", "openai 0", "openai 1", "anthropic 0", "ollama 0", "gemini 0"),
    *("agui 0", "vercel 0", "a2a 0"),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Port() as port, browser_on(port, tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def served() -> Iterator[FakeAgentServer]:
    with FakeAgentServer(control=True) as server:
        yield server


def text_of(tab: Tab, id: str) -> str:
    text: str = tab.value(f"document.getElementById('{id}').innerText")
    return text


def choose(tab: Tab, id: str, value: str) -> None:
    tab.value(
        f"(() => {{ const made = document.getElementById('{id}'); made.value = {json.dumps(value)};"
        " made.dispatchEvent(new Event('change', { bubbles: true })); })()"
    )


def press_button(tab: Tab, label: str) -> None:
    """Go to a button by the Tab key, and press it by the space bar."""
    tab.value("document.activeElement.blur()")
    for _ in range(60):
        tab.press("Tab")
        if tab.value("document.activeElement.ariaLabel ?? document.activeElement.textContent") == label:
            tab.press(" ")
            return
    raise AssertionError(f"no way by the keyboard to {label!r}: {text_of(tab, 'gates')}")


def test_a_run_is_stopped_after_its_third_chunk_looked_at_and_let_on_by_the_keyboard(
    browser: Program, served: FakeAgentServer
) -> None:
    served.agent("writer").reply(*STORY[:3], gate("door"), STORY[3]).reply("never asked for")
    with Tab(browser, f"{served.url}/") as tab, ThreadPoolExecutor(1) as pool:
        tab.wait(LIVE)
        reading = pool.submit(RunAgentClient("writer", base_url=served.url).run_generic_stream("hi").text)
        tab.wait("document.getElementById('running').innerText.includes('3 chunks, waits at gate door')")
        assert "Once upon a" in text_of(tab, "running")
        assert "1 waiting" in text_of(tab, "gates")
        press_button(tab, "Open gate door")
        assert "".join(STORY) == reading.result(10)
        tab.wait("document.getElementById('rows').innerText.includes('done')")
        press_button(tab, "Check now")
        tab.wait("document.getElementById('check-state').textContent === '1 unmet'")
        assert "never used: reply with chunk 'never asked for'" in text_of(tab, "problems")
        press_button(tab, "1")
        tab.wait("document.getElementById('detail').innerText.includes('chunk')")
        assert "gate 'door'" in text_of(tab, "detail")
        assert [] == tab.logged


def test_two_pages_of_two_scopes_do_not_meet(browser: Program, served: FakeAgentServer) -> None:
    for name in ("one", "two"):
        served.scope(name).agent("writer").reply(name, gate("door"), " over")
    with (
        Tab(browser, f"{served.url}/_scope/one/") as one,
        Tab(browser, f"{served.url}/_scope/two/") as two,
    ):
        for tab in (one, two):
            tab.wait(LIVE)
            tab.wait("document.getElementById('gates').innerText.includes('door')")
            tab.value("document.getElementById('start').requestSubmit()")
            tab.wait("document.getElementById('running').innerText.includes('1 chunk, waits')")
        press_button(one, "Open gate door")
        one.wait("document.getElementById('start-state').textContent.startsWith('ended')")
        assert ["one over", "two"] == [text_of(tab, "answer") for tab in (one, two)]
        assert "waits at gate door" in text_of(two, "running")
        assert "1 waiting" in text_of(two, "gates")
        press_button(two, "Open gate door")
        two.wait("document.getElementById('start-state').textContent.startsWith('ended')")
        assert ["one over", "two over"] == [text_of(tab, "answer") for tab in (one, two)]
    assert [] == served.requests


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_it_starts_a_run_over(browser: Program, served: FakeAgentServer, protocol: str) -> None:
    served.agent("writer").always(*STORY).returns("".join(STORY))
    with Tab(browser, f"{served.url}/") as tab:
        tab.wait(LIVE)
        tab.wait("document.getElementById('start-agent').value === 'writer'")
        choose(tab, "start-protocol", protocol)
        tab.value("document.getElementById('start').requestSubmit()")
        tab.wait("/^(ended|failed)/.test(document.getElementById('start-state').textContent)")
        answer = text_of(tab, "answer")
        assert all(word.strip() in answer for word in ("Once", "upon", "time")), answer
        assert text_of(tab, "start-state") in ("ended, status 200", "ended, close code 1000")
        if protocol in ("sse", "chunked", "websocket"):
            assert "".join(STORY) == answer
        assert ([], []) == (tab.logged, served.unmatched)


def test_faults_replies_and_a_reset(browser: Program, served: FakeAgentServer) -> None:
    served.agent("writer").always("always")
    client = RunAgentClient("writer", base_url=served.url, max_retries=0, max_resumes=0)
    with Tab(browser, f"{served.url}/") as tab:
        tab.wait(LIVE)
        choose(tab, "reply-agent", "writer")
        tab.value("document.getElementById('reply').requestSubmit()")
        tab.wait("document.getElementById('agents').innerText.includes('1 unused')")
        assert "Once upon a time" == client.run_generic_stream("hi").text()
        tab.wait("document.getElementById('fault-id').options.length > 10")
        choose(tab, "fault-id", "fin-after-event-1")
        tab.value("document.getElementById('fault').requestSubmit()")
        tab.wait("document.getElementById('fault-about').textContent === 'The next run meets it.'")
        with pytest.raises(Exception, match="ended"):
            client.run_generic_stream("hi").text()
        tab.wait("document.getElementById('rows').children.length === 2")
        press_button(tab, "Reset")
        tab.wait("document.getElementById('rows').children.length === 0")
    assert [] == served.requests


def test_a_token_is_asked_for_and_kept_out_of_the_address(browser: Program) -> None:
    with FakeAgentServer(control=True, control_token="open sesame") as server:
        server.agent("writer").always("Once")
        with Tab(browser, f"{server.url}/") as tab:
            tab.wait("document.getElementById('ask').open")
            tab.value("document.getElementById('token').focus()")
            tab.type("open sesame")
            tab.press("Enter")
            tab.wait(LIVE)
            tab.open(f"{server.url}/")  # the tab keeps it
            tab.wait(LIVE)
            assert "sesame" not in tab.value("location.href + document.documentElement.outerHTML")


def test_many_chunks_and_exchanges_leave_it_small_and_quick(
    browser: Program, served: FakeAgentServer
) -> None:
    served.agent("long").always(*["word "] * 10_000, gate("door"))
    served.agent("short").always("x")
    client = RunAgentClient("short", base_url=served.url)
    with Tab(browser, f"{served.url}/") as tab, ThreadPoolExecutor(1) as pool:
        tab.wait(LIVE)
        reading = pool.submit(RunAgentClient("long", base_url=served.url).run_generic_stream("hi").text)
        for _ in range(1000):
            client.run_generic_stream("hi").text()
        tab.wait("document.getElementById('running').innerText.includes('10000 chunks, waits at gate door')")
        tab.wait("document.getElementById('counts').innerText.startsWith('1001 runs')")
        assert 300 >= tab.value("document.getElementById('rows').children.length")
        assert 6000 > tab.value("document.getElementById('running').innerText.length - 200")
        assert 200 > tab.value(
            "(() => { const begin = performance.now(); redraw(); return performance.now() - begin; })()"
        )
        press_button(tab, "Open gate door")
        assert 50_000 == len(reading.result(20))


def test_it_has_a_light_and_a_dark_form(browser: Program, served: FakeAgentServer) -> None:
    with Tab(browser, f"{served.url}/") as tab:
        colors = []
        for scheme in ("light", "dark"):
            tab.command(
                "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
            )
            colors.append(tab.value("getComputedStyle(document.body).backgroundColor"))
        tab.command(
            "Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=True
        )
        assert tab.value("document.documentElement.scrollWidth <= 360")
    assert colors[0] != colors[1]


# What a page of another origin can do: nothing

ATTACKS = (Path(__file__).parent / "agents" / "foreign_page.js").read_text(encoding="utf-8")
NAMES = re.findall(r"^  (\w+): ", ATTACKS, re.MULTILINE)


@pytest.fixture
def foreign() -> Iterator[str]:
    """The URL of a page of another origin."""

    def serve(connection: PeerConnection) -> None:
        while connection.read_request():
            connection.send(http(200, b"<!doctype html><body>evil", content_type="text/html"))

    with Peer(serve) as peer:
        yield peer.url


@pytest.mark.parametrize("attack", NAMES)
def test_a_page_of_another_origin_can_neither_read_nor_drive_it(
    browser: Program, served: FakeAgentServer, foreign: str, attack: str
) -> None:
    served.agent("writer").always("good", gate("door"))
    with Tab(browser, f"{foreign}/") as tab:
        tab.value(ATTACKS)
        seen = tab.value(f"attack({json.dumps(attack)}, {json.dumps(served.url)})")
    assert seen in (None, "")  # an opaque answer has no text
    assert ([], ["writer"]) == (served.requests, [scripts.id for scripts in served._scripts.values()])
    assert not served.gates["door"].is_open
    served.gates["door"].open()
    assert "good" == RunAgentClient("writer", base_url=served.url).run_generic_stream("hi").text()


def test_a_name_that_is_bound_to_the_server_does_not_help(browser: Program, served: FakeAgentServer) -> None:
    url = served.url.replace("127.0.0.1", "rebound.test")
    with Tab(browser, f"{url}/_fake/state") as tab:
        assert "FOREIGN_HOST" in tab.value("document.body.innerText")
        tab.open(f"{url}/")
        assert "FOREIGN_HOST" in tab.value("document.body.innerText")
