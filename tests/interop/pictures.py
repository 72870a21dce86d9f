"""Writes the pictures of the docs that show the fake agent's page: ``python -m tests.interop.pictures``."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runagent import AgentNotFoundError, RunAgentClient
from runagent_testing import FakeAgentServer, gate, status
from tests.interop.browser import Tab, browser_on
from tests.interop.programs import Port

DOCS = Path(__file__).resolve().parents[2] / "docs"
SIZE = (1180, 800)


def main() -> None:
    """Run the browser, let a few things happen on a server, and write a picture in either color scheme."""
    with (
        FakeAgentServer(control=True, port=8450) as server,
        tempfile.TemporaryDirectory() as folder,
        Port() as port,
        browser_on(port, Path(folder)) as browser,
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
        for scheme in ("light", "dark"):
            tab.screenshot(DOCS / f"fake-page-{scheme}.png", *SIZE, scheme=scheme)
        server.gates["door"].open()


if __name__ == "__main__":
    main()
