"""The guides: each begins with a program, and the cells of a notebook run where a loop is running already."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import subprocess
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from runagent import NetworkError
from runagent_testing import FakeAgentServer
from tests.docs import site
from tests.docs.pages import DOCS, ROOT, Page
from tests.support.proxy import Proxy
from tests.support.tls import server_context

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

GUIDES = [
    *("streaming-responses", "errors-and-retries", "timeouts", "backpressure", "conversations", "sharing"),
    *("notebooks", "proxies-and-tls", "logging-and-tracing"),
]
CELLS = re.findall(r"^```(?:py|python)\n(.*?)^```$", DOCS["notebooks"].text, re.DOTALL | re.MULTILINE)


def test_the_guides_are_the_first_of_their_group() -> None:
    shown = [place for group, _, place in site.nav_pages() if group == "Guides"]
    assert [f"{name}.md" for name in GUIDES] == shown[: len(GUIDES)]


@pytest.mark.parametrize("page", [DOCS[name] for name in GUIDES[1:]], ids=lambda page: page.name)
def test_a_guide_begins_with_a_program_and_is_short(page: Page) -> None:
    before, heading, _ = page.text.partition("\n## ")
    assert heading
    assert "```python\n" in before
    assert page.text.count("\n") <= 150


class Shown:
    """What a cell displays, and displays again."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def update(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Be IPython, which is not installed here."""
    shown, module = Shown(), ModuleType("IPython.display")
    module.Markdown = str  # type: ignore[attr-defined]
    module.display = lambda text, *, display_id: shown  # type: ignore[attr-defined]  # noqa: ARG005
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return shown


@pytest.fixture
def service(server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch) -> FakeAgentServer:
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)
    server.agent("your-agent-id").always("Once", " upon")
    return server


def run_cell(source: str) -> dict[str, Any]:
    """Run a cell in a running loop, as ipykernel does; return its names."""
    names: dict[str, Any] = {"__name__": "__main__"}
    code = compile(source, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)

    async def run() -> None:
        result: Coroutine[Any, Any, None] | None = eval(code, names)
        if result is not None:  # the cell awaits something
            await result

    asyncio.run(run())
    return names


def test_every_cell_of_a_notebook_runs_in_a_running_loop(service: FakeAgentServer, shown: Shown) -> None:
    for cell in CELLS:
        run_cell(cell)
    assert 8 == len(service.requests)
    assert ["Once", "Once upon"] == shown.texts


def test_a_cell_of_a_notebook_prints_the_answer(
    service: FakeAgentServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for cell in CELLS[:2]:
        run_cell(cell)
        assert "Once upon" == capsys.readouterr().out
    assert 2 == len(service.requests)


def test_the_client_of_a_company_goes_through_its_proxy_and_trusts_its_authority(tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    exec(
        compile(DOCS["proxies-and-tls"].block("import ssl\n\nfrom runagent import RunA"), "page", "exec"),
        names,
    )
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with FakeAgentServer(ssl_context=server_context(authority, "agents.example.com")) as server:
        server.agent("your-agent-id").always("Once upon")
        port = int(server.url.rpartition(":")[2])
        with Proxy({"agents.example.com:443": port}, credentials="user:password") as proxy:
            way = "https://agents.example.com", f"http://user:password@127.0.0.1:{proxy.port}"
            client = names["connect"](*way, tmp_path / "ca.pem")
            assert "Once upon" == client.run_generic_stream("x").text()
            with pytest.raises(NetworkError) as untrusted:
                names["connect"](*way).run_generic_stream("x").text()
            assert "CERTIFICATE" == untrusted.value.code
            with pytest.raises(NetworkError) as unknown:
                names["connect"](way[0], f"http://127.0.0.1:{proxy.port}").run_generic_stream("x").text()
            assert "PROXY_407" == unknown.value.code
            assert ["CONNECT agents.example.com:443 HTTP/1.1"] * 3 == [each.line for each in proxy.requests]


VARIABLE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}|\b[0-9a-f]{32}\b|\d+\.\d{3}(?= s)"  # a date, an id, a time


@pytest.mark.parametrize("setting", ["logging.basicConfig", "RUNAGENT_LOG_LEVEL"])
def test_the_line_of_a_run_is_as_shown(service: FakeAgentServer, setting: str) -> None:
    page = DOCS["logging-and-tracing"]
    program, _, _, _ = (example.text for example in page.examples())
    environment = {**os.environ, "RUNAGENT_API_URL": service.url, "PYTHONPATH": str(ROOT)}
    if setting not in program:
        program = re.sub(r"^logging\.basicConfig.*\n", "", program, flags=re.MULTILINE)
        environment[setting] = "INFO"
    service.agent("your-agent-id").reply("Once", " upon", " a", " time")
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (0, "") == (result.returncode, result.stdout)
    shown = page.block("2026-")
    assert re.sub(VARIABLE, "*", shown) == re.sub(VARIABLE, "*", result.stderr)
