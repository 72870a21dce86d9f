"""The chat page of the cookbook in a real browser, with its gateway on uvicorn, also behind nginx."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from runagent_testing import FakeAgentServer, delay, ending, error, gate, head, raw, status
from tests.interop.browser import BROWSERS, browser_on
from tests.interop.gateways.chat import Chat
from tests.interop.gateways.examples import chat_page
from tests.interop.nginx import Nginx
from tests.interop.programs import Port, Program, needs, needs_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing import Agent

pytestmark = [pytest.mark.interop, needs_environment("gateways"), needs(*BROWSERS)]

FRONTS = [pytest.param("", id="direct"), pytest.param("1.1/", id="nginx", marks=needs("nginx"))]
SOON = 0.5  # seconds in which the agent is free
INTERNAL = "db-7.internal"
COMPLETE = "The answer is complete."
WRITING = "The agent is writing. Escape stops it."
NOT_NOW = "The agent cannot answer now. Please try again later."


class Site:
    """The page and its gateway, as a browser reaches them.

    Attributes:
        gateway: The gateway.
        url: The page's.
    """

    def __init__(self, gateway: Program, url: str) -> None:
        self.gateway = gateway
        self.url = url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Port() as port, browser_on(port, tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture(scope="module", params=FRONTS)
def site(
    request: pytest.FixtureRequest, shared_agents: FakeAgentServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The gateway, as it is and behind an nginx without directives for it."""
    folder = tmp_path_factory.mktemp("chat")
    with ExitStack() as open_things:
        port, front, nobody = (open_things.enter_context(Port()) for _ in range(3))
        gateway = server = open_things.enter_context(chat_page(folder, shared_agents.url, port))
        if request.param:
            files = tmp_path_factory.mktemp("nginx")
            server = open_things.enter_context(Nginx(files, gateway.url, front, nobody))
        yield Site(gateway, f"{server.url}/{request.param}")


@pytest.fixture
def agent(agents: FakeAgentServer) -> Agent:
    return agents.agent("your-agent-id")


@pytest.fixture
def chat(browser: Program, site: Site, agents: FakeAgentServer) -> Iterator[Chat]:
    """The page in a tab, which is closed before the agents are."""
    with Chat(browser, site.url) as tab:
        yield tab


def test_chunks_appear_as_they_come_and_a_good_end_asks_for_no_more(
    chat: Chat, agent: Agent, agents: FakeAgentServer
) -> None:
    door = gate("door")
    agent.reply("Once", door, " upon", {"page": 1}).reply("And then?")
    chat.ask("Tell me a story")
    chat.wait_for_answer("Once")
    chat.wait_for_state(WRITING)
    door.open()
    chat.wait_for_state(COMPLETE)
    assert 'Once upon{"page":1}' == chat.answer
    assert chat.has_closed
    chat.ask("Go on")
    chat.wait_for_answer("And then?")
    assert [{"query": "Tell me a story"}, {"query": "Go on"}] == [each.input for each in agents.requests]
    assert [] == [line for line in chat.logged if '"info"' not in line]


@pytest.mark.parametrize("way", ["button", "escape", "leaving"])
@pytest.mark.parametrize("has_begun", [True, False])
def test_stopping_frees_the_agent(
    chat: Chat, agent: Agent, agents: FakeAgentServer, way: str, has_begun: bool
) -> None:
    agent.reply(*["Once"] * has_begun, ending("stall"))
    chat.ask("Tell me a story")
    chat.wait_for_answer("Once" * has_begun)
    exchange = agents.wait_request()
    if way == "button":
        chat.press("Tab")  # from the field over Send, which is disabled
        assert "stop" == chat.value("document.activeElement.id")
        chat.press(" ")
    elif way == "escape":
        chat.press("Escape")
    else:
        chat.command("Page.navigate", url="about:blank")
    assert exchange.wait_disconnected(SOON)
    if way != "leaving":
        assert ("Stopped.", "question") == (
            chat.value("document.getElementById('state').innerText"),
            chat.value("document.activeElement.id"),
        )
        assert ("Once" * has_begun, True) == (chat.answer, chat.has_closed)
    assert 1 == len(agents.requests)


def test_a_connection_that_broke_goes_on_where_it_was(
    chat: Chat, site: Site, agent: Agent, agents: FakeAgentServer
) -> None:
    door = gate("door")
    agent.always("Once", " upon", door, " a", " time")
    chat.ask("Tell me a story")
    chat.wait_for_answer("Once upon")
    site.gateway.restart()
    chat.wait_for_state("The connection broke. Trying to go on …")
    door.open()
    chat.wait_for_state(COMPLETE)
    assert "Once upon a time" == chat.answer
    assert [None, {"resume_from_index": 2}] == [each.input.get("parameters") for each in agents.requests]
    assert chat.has_closed


def test_a_connection_that_broke_before_the_first_chunk_asks_again(
    chat: Chat, site: Site, agent: Agent, agents: FakeAgentServer
) -> None:
    agent.reply(ending("stall")).reply("Once upon a time")
    chat.ask("Tell me a story")
    chat.wait("sources[0].readyState === EventSource.OPEN")
    site.gateway.restart()
    chat.wait_for_state(COMPLETE)
    assert ("Once upon a time", True) == (chat.answer, chat.has_closed)
    assert [{"query": "Tell me a story"}] * 2 == [each.input for each in agents.requests]


def test_a_gateway_that_is_away_for_longer_is_asked_again(
    chat: Chat, site: Site, agent: Agent, agents: FakeAgentServer
) -> None:
    door = gate("door")
    agent.always("Once", " upon", door, " a", " time")
    chat.ask("Tell me a story")
    chat.wait_for_answer("Once upon")
    site.gateway.stop(signal.SIGKILL)
    try:  # nginx answers 502, at which an EventSource gives up; without it, nobody answers
        chat.wait("failures > 1")
    finally:
        site.gateway.start()
    door.open()
    chat.wait_for_state(COMPLETE)
    assert "Once upon a time" == chat.answer
    assert [None, {"resume_from_index": 2}] == [each.input.get("parameters") for each in agents.requests]


def test_an_answer_without_numbers_is_not_asked_for_again(
    chat: Chat, site: Site, agent: Agent, agents: FakeAgentServer
) -> None:
    agent.reply("Once", ending("stall"), indexed=False)
    chat.ask("Tell me a story")
    chat.wait_for_answer("Once")
    site.gateway.restart()
    chat.wait_for_state("The connection broke in the middle of the answer.")
    assert ("Once", "Tell me a story", True) == (chat.answer, chat.draft, chat.has_closed)
    assert 1 == len(agents.requests)


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        ((status(429, message=INTERNAL, retry_after=7),), NOT_NOW),
        ((status(401, message=INTERNAL),), NOT_NOW),
        (("Once", error("DB7", INTERNAL)), "The agent could not answer."),
    ],
)
def test_a_failure_is_shown_in_plain_words(
    chat: Chat, agent: Agent, steps: tuple[Any, ...], shown: str
) -> None:
    agent.reply(*steps).reply("Once upon a time")
    chat.ask("Tell me a story")
    chat.wait_for_state(shown)
    assert "problem" == chat.value("document.getElementById('state').className")
    page = chat.value("document.documentElement.innerText")
    assert not any(word in page for word in (INTERNAL, "DB7", "Error", "429", "401"))
    assert ("Tell me a story", True) == (chat.draft, chat.has_closed)
    chat.press("Enter")
    chat.wait_for_answer("Once upon a time")


def test_an_end_without_proof_is_shown(chat: Chat, agent: Agent) -> None:
    agent.reply("Once", ending("stall"))
    chat.ask("Tell me a story")
    chat.wait_for_answer("Once")
    chat.send_event("done", {"proven": False})
    chat.wait_for_state("This may not be the whole answer.")


def test_a_conversation_goes_on(chat: Chat, agent: Agent, agents: FakeAgentServer) -> None:
    start = raw(b'event: start\ndata: {"session_id": "evening-7"}\n\n')
    agent.reply(head(start=False), start, "Once").reply("And then?")
    for question in ("Tell me a story", "Go on"):
        chat.ask(question)
        chat.wait_for_state(COMPLETE)
    assert [None, "evening-7"] == [each.input.get("session_id") for each in agents.requests]


def test_what_an_agent_writes_is_text(chat: Chat, agent: Agent) -> None:
    markup = "<img src=x onerror='document.title = \"run\"'> & <b>bold</b>\n"
    agent.reply(markup)
    chat.ask("<script>document.title = 'run'</script>")
    chat.wait_for_answer(markup)
    assert ["Chat", 0] == chat.value(
        "[document.title, document.querySelectorAll('img, article b b, article script').length]"
    )


def test_the_page_follows_an_answer_unless_the_user_reads_above(chat: Chat, agent: Agent) -> None:
    door, lines = gate("door"), "line\n" * 100
    agent.reply(lines, lines).reply(lines, door, lines)
    at_end = "innerHeight + scrollY > document.body.scrollHeight - 50"
    chat.ask("Tell me a story")
    chat.wait_for_state(COMPLETE)
    assert chat.value(at_end)
    chat.ask("Go on")
    chat.wait_for_answer(lines)
    chat.value("scrollTo(0, 100)")
    door.open()
    chat.wait_for_state(COMPLETE)
    assert 100 == chat.value("scrollY")


def test_an_empty_question_is_not_sent(chat: Chat, agent: Agent, agents: FakeAgentServer) -> None:
    agent.reply("Once")
    chat.ask("  ")
    chat.press("Enter", shift=True)
    chat.ask("Tell me a story")
    chat.wait_for_state(COMPLETE)
    assert 1 == len(agents.requests)


def test_assistive_technology_finds_names_and_states(chat: Chat, agent: Agent) -> None:
    door = gate("door")
    agent.reply("Once", door)
    chat.ask("Tell me a story")
    chat.wait_for_answer("Once")
    busy = "document.querySelector('article.answer').ariaBusy"
    assert "true" == chat.value(busy)
    chat.command("Accessibility.enable")
    nodes = chat.command("Accessibility.getFullAXTree")["nodes"]
    found = {(node["role"]["value"], node.get("name", {}).get("value")) for node in nodes if "role" in node}
    assert found >= {
        *(("textbox", "Your question"), ("button", "Send"), ("button", "Stop")),
        *(("log", "Conversation"), ("heading", "Chat"), ("main", "")),
    }
    assert "status" in {role for role, _ in found}
    door.open()
    chat.wait(f"{busy} === 'false'")


def test_it_has_a_light_and_a_dark_form_and_fits_a_phone(chat: Chat, agent: Agent) -> None:
    agent.reply("word" * 200, delay(0))
    chat.ask("Tell me a story")
    chat.wait_for_state(COMPLETE)
    colors = []
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chat.command("Emulation.setEmulatedMedia", features=features)
        colors.append(chat.value("getComputedStyle(document.body).backgroundColor"))
    chat.command(
        "Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=True
    )
    assert chat.value("document.documentElement.scrollWidth <= 360")
    assert colors[0] != colors[1]
