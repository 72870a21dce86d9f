"""docs/reference is made of the code, and has a place for every name, option, variable, error and hook."""

from __future__ import annotations

import importlib
import inspect
import re
import sys

import msgspec
import pytest

from runagent import CallObserver, RateLimitError, Settings, Timeouts
from runagent import _errors as errors
from runagent._cli.codes import CODES
from runagent._cli.explanations import CLASSES
from runagent._config import settings as config
from runagent._limits import Limits
from runagent_testing import faults, pytest_plugin
from runagent_testing.conformance import all_requirements
from tests.docs.pages import ROOT, Page, code_in
from tests.docs.reference import api, write
from tests.docs.reference.settings import OTHER_VARIABLES
from tests.project.layers import PROMISED

_VALUE = re.compile(r"^(?:A )?`[^`]+`\.\s*$")
AGAIN = "python -m tests.docs.reference.write"


def page(name: str) -> Page:
    return Page(write.FOLDER / name)


def first_cells(name: str) -> set[str]:
    return {code for row in page(name).rows() for code in code_in(row[0])}


@pytest.mark.parametrize("name", write.PAGES)
def test_a_page_is_what_the_code_makes_of_it(name: str) -> None:
    assert page(name).text == write.text_of(name), f"to write it again: {AGAIN}"


def test_the_folder_has_no_other_pages() -> None:
    assert {path.name for path in write.FOLDER.glob("*")} == set(write.PAGES)


def test_every_promised_module_has_a_page() -> None:
    assert set(api.MODULES) | {"runagent_testing.pytest_plugin"} == PROMISED


@pytest.mark.parametrize("module", api.MODULES)
def test_every_promised_name_has_a_place_and_a_purpose(module: str) -> None:
    names = set(importlib.import_module(module).__all__) - {"__version__"}
    shown = page(api.file_name(module))
    rows = {code_in(row[0])[0]: row for row in shown.rows() if code_in(row[0])}
    assert names == set(rows)
    assert [] == [name for name, row in rows.items() if not _VALUE.sub("", row[2])], (
        "a purpose, as a docstring"
    )
    values = {name for name, row in rows.items() if row[1] == "value"}
    assert names - values == set(re.findall(rf"^::: {re.escape(module)}\.(\w+)$", shown.text, re.MULTILINE))


def test_a_value_is_that_of_the_module_and_not_of_another_constant_of_its_name() -> None:
    assert "| `TEXT` | value | `1`. An opcode" in page("api-runagent-testing-dialects.md").text


def test_a_page_is_the_same_if_a_module_is_imported_again(monkeypatch: pytest.MonkeyPatch) -> None:
    name = api.file_name("runagent_testing.conformance")
    before = write.text_of(name)
    home = "runagent_testing.conformance._broken"
    monkeypatch.delitem(sys.modules, home)
    importlib.import_module(home)
    assert before == write.text_of(name)


@pytest.mark.parametrize(
    ("module", "name", "members"),
    [
        ("runagent", "RunAgentClient", "__init__, settings"),
        ("runagent", "AsyncRunAgentClient", "__init__, settings"),
        ("runagent", "Stream", "report, headers, handle, started, completed, tool_calls"),
        ("runagent_testing", "MemoryNetwork", "connections, scope, scopes, drop_scope, on_connect"),
    ],
)
def test_a_class_shows_what_it_has_of_private_bases(module: str, name: str, members: str) -> None:
    text = page(api.file_name(module)).text
    assert f"::: {module}.{name}\n    options:\n      inherited_members: [{members}]\n" in text


def test_a_class_leaves_what_it_has_of_promised_bases_to_their_place() -> None:
    assert [] == api.inherited(RateLimitError) == api.inherited(Limits)


def test_every_setting_has_a_place() -> None:
    known = {option.argument for option in config._OPTIONS} | set(Settings.__struct_fields__) - {"sources"}
    assert known <= first_cells("settings.md")
    assert set(Timeouts.__struct_fields__) <= first_cells("settings.md")


def test_every_argument_and_limit_has_a_purpose() -> None:
    for name in ("settings.md", "limits.md"):
        section = page(name).text.partition("## Variables")[0]
        assert [] == [line for line in section.splitlines() if line.endswith("|  |")]
    assert set(Limits.__struct_fields__) <= first_cells("limits.md")


def variables_read() -> set[str]:
    """Return the names of environment variables in the code."""
    found = set()
    for path in (p for name in ("runagent", "runagent_testing") for p in (ROOT / name).rglob("*.py")):
        text = path.read_text("utf-8")
        found |= set(re.findall(r'environ(?:\.get\(|\[)"(\w+)"', text))
        found |= set(re.findall(r'"((?:RUNAGENT|SSL)_?[A-Z][A-Z_]*[A-Z])"', text))
    return found - {"REQUEST_METHOD", "HTTP_LAST_EVENT_ID"} - SSL_REASONS  # of CGI, and of OpenSSL


SSL_REASONS = {"SSLV"}


def test_every_variable_has_a_place() -> None:
    shown = first_cells("environment.md")
    assert {"NO_COLOR", "RUNAGENT_API_URL", "SSL_CERT_FILE"} <= variables_read()
    assert set() == variables_read() - shown
    assert set(config._VARIABLES) | set(OTHER_VARIABLES) <= shown


def test_every_class_and_code_of_errors_is_explained() -> None:
    assert set(errors.__all__) == set(CLASSES)
    assert {*CLASSES, *CODES} == {h for h in page("errors.md").headings() if h.isidentifier()} - {
        "Classes",
        "Codes",
    }


def test_every_hook_has_a_place() -> None:
    headings = set(page("hooks.md").headings())
    methods = {
        name for name, value in vars(CallObserver).items() if inspect.isfunction(value) and name[0] != "_"
    }
    assert methods <= headings
    specs = [*(ROOT / "runagent").rglob("hookspecs.py"), *(ROOT / "runagent_testing").rglob("*hookspecs.py")]
    names = {
        name
        for path in specs
        for name in re.findall(r"^def (runagent\w*)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(names) > 2
    assert names <= headings


def test_every_fixture_has_a_place() -> None:
    source = inspect.getsource(pytest_plugin)
    names = re.findall(r"^@pytest\.fixture.*\ndef ([a-z]\w*)", source, re.MULTILINE)
    assert len(names) > 8
    assert set(names) <= set(page("fixtures.md").headings())
    assert set(re.findall(r'"(--fake-agent-\w+)"', source)) <= {
        code.split()[0] for code in first_cells("fixtures.md")
    }


def test_every_requirement_and_every_kind_of_fault_has_a_place() -> None:
    assert [each.id for each in all_requirements()] == page("requirements.md").headings()[1:]
    kinds = {fault.kind for transport in faults.TRANSPORTS for fault in faults.for_transport(transport)}
    assert kinds == first_cells("faults.md")


def test_the_defaults_of_settings_are_shown() -> None:
    text = page("settings.md").text
    for name, value in msgspec.structs.asdict(Settings()).items():
        if isinstance(value, int | float):
            assert f"| `{name}` | `{value}` |" in text
