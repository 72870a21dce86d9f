"""The documentation is true: its tables are those of the code, its links lead somewhere.

tests/project/test_examples.py runs its examples.
"""

from __future__ import annotations

import inspect
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import runagent
import runagent_testing
from runagent import _errors as errors
from runagent._cli import exit_codes as cli
from runagent._cli.arguments import build_parser
from runagent._client.async_client import AsyncRunAgentClient
from runagent._client.client import RunAgentClient
from runagent._client.options import OPTIONS
from runagent._config import settings as config
from runagent._limits import Limits
from runagent._report import Attempt, RunReport
from runagent.transports import _refusals as refusals
from runagent.transports._messages import MessageReader
from runagent_testing import FakeAgentServer, status
from tests.docs.pages import (
    CLIENT_TESTS,
    COOKBOOK,
    DOCS,
    PAGES,
    README,
    ROOT,
    WITH_COOKBOOK,
    Page,
    anchor,
    code_in,
)
from tests.project.layers import drawing

if TYPE_CHECKING:
    from pathlib import Path

ALL_WORDS = set().union(*(page.words() for page in PAGES))
ERRORS = [getattr(errors, name) for name in errors.__all__]
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/README.md"))
COMMENTED = sorted(p for package in ("runagent", "runagent_testing") for p in (ROOT / package).rglob("*.py"))

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
by_linking_page = pytest.mark.parametrize("page", WITH_COOKBOOK, ids=lambda page: page.name)


# Names


@pytest.mark.parametrize("name", runagent.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert name.strip("_") in ALL_WORDS or name in ALL_WORDS


@pytest.mark.parametrize("name", runagent_testing.__all__)
def test_every_public_name_of_the_fake_agent_is_documented(name: str) -> None:
    assert name in DOCS["testing"].words()


@pytest.mark.parametrize("client", [RunAgentClient, AsyncRunAgentClient])
def test_every_method_of_a_client_is_documented(client: type) -> None:
    methods = {name for name in dir(client) if not name.startswith("_")}
    assert methods - ALL_WORDS == set()


def test_every_field_of_a_report_is_documented() -> None:
    kinds = (RunReport, Attempt, runagent.Tokens)
    names = {name for kind in kinds for name in kind.__struct_fields__ if name[0] != "_"}
    assert names - DOCS["streaming"].words() == set()


def test_every_field_of_an_event_is_documented() -> None:
    kinds = (runagent.Started, runagent.Chunk, runagent.Completed, runagent.RunResult)
    names = {name for kind in kinds for name in kind.__struct_fields__}
    assert names - DOCS["streaming"].words() == set()


# The command line


@pytest.mark.parametrize("command", ["stream", "invoke"])
def test_every_option_of_a_command_is_documented(command: str) -> None:
    options = build_parser().commands[command].visible_options
    names = {action.option_strings[-1] for action in options} - {"--help"}
    assert names - set(re.findall(r"--[a-z-]+", DOCS["command-line"].text)) == set()


def test_every_command_is_documented() -> None:
    documented = {
        code.split()[1] for row in DOCS["command-line"].rows() for code in code_in(row[0])[:1] if " " in code
    }
    assert set(build_parser().commands) <= documented


# Configuration


def shown_settings() -> dict[str, tuple[str | None, str | None]]:
    """Read variable and file key of each argument from the page's table."""
    found = {}
    for row in DOCS["configuration"].rows():
        argument, variable, key = ([*code_in(cell), None][0] for cell in (*row, "", "")[:3])
        if len(row) == 5 and (argument or key):
            found[argument or key or ""] = (variable, key)
    return found


def test_the_table_of_settings_is_that_of_the_code() -> None:
    expected = {option.argument: (option.environment, option.file_key) for option in config._OPTIONS}
    assert expected == shown_settings()


@pytest.mark.parametrize("name", ["max_retries", "retry_delay", "retry_backoff", "max_retry_wait", "resume"])
def test_the_defaults_of_settings_are_those_of_the_code(name: str) -> None:
    (row,) = (r for r in DOCS["configuration"].rows() if len(r) == 5 and code_in(r[0]) == [name])
    assert [repr(getattr(config.Settings(), name))] == code_in(row[4])


def test_the_default_address_and_transport_are_those_of_the_code() -> None:
    defaults = {name: cell for *names, _, cell in DOCS["configuration"].rows() for name in names[:1]}
    assert [config.DEFAULT_BASE_URL] == code_in(defaults["`base_url`"])
    assert list(config.Settings().transport) == code_in(defaults["`transport`"])


@pytest.mark.parametrize("variable", config._VARIABLES)
def test_every_variable_is_documented(variable: str) -> None:
    assert variable in DOCS["configuration"].spans()


@pytest.mark.parametrize("argument", [n for n in inspect.signature(RunAgentClient).parameters if n != "self"])
def test_every_argument_of_a_client_is_documented(argument: str) -> None:
    assert argument in DOCS["configuration"].spans()


def test_the_timeouts_are_those_of_the_code() -> None:
    shown = {
        code_in(row[0])[0]: row[1] for row in DOCS["timeouts"].rows() if len(row) == 3 and code_in(row[0])
    }
    defaults = runagent.Timeouts()
    for name, seconds in msgspec.structs.asdict(defaults).items():
        assert ("none" if seconds is None else f"{seconds:g} s") == shown[name]


# Transports, errors, the command


def test_the_limits_are_those_of_the_code() -> None:
    rows = [row for row in DOCS["transports"].rows() if len(row) == 4 and code_in(row[0])]
    shown = {code_in(row[0])[0]: row[1] for row in rows}
    assert {name: str(default) for name, default in msgspec.structs.asdict(Limits()).items()} == {
        name: default for name, default in shown.items() if name.startswith("max_") or name.endswith("_bytes")
    }


@pytest.mark.parametrize("option", OPTIONS)
def test_every_transport_option_is_documented(option: str) -> None:
    assert option in DOCS["transports"].spans()


def test_the_statuses_that_prove_something_are_those_of_the_code() -> None:
    (row,) = (row for row in DOCS["transports"].rows() if row[0].startswith("HTTP status 405"))
    assert refusals.UNSUPPORTED_STATUSES == set(map(int, re.findall(r"\d+", row[0])))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_is_in_the_tree_with_who_has_to_act(error: type) -> None:
    tree = re.search(r"```\n(RunAgentError.*?)```", DOCS["errors"].text, re.DOTALL)
    assert tree is not None
    (line,) = (line for line in tree[1].splitlines() if line.lstrip("│├└─ ").split()[0] == error.__name__)
    fields = {name for name in error.__annotations__ if name[0] != "_"} - {"message"}
    assert fields <= set(re.findall(r"\w+", line))
    explained = {name for row in DOCS["errors"].rows() for name in code_in(row[0])}
    assert error is errors.RunAgentError or error.__name__ in explained


def test_every_built_in_code_is_documented() -> None:
    faults = (ROOT / "runagent/_net/faults.py").read_text(encoding="utf-8")
    codes = set(re.findall(r'return "([A-Z_]+)",', faults))
    for path in (ROOT / "runagent").rglob("*.py"):
        codes |= set(re.findall(r'code=f?"([A-Z_]+)', path.read_text(encoding="utf-8")))
    assert {"REFUSED", "TIMEOUT"} <= codes
    assert codes - DOCS["errors"].spans() == set()


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_every_code_of_a_plugin_is_documented(plugin: Path) -> None:
    package = plugin / plugin.name.replace("-", "_")
    codes = {
        code
        for path in package.rglob("*.py")
        for code in re.findall(r'code="([A-Z_]+)"', path.read_text(encoding="utf-8"))
    }
    assert codes - Page(plugin / "README.md").spans() - DOCS["errors"].spans() == set()


def test_the_classes_of_statuses_are_those_of_the_code() -> None:
    shown = {row[0]: code_in(row[1]) for row in DOCS["wire"].rows() if len(row) == 2 and row[0].isdigit()}
    assert {str(code): [kind.__name__] for code, kind in refusals._BY_STATUS.items()} == shown


def test_the_classes_of_codes_are_those_of_the_code() -> None:
    rows = [row for row in DOCS["wire"].rows() if len(row) == 2 and row[0].startswith("`")]
    shown = {code: code_in(row[1])[0] for row in rows for code in code_in(row[0]) if code.isupper()}
    assert {code: kind.__name__ for code, kind in refusals.CLASSES_BY_CODE.items()} == shown


def test_the_exit_codes_are_those_of_the_command() -> None:
    shown = {int(row[0]) for row in DOCS["errors"].rows() if len(row) == 2 and row[0].isdigit()}
    assert {value for value in vars(cli).values() if isinstance(value, int)} == shown
    reference = Page(ROOT / "docs/reference/errors.md").rows()
    assert {int(row[0]) for row in reference if row[0].isdigit()} == shown


# The protocols


@pytest.mark.parametrize(
    ("transport", "beginning", "content_type"),
    [
        ("sse", "event: start", "text/event-stream"),
        ("chunked", '{"type": "start"', "application/x-ndjson"),
    ],
)
def test_a_stream_on_the_page_is_one_that_the_client_reads(
    server: FakeAgentServer, transport: str, beginning: str, content_type: str
) -> None:
    body = DOCS["wire"].block(beginning) + "\n"  # a blank line ends the last event
    server.agent("a").always(status(200, body=body, headers={"Content-Type": content_type}))
    client = RunAgentClient("a", base_url=server.url, transport=transport)
    started, chunk, completed = client.run_generic_stream("x").events()
    assert (runagent.Started(message="stream started"), runagent.Chunk("Once", 0)) == (started, chunk)
    assert runagent.Completed(usage={"total_tokens": 4}, execution_time=0.2) == completed


def test_the_messages_on_the_page_are_those_that_the_client_reads() -> None:
    events: list[Any] = []
    ignored: dict[str, int] = {}
    reader = MessageReader(ignored)
    for line in DOCS["wire"].block('{"type": "status"').splitlines():
        message = json.loads(line)
        reader.take(message["type"], message, events)
    assert ["Started", "Chunk", "Completed"] == [type(event).__name__ for event in events]
    assert ("Once", 1) == (events[1].content, events[2].total_chunks)
    assert ignored == {}


def test_the_request_on_the_page_is_what_the_client_sends(server: FakeAgentServer) -> None:
    server.agent("a").always("x")
    RunAgentClient("a", base_url=server.url, transport="websocket").run_generic_stream("…").text()
    assert json.loads(DOCS["wire"].block('{"entrypoint_tag"')) == server.requests[0].body


@pytest.mark.parametrize("beginning", ['{"result"', '{"success"'])
def test_the_results_on_the_page_are_those_that_the_client_reads(
    server: FakeAgentServer, beginning: str
) -> None:
    client = RunAgentClient("a", base_url=server.url)
    for line in DOCS["wire"].block(beginning).splitlines():
        server.agent("a").returns(status(200, body=json.loads(line)))
        assert client.run_generic("x") in ("Once", 4)


# Links


@by_linking_page
def test_every_relative_link_leads_somewhere(page: Page) -> None:
    for target in page.links():
        path, _, fragment = target.partition("#")
        assert "://" not in target
        linked = (page.path.parent / path).resolve() if path else page.path
        assert linked.is_file()
        assert not fragment or fragment in map(anchor, Page(linked).headings())


@pytest.mark.parametrize("package", ["runagent", "runagent_testing"])
def test_the_architecture_names_every_room(package: str) -> None:
    shown = {line.split()[0] for line in drawing().splitlines() if line in DOCS["architecture"].text}
    modules = {f"{package}.{path.stem}" for path in (ROOT / package).glob("*.py") if path.stem != "__init__"}
    folders = {f"{package}.{path.parent.name}" for path in (ROOT / package).glob("*/__init__.py")}
    assert modules
    assert set() == (modules | folders) - shown


def test_the_architecture_names_every_folder_of_tests() -> None:
    folders = {f"{path.parent.relative_to(ROOT / 'tests')}/" for path in (ROOT / "tests").glob("*/*.py")}
    assert "support/" in folders
    assert set() == folders - DOCS["architecture"].spans()


def test_the_readme_links_every_page() -> None:
    linked = {(ROOT / target).name for target in README.links()}
    assert {page.path.name for page in DOCS.values()} <= linked
    assert "docs/cookbook/index.md" in README.links()


def test_the_cookbook_has_an_index_of_its_pages() -> None:
    linked = {target.partition("#")[0] for target in COOKBOOK["index"].links()}
    assert {page.path.name for name, page in COOKBOOK.items() if name != "index"} <= linked


def test_the_tutorial_has_ten_steps_and_its_last_block_is_certified() -> None:
    page = DOCS["plugins"]
    steps = [heading.partition(".")[0] for heading in page.headings() if heading[0].isdigit()]
    assert [str(number) for number in range(1, 11)] == steps
    *_, last = page.examples()
    assert "report.check()" in last.text  # every block is run, in order, by another test


def test_every_plugin_with_a_dialect_has_a_page_in_the_cookbook() -> None:
    pages = {page.path.stem.removeprefix("test-").replace("-", "") for page in CLIENT_TESTS}
    assert pages == {path.parent.name.removeprefix("runagent_") for path in ROOT.glob("plugins/*/*/testing")}


@by_linking_page
def test_a_section_that_a_page_names_exists(page: Page) -> None:
    for name, section in re.findall(r"\[[^\]]+\]\(([\w/-]+\.md)\), \"([^\"]+)\"", page.prose):
        assert section in Page((page.path.parent / name).resolve()).headings()


@pytest.mark.parametrize("path", COMMENTED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_the_code_cites_of_the_docs_exists(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert "WIRE" not in source
    for name in re.findall(r"docs/([\w-]+)\.md", source):
        assert name in DOCS
    for name, section in re.findall(r"docs/([\w-]+)\.md, \"([^\"]+)\"", source):
        assert section in DOCS[name].headings()
    for name, number in re.findall(r"docs/([\w-]+)\.md section (\d)", source):
        assert any(heading.startswith(f"{number}. ") for heading in DOCS[name].headings())
