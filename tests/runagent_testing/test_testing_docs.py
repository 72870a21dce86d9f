"""docs/testing.md and docs/fake.md are true: what tables promise happens, scripts are ones, options exist."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any, get_args

import pytest

import runagent
import runagent_testing
from runagent import RunAgentClient, RunAgentError
from runagent_testing import FakeAgentServer, MemoryNetwork, faults
from runagent_testing._host.agent import Agent
from runagent_testing._journal.exchange import Exchange
from runagent_testing._journal.journal import Journal
from runagent_testing._standalone import agents, forms
from runagent_testing._standalone.script_file import read_script
from tests.docs.pages import DOCS, code_in

PAGE, PROGRAM = DOCS["testing"], DOCS["fake"]
TRANSPORTS = ("sse", "chunked", "websocket")
NAMES = {name: getattr(runagent_testing, name) for name in runagent_testing.__all__}


def table(page, beginning):
    """Read the rows of the table whose head begins so, without the head."""
    lines = page.prose.splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith(beginning)) + 2
    end = next(at for at in range(begin, len(lines)) if not lines[at].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[begin:end]]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("row", table(PAGE, "| it happens that |"), ids=lambda row: row[0])
def test_what_goes_wrong_shows_as_on_the_page(row, transport):
    memory = MemoryNetwork()
    (script,) = code_in(row[1])
    exec(script, NAMES | {"agent": memory.agent("a"), "server": memory})  # the page is the project's
    client = RunAgentClient(
        "a",
        base_url=memory.url,
        network=memory.blocking,
        transport=transport,
        max_retries=0,
        resume=False,
    )
    shown = []
    for _ in range(2 if "twice" in row[2] else 1):
        try:
            client.run_generic_stream("q").text()
        except RunAgentError as error:
            shown.append(type(error))
    assert [getattr(runagent, name) for name in code_in(row[2])] == sorted(set(shown), key=str)
    assert ("twice" in row[2]) == (len(shown) == 2)


def test_the_fields_of_an_exchange_exist():
    names = {name for row in table(PAGE, "| field | meaning |") for name in code_in(row[0])}
    assert {"input", "unread_bytes"} <= names
    assert set() == {name for name in names if not hasattr(Exchange, name)}


def test_the_families_of_errors_are_those_of_the_catalogue():
    families = PAGE.text.partition("one of those that `expected.error` can be (")[2].partition(";")[0]
    assert {*families.replace("\n", " ").split(", ")} == {*get_args(faults.ErrorFamily)} - {"ok", "unproven"}


def test_the_script_on_the_page_is_one():
    read_script(PROGRAM.block("# rules.yaml"), "rules.yaml")
    script = read_script(PROGRAM.block("agents:"), "script.yaml")
    assert {"writer", "doorman"} == {call.agent_id for call in script.calls}
    assert ["door"] == list(script.gates)


def test_every_key_of_a_script_file_is_on_a_page():
    keys = {*agents._KEYS, *agents._RULE_KEYS, *agents._RESULT_OPTIONS, *forms.STEPS.forms}
    assert {"replies", "nth", "framing", "tool_call"} <= keys
    assert set() == keys - PROGRAM.words() - PAGE.words()


CLASSES = (RunAgentClient, FakeAgentServer, MemoryNetwork, Exchange, Journal, Agent)
WRITTEN = [
    (page, call)
    for page, content in DOCS.items()
    for call in dict.fromkeys(re.findall(r"`((?:\w+\.)*\w+\([^`]*\))`", content.prose))
]


def misuse(written):
    """Describe the fault of a call that a page shows; None if it is valid."""
    try:
        call: Any = ast.parse(written.replace("…", "..."), mode="eval").body
    except SyntaxError:
        return None  # a pattern, and no call
    name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id
    named = [NAMES[name]] if name in NAMES else []
    functions = [*named, *(getattr(kind, name) for kind in CLASSES if hasattr(kind, name))]
    faults = [_misuse(call, function) for function in functions if inspect.isroutine(function)]
    return None if None in faults else next(iter(faults), None)


def _misuse(call, function):
    parameters = inspect.signature(function).parameters
    words = {word.arg for word in call.keywords if word.arg}
    if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()) and words - parameters.keys():
        return f"has no {words - parameters.keys()}"
    named = {word.id for word in call.args if isinstance(word, ast.Name)}
    late = {one.name for one in parameters.values() if one.kind is one.KEYWORD_ONLY}
    return f"takes {named & late} as keywords only" if named & late else None


@pytest.mark.parametrize(("page", "written"), WRITTEN, ids=lambda value: value)
def test_a_call_on_a_page_can_be_written_so(page, written):
    assert page
    assert misuse(written) is None


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("head(status, headers)", "takes {'headers'} as keywords only"),
        ("agent.wait_request(n, time=1)", "has no {'time'}"),
        ("head(status, headers=…)", None),
    ],
)
def test_calls_that_cannot_be_written_are_found(written, fault):
    assert fault == misuse(written)
