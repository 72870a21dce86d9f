"""Writes the pictures of pages that the docs show: ``python -m tests.interop.pictures``."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runagent import AgentNotFoundError, RunAgentClient
from runagent_testing import FakeAgentServer, gate, status
from tests.docs.pages import ROOT
from tests.docs.pictures import screens
from tests.interop.browser import Tab, browser_on
from tests.interop.gateways.chat import Chat
from tests.interop.gateways.examples import chat_page
from tests.interop.programs import Port, Program

DOCS = ROOT / "docs"
STORY = ("Once upon a time, in the far north, there was a dragon", " that could not breathe fire.", " It had")


def main() -> None:
    """Run the browser, and have it show each page in either color scheme."""
    with tempfile.TemporaryDirectory() as folder, Port() as port, browser_on(port, Path(folder)) as browser:
        _show_fake_agent(browser)
        _show_chat(browser, Path(folder))
    screens.write()


def _write(tab: Tab, name: str, width: int, height: int) -> None:
    for scheme in ("light", "dark"):
        tab.screenshot(DOCS / f"{name}-{scheme}.png", width, height, scheme=scheme)


def _show_fake_agent(browser: Program) -> None:
    """Let a few things happen on a server."""
    with (
        FakeAgentServer(control=True, port=8450) as server,
        Tab(browser, f"{server.url}/") as tab,
        ThreadPoolExecutor() as pool,
    ):
        writer = server.agent("writer").reply(status(503, retry_after=0.01)).reply("Once", " upon a time")
        writer.always("Once", " upon", " a", gate("door"), " time")
        tab.wait("document.getElementById('live').textContent === 'live'")
        client = RunAgentClient("writer", base_url=server.url)
        client.run_generic_stream("Tell me a story").text()
        with_nobody = RunAgentClient("nobody", base_url=server.url).run_generic_stream("hi")
        try:
            with_nobody.text()
        except AgentNotFoundError:
            pool.submit(client.run_generic_stream("Tell me a story").text)
        tab.value("document.querySelector('#agents details').open = true")
        tab.value("document.getElementById('start').requestSubmit()")
        tab.wait("document.getElementById('gates').innerText.includes('2 waiting')")
        tab.value("document.getElementById('check').click()")
        tab.wait("document.getElementById('check-state').textContent.includes('unmet')")
        _write(tab, "fake-page", 1180, 800)
        server.gates["door"].open()


def _show_chat(browser: Program, folder: Path) -> None:
    """Ask two questions, the second of which is being answered."""
    with FakeAgentServer() as server, Port() as port, chat_page(folder, server.url, port) as gateway:
        agent = server.agent("your-agent-id").reply("There are dragons, knights and a very old library.")
        agent.reply(*STORY, gate("door"))
        with Chat(browser, gateway.url) as chat:
            chat.ask("What do you know stories about?")
            chat.wait_for_state("The answer is complete.")
            chat.ask("Tell me one with a dragon.")
            chat.wait_for_answer("".join(STORY))
            _write(chat, "chat-page", 760, 520)
            server.gates["door"].open()
            chat.wait_for_state("The answer is complete.")


if __name__ == "__main__":
    main()
