"""Rules, limits and the fallback agent in script files."""

from __future__ import annotations

import re
import sys

import pytest

from runagent_testing._standalone.script_file import ScriptFileError, read_script
from runagent_testing._standalone.summary import summarize
from tests.runagent_testing.functions import client_of
from tests.runagent_testing.players import body_of
from tests.runagent_testing.players import client_of as raw_client_of
from tests.runagent_testing.raw_client import post

SCRIPT = """\
agents:
  writer:
    ids: true
    limit: {runs: 3, per: 60}
    when:
      - query: {regex: "(?i)weather|rain"}
        headers: {X-Tenant: acme, x-none: null}
        nth: [1, 2]
        write_gap: 0
        always: [Sunny, {gate: door}]
        returns: Sunny
      - body: {deep: [{a: 1}], "no": {regex: ^n}}
        nth: {from: 2}
        replies: [[x], y]
        fails: 1
    always: I do not know.
  "*":
    always: any
"""


def script_of(text):
    return read_script(text, "s.yaml")


def faults(text):
    with pytest.raises(ScriptFileError) as caught:
        script_of(text)
    return str(caught.value).splitlines()


def rule(line):
    call = next(call for call in script_of(f"agents: {{a: {{when: [{{{line}, always: x}}]}}}}").calls)
    return call.options


def asked(host, agent, query="hi", **options):
    with client_of(host, agent=agent, **options) as client:
        return client.run_generic_stream(query).text()


def test_a_file_sets_rules_a_limit_and_the_fallback(host):
    script_of(SCRIPT).apply(host)
    host.gates["door"].open()
    headers = {"x-tenant": "acme"}
    answers = [asked(host, "writer", query, headers=headers) for query in ("Rain?", "hi", "Rain?")]
    assert ["Sunny", "I do not know.", "I do not know."] == answers
    assert "any" == asked(host, "other")
    with raw_client_of(host) as client:
        client.send(post("/v1/agents/writer/invoke"))
        assert 429 == body_of(client)[0]
    rule = "when(body={'deep': [{'a': 1}], 'no': re.compile('^n')}, nth=range(2, "
    assert ["fails", "reply", "reply"] == [
        problem.partition("never used: ")[2].partition(" ")[0]
        for problem in host.problems()
        if problem.startswith(f"agent 'writer', {rule}")
    ]


def test_scopes_have_rules_and_gates_of_their_own(host):
    script_of(SCRIPT).apply(host)
    scope = host.scope("one")
    scope.gates["door"].open()
    headers = {"x-tenant": "acme", "x-fake-scope": "one"}
    assert "Sunny" == asked(host, "writer", "rain", headers=headers)
    assert not host.gates["door"].is_open


@pytest.mark.parametrize(
    ("line", "conditions"),
    [
        ("query: hi", {"query": "hi"}),
        ("query: {regex: h.}", {"query": re.compile("h.")}),
        ("body: {regex: {a: 1}, b: [{regex: x}]}", {"body": {"regex": {"a": 1}, "b": [re.compile("x")]}}),
        ("headers: {A: {regex: x}, b: null}", {"headers": {"A": re.compile("x"), "b": None}}),
        ("nth: 3", {"nth": 3}),
        ("nth: [1, 3]", {"nth": [1, 3]}),
        ("nth: {from: 2, to: 4}", {"nth": range(2, 5)}),
        ("nth: {to: 4}", {"nth": range(1, 5)}),
        ("nth: {from: 2}", {"nth": range(2, sys.maxsize)}),
    ],
)
def test_a_condition_is_the_argument_of_its_name(line, conditions):
    assert conditions == rule(line)


def test_properties_of_an_agent_and_of_a_rule_apply_to_its_answers():
    text = "agents: {a: {ids: true, when: [{nth: 1, write_gap: 1, always: x, returns: x}], always: y}}"
    (when, always) = script_of(text).calls
    wanted = [{"ids": True, "write_gap": 1}, {"write_gap": 1}]
    assert (wanted, {"ids": True}) == ([call.options for call in when.then], always.options)


@pytest.mark.parametrize(
    ("agent", "fault"),
    [
        ("when: x", "1:20: a.when: when is a list of rules, each with its conditions and answers"),
        ("when: [x]", "1:21: a.when.1: a rule has some of query, body, headers, nth, always, fails, "),
        ("when: [{always: x}]", "1:21: a.when.1: a rule has conditions: some of query, body, headers, nth"),
        ("when: [{query: x}]", "1:21: a.when.1: a rule has answers: some of always, fails, returns, "),
        (
            "when: [{qery: x, nth: 1, always: x}]",
            "1:22: a.when.1: 'qery' is nothing a rule has: did you mean",
        ),
        ("when: [{nth: 1, when: x, always: x}]", "1:30: a.when.1: 'when' is nothing a rule has: "),
        ("when: [{nth: 1, matches: x, always: x}]", "1:30: a.when.1: 'matches' is nothing a rule has: "),
        (
            "when: [{nth: 0, always: x}]",
            "1:27: a.when.1: when(nth=...) takes numbers of runs, counted from 1",
        ),
        ("when: [{nth: {form: 1}, always: x}]", "1:28: a.when.1: 'form' is no property of nth: did you mean"),
        ("when: [{nth: {from: 3, to: 2}, always: x}]", "1:27: a.when.1: when(nth=...) takes numbers of runs"),
        (
            "when: [{query: {regex: '('}, always: x}]",
            "1:37: a.when.1: this is no regular expression: missing )",
        ),
        ("when: [{query: {regex: 1}, always: x}]", "1:37: a.when.1: regex is text, not 1"),
        ("when: [{headers: {a: 1}, always: x}]", "1:31: a.when.1: when(headers=...) takes names, each with"),
        ("when: [{nth: 1, always: [{dealy: 1}]}]", "1:40: a.when.1.always: 'dealy' is not a step: did you"),
        ("limit: 3", "1:21: a.limit: limit is so many runs in so many seconds: limit: {runs: 3, per: 60}"),
        (
            "limit: {runs: 3}",
            "1:21: a.limit: limit is so many runs in so many seconds: limit: {runs: 3, per: 60}",
        ),
        ("limit: {runs: 3, par: 1}", "1:31: a.limit: 'par' is no property of limit: did you mean 'per'?"),
        ("limit: {runs: 0, per: 1}", "1:21: a.limit: limit() takes a number of runs, 1 or more, not 0"),
        ("limit: {runs: 1, per: 0}", "1:21: a.limit: limit(per=...) is a number of seconds above 0, not 0"),
    ],
)
def test_a_fault_has_its_place(agent, fault):
    (found, *_) = faults(f"agents: {{a: {{{agent}}}}}")
    assert f"s.yaml:{fault}" == found[: len(fault) + len("s.yaml:")]


def test_a_text_of_another_machine_names_no_files_in_rules_either():
    with pytest.raises(ScriptFileError) as caught:
        read_script("agents: {a: {when: [{nth: 1, replay: x}]}}", "control", is_local=False)
    assert "control:1:30: a.when.1: 'replay' can only be set on the fake agent's own machine" == str(
        caught.value
    )


def test_check_shows_rules_and_limits():
    lines = list(summarize(script_of(SCRIPT)))
    pattern = "query=re.compile('(?i)weather|rain', re.IGNORECASE)"
    assert [
        "writer",
        "  limit (runs=3, per=60)",
        f"  when({pattern}, headers={{'x-none': None, 'x-tenant': 'acme'}}, nth={{1, 2}})",
        "    always (ids=True, write_gap=0)",
        '        1  chunk "Sunny"',
        "        2  gate 'door'",
        "    returns (write_gap=0)",
        '        1  chunk "Sunny"',
    ] == lines[:8]
    assert ["*", "  always", '      1  chunk "any"'] == lines[-3:]
