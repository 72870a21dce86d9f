"""Script files: they hold what the Python interface takes, and every fault is reported with its place."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from runagent_testing import (
    at,
    chunk,
    custom,
    delay,
    done,
    ending,
    error,
    every,
    fixed,
    head,
    heartbeat,
    inside,
    log_normal,
    raw,
    raw_response,
    reasoning,
    rechunked,
    repeat,
    status,
    tokens_per_second,
    tool_call,
    uniform,
)
from runagent_testing._host.agent import Agent
from runagent_testing._script import pacing, steps, writes
from runagent_testing._script.script import Options
from runagent_testing._standalone.forms import OPTIONS, PACES, STEPS, WRITES
from runagent_testing._standalone.script_file import ScriptFileError, load_script, read_script

SCRIPT = Path(__file__).parent / "scripts/script.yaml"


def calls(text, name="script.yaml"):
    return [(call.agent_id, call.method, call.args, call.options) for call in read_script(text, name).calls]


def steps_of(*lines):
    text = "agents:\n  a:\n    always:\n" + "".join(f"      - {line}\n" for line in lines)
    ((_, _, args, _),) = calls(text)
    return list(args)


def options_of(line):
    ((_, _, _, options),) = calls(f"agents: {{a: {{always: {{steps: [x], {line}}}}}}}")
    return options


def faults(text, name="s.yaml"):
    with pytest.raises(ScriptFileError) as caught:
        read_script(text, name)
    return str(caught.value).splitlines()


# What is written


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("{chunk: hi}", chunk("hi")),
        (
            "{chunk: {page: [1, null]}, index: 3, id: x, event: token}",
            chunk({"page": [1, None]}, 3, "x", "token"),
        ),
        ("{chunk: , index: }", chunk(None, None)),
        ("{reasoning: hm, id: r1}", reasoning("hm", "r1")),
        (
            "{tool_call: weather, arguments: {city: Oslo}, id: c1, index: 0}",
            tool_call("weather", {"city": "Oslo"}, "c1", 0),
        ),
        ("{tool_call: now, arguments: '{'}", tool_call("now", "{")),
        ("{tool_call: now}", tool_call("now")),
        ("{custom: state, value: {step: [1, null]}}", custom("state", {"step": [1, None]})),
        ("{custom: ping}", custom("ping")),
        (
            "{done: , stop_reason: stop, interrupts: [{id: i1}]}",
            done(stop_reason="stop", interrupts=[{"id": "i1"}]),
        ),
        ("{delay: 0.5}", delay(0.5)),
        ("{heartbeat: }", heartbeat()),
        ("{error: FULL, message: come again, retry_after: 3}", error("FULL", "come again", 3)),
        ("{error: FULL, retry_after: 3}", error("FULL", retry_after=3)),
        ("{done: }", done()),
        (
            "{done: bye, usage: {total_tokens: 4}, execution_time: 1.5, metadata: {a: 1}}",
            done("bye", {"total_tokens": 4}, 1.5, {"a": 1}),
        ),
        ('{raw: "a\\r\\n"}', raw(b"a\r\n")),
        ('{raw: "\\xff", encoding: latin-1}', raw(b"\xff")),
        ("{raw: /w8=, encoding: base64}", raw(b"\xff\x0f")),
        ('{raw_response: "SSH-2.0\\r\\n"}', raw_response(b"SSH-2.0\r\n")),
        (
            "{head: 206, headers: {X-A: b, Content-Type: }}",
            head(206, headers={"X-A": "b", "Content-Type": None}),
        ),
        (
            "{status: 429, retry_after: 3, code: C, message: m, headers: {X-A: b}}",
            status(429, retry_after=3, code="C", message="m", headers={"X-A": "b"}),
        ),
        ("{status: 502, body: <html>}", status(502, body="<html>")),
        ("{ending: cut}", ending("cut")),
        ("{ending: stall-reset, seconds: 2}", ending("stall-reset", seconds=2)),
        ("{ending: close, code: 1012, reason: restart}", ending("close", code=1012, reason="restart")),
    ],
)
def test_a_step_is_the_function_of_its_name(line, step):
    assert [step] == steps_of(line)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("2024-01-01", "2024-01-01"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("=", "="),
        ("010", 10),
        ("0x1f", 31),
        ("0o17", 15),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("true", True),
        ("~", None),
        ('"42"', "42"),
        ("!!str 42", "42"),
        ("[1, [2]]", [1, [2]]),
        (r'"\ud83d\ude00"', "😀"),
        ("wörld", "wörld"),
    ],
)
def test_scalars_are_those_of_the_core_schema(written, value):
    (step,) = steps_of(written)
    assert (type(value), value) == (type(step), step)


@pytest.mark.parametrize("written", [".inf", "-.inf", ".nan", "{chunk: {a: [.nan]}}", "[1, .inf]"])
def test_numbers_that_json_does_not_have_are_refused_with_their_place(written):
    with pytest.raises(ScriptFileError, match=r"4:9: a.always: step 1 .*JSON has no NaN and no infinity"):
        steps_of(written)


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("indexed: false, ids: true", {"indexed": False, "ids": True}),
        ("resume: fake", {"resume": "fake"}),
        (
            "resume: false, framing: close, write_gap: 0.1",
            {"resume": False, "framing": "close", "write_gap": 0.1},
        ),
        ("pace: {fixed: 1, first: 2, jitter: 0.5, seed: 3}", {"pace": fixed(1, first=2, jitter=0.5, seed=3)}),
        ("pace: {uniform: 1, high: 2}", {"pace": uniform(1, 2)}),
        ("pace: {log_normal: 1, sigma: 0.5}", {"pace": log_normal(1, 0.5)}),
        ("pace: {tokens_per_second: 50}", {"pace": tokens_per_second(50)}),
        ("writes: per-step", {"writes": "per-step"}),
        ("writes: {every: 3}", {"writes": every(3)}),
        ("writes: {at: [3, 5]}", {"writes": at(3, 5)}),
        ("writes: {inside: [crlf, characters]}", {"writes": inside("crlf", "characters")}),
        ("writes: {rechunked: 7}", {"writes": rechunked(7)}),
    ],
)
def test_an_option_is_that_of_its_name(line, options):
    assert options == options_of(line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("always: [a, b]", ("always", ("a", "b"), {})),
        ("always: text", ("always", ("text",), {})),
        ("always: []", ("always", (), {})),
        ("returns: 42", ("returns", (42,), {})),
        ("returns: {steps: [[1, 2]], usage: {n: 1}}", ("returns", ([1, 2],), {"usage": {"n": 1}})),
        ("fails: 3", ("fails", (3,), {})),
        ("fails: {times: 1, steps: [{status: 502}]}", ("fails", (1, status(502)), {})),
        ("entrypoints: [x, y_stream]", ("entrypoints", ("x", "y_stream"), {})),
    ],
)
def test_a_key_of_an_agent_is_a_method(line, expected):
    assert [("a", *expected)] == calls(f"agents: {{a: {{{line}}}}}")


def test_several_answers_are_several_calls():
    text = "agents: {a: {replies: [[x, y], z], returns_once: [1, [2]]}}"
    first = [("reply", ("x", "y")), ("reply", ("z",)), ("returns_once", (1,)), ("returns_once", (2,))]
    assert [("a", *call, {}) for call in first] == calls(text)


def test_properties_of_an_agent_apply_to_what_takes_them():
    text = "agents: {a: {ids: true, write_gap: 1, always: {steps: [x], write_gap: 2}, returns: y}}"
    assert [{"ids": True, "write_gap": 2}, {"write_gap": 1}] == [options for *_, options in calls(text)]


def test_a_gate_of_one_name_is_one_gate():
    script = read_script(
        "agents: {a: {always: [{gate: g}], returns: [{gate: g}, x]}, b: {always: [{gate: h}]}}", "s"
    )
    first, second, third = (call.args[0] for call in script.calls)
    assert {"g": first, "h": third} == script.gates
    assert first is second


def test_an_anchor_is_used_again():
    ((*_, first, _), (*_, again, _)) = calls("agents: {a: {always: &s [x, {delay: 1}]}, b: {always: *s}}")
    assert ("x", delay(1)) == first == again


def test_json_may_be_indented_with_tabs_and_escape_in_halves(tmp_path):
    path = tmp_path / "s.json"
    script = {"agents": {"a": {"always": ["😀", {"chunk": {"tab\t": 1}}]}}}
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(script, indent="\t").encode())
    (call,) = load_script(path).calls
    assert ("😀", chunk({"tab\t": 1})) == call.args


def test_the_example_is_applied_to_a_server(server):
    load_script(SCRIPT).apply(server)
    assert ("generic", "generic_stream", "words_stream") == server._scripts["writer"].entrypoint_tags
    assert server._scripts["doorman"].take_script()[0].refuses


# The Python interface and the forms have the same names


@pytest.mark.parametrize(
    ("module", "family"),
    [(steps, STEPS), (pacing, PACES), (writes, WRITES)],
    ids=["steps", "paces", "writes"],
)
def test_every_function_has_a_form_with_its_arguments(module, family):
    functions = {
        name: value for name, value in vars(module).items() if name in module.__all__ and name.islower()
    }
    for helper in ("named_writes", "writes_form"):
        functions.pop(helper, None)
    if module is steps:
        functions["repeat"] = repeat
    assert functions.keys() == family.forms.keys()
    extra = {name: {"encoding"} for name in ("raw", "raw_response", "status")}
    for name, function in functions.items():
        expected = set(inspect.signature(function).parameters) | extra.get(name, set())
        assert (name, expected) == (name, set(family.forms[name].fields))


def test_every_option_can_be_written():
    assert Options.__annotations__.keys() == OPTIONS.keys()


def test_every_method_that_scripts_something_can_be_written():
    methods = {"always", "reply", "fails", "returns", "returns_once", "entrypoints", "when", "limit"}
    elsewhere = {"responds", "replay", "forwards", "inject", "wait_request"}  # no data, or no script
    of_agent = {name for name, _ in inspect.getmembers(Agent, inspect.isfunction) if name[0] != "_"}
    text = """agents: {a: {always: x, replies: [x], fails: 1, returns: x, returns_once: [x], entrypoints: [x],
    when: [{query: x, always: x}], limit: {runs: 1, per: 1}}}"""
    assert methods == of_agent - elsewhere == {method for _, method, _, _ in calls(text)}


# What is wrong


def test_every_fault_is_listed_with_its_place():
    text = """\
agents:
  writer:
    idz: true
    allways: [x]
    always:
      - {dealy: 3}
      - {delay: soon}
      - {delay: -1}
      - {chunk: a, indx: 4}
      - {ending: cut}
      - {status: 503}
      - {ending: cutt}
      - {delay: 1, chunk: x}
    replies: x
    pace: {tokens_per_secnd: 40}
    always: twice
  empty:
"""
    expected = [
        "s.yaml:3:5: writer: 'idz' is nothing an agent has: did you mean 'ids'?",
        "s.yaml:4:5: writer: 'allways' is nothing an agent has: did you mean 'always'?",
        "s.yaml:6:10: writer.always: 'dealy' is not a step: did you mean 'delay'?",
        's.yaml:7:17: writer.always: delay is a number, not "soon"',
        "s.yaml:8:9: writer.always: a delay is a number of seconds, 0 or more, not -1",
        "s.yaml:9:20: writer.always: 'indx' is no property of chunk: did you mean 'index'?",
        "s.yaml:10:9: writer.always: step 5, ending ",
        "s.yaml:11:9: writer.always: step 6, status ",
        "s.yaml:12:18: writer.always: ending cannot be 'cutt': did you mean 'cut'?",
        "s.yaml:13:9: writer.always: this is both delay and chunk: write one after the other",
        "s.yaml:14:14: writer.replies: replies is a list of answers, each with its own steps",
        "s.yaml:15:12: writer: 'tokens_per_secnd' is not a pace: did you mean 'tokens_per_second'?",
        "s.yaml:16:5: 'always' is here already, in line 5",
        "s.yaml:17:3: empty: an agent has some of always, ",
    ]
    assert expected == [line[: len(start)] for line, start in zip(faults(text), expected, strict=True)]


@pytest.mark.parametrize("key", ["forwards", "replay"])
def test_a_text_of_another_machine_names_neither_files_nor_services(key):
    with pytest.raises(ScriptFileError) as caught:
        read_script(f"agents: {{a: {{always: x, {key}: /etc/passwd}}}}", "control", is_local=False)
    wanted = f"control:1:25: a: {key!r} can only be set on the fake agent's own machine"
    assert wanted == str(caught.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "1:1: the file is empty: it needs agents"),
        ("# nothing", "1:1: the file is empty: it needs agents"),
        ("[]", "1:1: a script file has agents: "),
        ("agents: {}", "1:9: a script file has agents: "),
        ("agent: {}", "1:1: 'agent' has no meaning here: did you mean 'agents'?"),
        ("agents: {a: {always: [x", "1:24: while parsing a flow sequence: "),
        ("agents:\n\ta: 1", "2:1: while scanning for the next token: "),
        ("agents: 1\n---\nagents: 2", "2:1: expected a single document in the stream: "),
        ("agents: {a: {always: [\x00]}}", "1:23: the character '\\x00' is not allowed in YAML"),
        ("agents: {a: {always: !py x}}", "1:22: the tag '!py' has no meaning here"),
        ("agents: {a: {always: !!int x}}", "1:22: 'x' is no int"),
        ("agents: {a: {always: &x [*x]}}", "1:22: this contains itself"),
        ("agents: {a: {always: [{? [b] : 1, chunk: x}]}}", "1:26: a key is text"),
        ("agents: {a: {always: [" + "1" * 5000 + "]}}", "1:23: this number is too long"),
        ("[" * 3000, "1:1: this is nested too deeply"),
        ("agents: {a: {always: }}", "1:21: a.always: nothing is here: "),
        ("agents: {a: {always: {chunk: x}}}", "1:22: a.always: this needs steps, a list (a single step "),
        ("agents: {a: {returns: [1, 2]}}", "1:23: a.returns: a plain run has one answer: "),
        ("agents: {a: {returns: [{heartbeat: }]}}", "1:24: a.returns: step 1 is invalid in a "),
        (
            "agents: {a: {returns: {steps: [1], ids: true}}}",
            "1:36: a.returns: 'ids' is no property of returns",
        ),
        ("agents: {a: {fails: [x]}}", "1:21: a.fails: fails is how many times: "),
        ("agents: {a: {entrypoints: x}}", '1:27: a.entrypoints: entrypoints is a list of tags, not "x"'),
        ("agents: {a: {resume: maybe, always: x}}", "1:22: a: resume cannot be 'maybe': known are honour, "),
        ("agents: {a: {always: [{done: {usage: {}}}]}}", "1:30: a.always: write it as {done: ..., usage"),
        ("agents: {a: {always: [{error: {message: m}}]}}", "1:31: a.always: write it as {error: ..., "),
        ("agents: {a: {always: [{status: {status: 1}}]}}", "1:32: a.always: write it as {status: ...}"),
        ("agents: {a: {always: [{delay: {second: 1}}]}}", '1:31: a.always: delay is a number, not {"second'),
        ("agents: {a: {always: [{page: 1}]}}", "1:24: a.always: 'page' is not a step: known are chunk, "),
        ("agents: {a: {always: [{}]}}", "1:23: a.always: {} is not a step: known are chunk, "),
        ("agents: {a: {always: [{heartbeat: 3}]}}", "1:35: a.always: heartbeat takes nothing: "),
        ("agents: {a: {always: [{raw: '%', encoding: base64}]}}", "1:23: a.always: this is no base64: "),
        ("agents: {a: {always: [{chunk: x, content: y}]}}", "1:34: a.always: 'content' is what follows "),
        ("agents: {a: {reply: [x]}}", "1:14: a: 'reply' is nothing an agent has: did you mean 'replies'?"),
        ("agents: {a: {writes: {inside: [here]}, always: x}}", "1:22: a: a place is one of characters, "),
        (
            "agents: {a: {writes: some, always: x}}",
            "1:22: a: a policy of writes cannot be 'some': known are merged, ",
        ),
    ],
)
def test_a_fault_has_its_place_and_reason(text, fault):
    (first, *_) = faults(text)
    assert f"s.yaml:{fault}" == first[: len(fault) + 7]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"agents": {"a": {"always": ["x" "y"]}}}', "s.json:1:34: this is not JSON: "),
        ('{"agents":\n\t{"a": {"alway": "x"}}}', "s.json:2:9: a: 'alway' is nothing an agent has: "),
        ("agents: {}", "s.json:1:1: this is not JSON: "),
        ("[" * 100_000, "s.json:1:1: this is nested too deeply"),
        (
            '{"agents": {"a": {"always": "x", "always": "y"}}}',
            "s.json:1:34: 'always' is here already, in line 1",
        ),
    ],
)
def test_a_fault_in_json_has_its_place_and_reason(text, fault):
    assert fault == faults(text, "s.json")[0][: len(fault)]


def test_a_file_that_is_not_utf_8_is_an_error_with_its_place(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"agents:\n  \xe9")
    with pytest.raises(ScriptFileError, match=r":2:3: this is not UTF-8$"):
        load_script(path)


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_script(tmp_path / "s.yaml")
