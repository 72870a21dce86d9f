"""The README and the pages Compare, Migrate and Questions show what other software and messages are like."""

from __future__ import annotations

import asyncio
import itertools
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx2
import pytest
import yaml

import runagent
from runagent import RunAgentClient
from runagent_testing import FakeAgentServer, ending, raw
from tests.docs.pages import DOCS, README, ROOT, Page, code_in

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = "good end"
SILENCE = 0.2
HALF = b'event: chunk\ndata: {"content": " a t'

ENDINGS = {
    "clean end": (ending("no-done"),),
    "FIN": (ending("cut"),),
    "RST": (ending("reset"),),
    "half an event": (raw(HALF), ending("no-done")),
    "silence": (ending("stall"),),
}


def with_httpx2(url: str) -> None:
    with (
        httpx2.Client(timeout=SILENCE, trust_env=False, verify=False) as client,
        client.sse(url, method="POST", json={}) as source,
    ):
        assert len([event.data for event in source]) >= 3


def with_aiohttp(url: str) -> None:
    async def read() -> None:
        limit = aiohttp.ClientTimeout(sock_read=SILENCE)
        async with aiohttp.ClientSession(timeout=limit) as session, session.post(url, json={}) as answer:
            assert len([line async for line in answer.content if line.startswith(b"data:")]) >= 3

    asyncio.run(read())


def with_runagent(url: str) -> None:
    client = RunAgentClient("a", base_url=url.partition("/v1")[0], timeout=SILENCE, resume=False)
    client.run_generic_stream("hello").text()


CLIENTS: dict[str, Callable[[str], None]] = {
    "httpx2, `client.sse`": with_httpx2,
    "aiohttp, lines by hand": with_aiohttp,
    "runagent": with_runagent,
}


def shown(page: Page, *first: str) -> dict[str, list[str]]:
    """Return the rows below the table's head that begins so, by their first cells."""
    rows = iter(page.rows())
    width = len(next(row for row in rows if row[: len(first)] == [*first]))
    return {row[0]: row[1:] for row in itertools.takewhile(lambda row: len(row) == width, rows)}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_bad_end_is_as_the_page_shows(client: str, server: FakeAgentServer) -> None:
    cells = []
    for steps in ENDINGS.values():
        server.agent("a").reply("Once", " upon", *steps, indexed=False)
        try:
            CLIENTS[client](f"{server.url}/v1/agents/a/stream")
        except Exception as error:  # noqa: BLE001 - its class is what the page shows
            cells.append(f"`{type(error).__name__}`")
        else:
            cells.append(GOOD)
    assert cells == shown(DOCS["compare"], "client", *ENDINGS)[client]


def test_the_readme_names_the_protocols_whose_clients_miss_a_clean_end() -> None:
    protocols = {
        "a2a": "A2A",
        "agui": "AG-UI",
        "anthropic": "Anthropic",
        "gemini": "Gemini",
        "ollama": "Ollama",
    }
    protocols |= {"openai": "OpenAI", "vercel": "Vercel's AI SDK", "langgraph": "LangGraph"}
    ends: dict[str, set[str]] = {}
    for row in DOCS["reliability"].rows():
        if len(row) == 7 and row[0].partition("-")[0] in protocols and row[1] != "runagent":
            ends.setdefault(protocols[row[0].partition("-")[0]], set()).add(row[2])
    assert ends.keys() == set(protocols.values())
    (named,) = re.findall(r"the official clients of (.+?) take what came", " ".join(README.prose.split()))
    assert re.split(", | and ", named) == sorted(name for name, cells in ends.items() if cells == {GOOD})


def test_the_numbers_of_the_readme_are_those_of_the_page_about_performance() -> None:
    rows = DOCS["performance"].rows()

    def measured(*cells: str, column: int = 0) -> str:
        return next(row for row in rows if row[: len(cells)] == [*cells])[column or len(cells)]

    start = [measured(f"first chunk, {name}") for name in ("runagent sse", "httpx2 sse", "openai")]
    memory = [measured(name, "asyncio", "1000", column=5) for name in ("runagent", "aiohttp")]
    event = [measured(name, "sync") for name in ("runagent", "httpx2")]
    numbers = [re.findall(r"([\d.]+) (?:ms|KiB|us)", " ".join(row)) for row in README.rows()]
    assert [start, memory, event] == [found for found in numbers if found]


# Rows of the page Compare about test tools, by the number of the situation that they are about.
SITUATIONS = {
    "a minute of silence, tested at once": "1",
    "the test decides when each event comes": "7",
    "did the client let go of the stream?": "19",
    "record and replay": "20",
    "as an ASGI app, without a socket": "40",
    "the client's time limit is met": "43",
    "a stream that is cut off": "44",
}


@pytest.mark.parametrize("row", SITUATIONS)
def test_the_verdicts_about_test_tools_are_those_of_the_situations(row: str) -> None:
    tools = ["aimock", "MockServer", "respx", "pytest-httpserver"]
    compared = shown(DOCS["compare"], "", "the fake agent", *tools)[row][1:]
    aimock, mockserver, _, respx, httpserver, _ = shown(DOCS["situations"], "", "aimock")[SITUATIONS[row]]
    verdicts = [cell.partition(",")[0] for cell in (aimock, mockserver, respx, httpserver)]
    assert verdicts == [re.split("[:,]", cell.strip("*"))[0] for cell in compared]


def test_two_pages_name_the_same_systems_as_ci() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    systems = {job["runs-on"].partition("-")[0]: job.get("continue-on-error", False) for job in jobs.values()}
    assert {"ubuntu": False, "macos": True} == systems
    for name, other in (("install", "support"), ("support", "install")):
        text = " ".join(DOCS[name].prose.split())
        assert re.search(r"CI has a job for macOS[^.;]*, whose failure does not count yet", text)
        assert (
            "tests have not run on macOS or Windows" in text
            or "macOS, Windows | the tests have not run" in text
        )
        assert f"{other}.md" in {target.partition("#")[0] for target in DOCS[name].links()}


PUBLISHED = (  # the arguments of the published client, 0.1.49, and the variables that it reads
    *("agent_id", "entrypoint_tag", "local", "host", "port", "user_id", "persistent_memory"),
    *("RUNAGENT_API_KEY", "RUNAGENT_BASE_URL", "RUNAGENT_LOGGING_LEVEL", "RUNAGENT_CACHE_DIR"),
    *("RunAgentExecutionError", "AuthenticationError", "ValidationError", "ConnectionError", "ServerError"),
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_argument_of_the_published_client_has_its_place(name: str) -> None:
    old = " ".join(row[0] for row in DOCS["migrate"].rows() if len(row) == 2)
    assert re.search(rf"\b{name}\b", old)


def test_the_page_migrate_leads_to_errors_that_exist() -> None:
    rows = [row for row in DOCS["migrate"].rows() if len(row) == 2]
    named = {name for row in rows for name in re.findall(r"(?<!runagent\.)\b[A-Z]\w+Error\b", row[1])}
    assert len(named) > 10
    assert set() == named - {*runagent.__all__, "TimeoutError"}


@pytest.mark.parametrize(
    ("quoted", "arguments"),
    [
        ("connection refused", {"base_url": "http://127.0.0.1:1", "max_retries": 0}),
        ("only plain http:// proxies are supported", {"proxy": "socks5://127.0.0.1:1"}),
    ],
)
def test_the_questions_quote_messages_of_errors(quoted: str, arguments: dict[str, Any]) -> None:
    assert any(quoted in code_in(heading) for heading in DOCS["faq"].headings())
    with pytest.raises(runagent.RunAgentError, match=re.escape(quoted)):
        RunAgentClient("a", **arguments).run_generic("hello")


def test_the_questions_quote_what_a_stream_that_is_over_raises(server: FakeAgentServer) -> None:
    server.agent("a").always("Once")
    stream = RunAgentClient("a", base_url=server.url).run_generic_stream("hello")
    assert stream.text() == "Once"
    with pytest.raises(RuntimeError) as caught:
        stream.text()
    (quoted,) = (heading for heading in DOCS["faq"].headings() if "is over" in heading)
    assert str(caught.value).startswith(code_in(quoted)[0])
