"""Script files and the like as anybody may have written them: too large, endless, or made to do harm."""

from __future__ import annotations

import ast
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runagent import RunAgentClient
from runagent_testing import DeadlockError, MemoryNetwork, gate
from runagent_testing._internal.files import MAX_FILE, read_file
from runagent_testing._standalone.cli import main
from runagent_testing._standalone.script_file import ScriptFileError, read_script
from runagent_testing.conformance import check_transport
from tests.runagent_testing.project import run

ROOT = Path(__file__).resolve().parents[2]
ENDLESS = "/dev/zero"
ESCAPE = "\x1b]0;gotcha\x07\x9b2J\u202e"
TIME = 15.0  # seconds; each takes at most three on an idle machine
MEMORY = 1 << 30  # bytes

BOMB = "\n".join(
    ["x0: &x0 [lol, lol]"]
    + [f"x{level}: &x{level} [{', '.join([f'*x{level - 1}'] * 9)}]" for level in range(1, 12)]
)
BOMBS = {
    "aliases of lists": f"{BOMB}\nagents: {{a: {{always: *x11}}}}",
    "aliases of mappings": BOMB.replace("[lol, lol]", "{a: lol}")
    + "\nagents: {a: {always: [{chunk: *x11}]}}",
    "aliases as tags": f"{BOMB}\nagents: {{a: {{entrypoints: *x11}}}}",
    "aliases of a long text": f"x: &x {'a' * 500_000}\nagents: {{a: {{always: [{'*x,' * 90_000}]}}}}",
    "many values": f"agents: {{a: {{always: [{'a,' * 400_000}]}}}}",
    "many bad steps": f"agents: {{a: {{always: [{'{ending: cut},' * 6_000}]}}}}",
    "many unknown steps": f"agents: {{a: {{always: [{'{dely: 1},' * 6_000}]}}}}",
    "nested lists": "[" * 900_000,
    "nested indents": "- " * 400_000,
    "a long number": f"agents: {{a: {{always: [{{delay: 0x{'f' * 5000}}}]}}}}",
    "many failures": "agents: {a: {fails: 9999999999}}",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_script_that_grows_is_refused_in_time(text):
    before = time.process_time()
    with pytest.raises(ScriptFileError) as raised:
        read_script(text, "s.yaml")
    assert (time.process_time() - before < TIME, len(str(raised.value)) < 200_000) == (True, True)


@pytest.mark.parametrize("name", ["aliases of lists", "aliases of a long text", "many values"])
def test_the_refusal_names_the_limit(name):
    with pytest.raises(ScriptFileError, match="these are more than 100000 values, those of aliases included"):
        read_script(BOMBS[name], "s.yaml")


def test_aliases_may_be_used():
    script = read_script(
        "agents: {a: {always: &x [a, b], returns: &y {steps: [c]}}, b: {always: *x}}", "s.yaml"
    )
    assert [("a", "b"), ("c",), ("a", "b")] == [call.args for call in script.calls]


def limited(*arguments):
    """Run the command in a process that may not take much memory."""
    return subprocess.run(
        [sys.executable, "-m", "runagent_testing", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )


@pytest.mark.skipif(not os.path.exists(ENDLESS), reason="there is no file without an end")  # noqa: PTH110
@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["check", ENDLESS], f"cannot read {ENDLESS}: it has more than {MAX_FILE} bytes\n"),
        (["serve", ENDLESS], f"cannot read {ENDLESS}: it has more than {MAX_FILE} bytes\n"),
        (["serve", "SCRIPT", "--tls-cert", ENDLESS], f"cannot use the certificate {ENDLESS}: "),
        (["serve", "SCRIPT", "--tls-cert", "SCRIPT", "--tls-key", ENDLESS], "cannot use the certificate "),
        (["check-transport", "sse", "--baseline", ENDLESS], f"it has more than {MAX_FILE} bytes"),
    ],
)
def test_a_file_without_an_end_is_refused(arguments, fault):
    script = str(ROOT / "tests/runagent_testing/scripts/script.yaml")
    ended = limited(*[script if word == "SCRIPT" else word for word in arguments])
    assert (2, "", True, False) == (
        ended.returncode,
        ended.stdout,
        fault in ended.stderr,
        "Traceback" in ended.stderr,
    )


def test_a_file_of_just_the_limit_is_read(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"x" * MAX_FILE)
    assert MAX_FILE == len(read_file(path))
    path.write_bytes(b"x" * (MAX_FILE + 1))
    with pytest.raises(OSError, match="it has more than"):
        read_file(path)


def test_a_baseline_that_is_not_text_is_refused(tmp_path, capsys):
    path = tmp_path / "baseline"
    path.write_bytes(b"\xff\xfe")
    assert 2 == main(["check-transport", "sse", "--baseline", str(path)])
    assert "is not UTF-8: invalid start byte at byte 0" in capsys.readouterr().err


# Control characters

QUOTED = '"\\e]0;gotcha\\a\\x9b2J\\u202e"'  # as YAML writes `ESCAPE`
SCRIPTS = {
    "an agent's id": f"agents: {{{QUOTED}: {{always: x}}}}",
    "a tag": f"agents: {{a: {{entrypoints: [{QUOTED}]}}}}",
    "a chunk": f'agents: {{a: {{always: [{QUOTED}, {{chunk: {{{QUOTED}: 1}}}}, "\\ud83e"]}}}}',
    "an error": f"agents: {{a: {{always: [{{error: {QUOTED}, message: {QUOTED}}}]}}}}",
    "a status": f"agents: {{a: {{always: [{{status: 500, code: {QUOTED}, message: {QUOTED}}}]}}}}",
    "a gate": f"agents: {{a: {{always: [{{gate: {QUOTED}}}]}}}}",
    "the end": f"agents: {{a: {{always: [{{done: {QUOTED}}}]}}}}",
    "a version": f"agents: {{a: {{returns: {{steps: [x], agent_version: {QUOTED}}}}}}}",
    "a bad key": f"agents: {{{QUOTED}: {{{QUOTED}: x}}}}",
    "a bad step": f"agents: {{a: {{always: [{{{QUOTED}: 1}}]}}}}",
    "a bad value": f"agents: {{a: {{always: [{{delay: {QUOTED}}}]}}}}",
    "a bad word": f"agents: {{a: {{always: {{steps: [x], framing: {QUOTED}}}}}}}",
    "a bad tag": "agents: {a: {always: !<\u009b2J> x}}",
    "a bad top": f"{QUOTED}: 1",
    "a bad number": f"agents: {{a: {{always: [!!int {QUOTED}]}}}}",
}


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_no_control_character_of_a_script_reaches_the_terminal(text, tmp_path, capsys):
    path = tmp_path / f"{ESCAPE}.yaml"
    path.write_text(text, encoding="utf-8")
    main(["check", str(path), str(path), f"{ESCAPE}missing"])
    out, err = capsys.readouterr()
    assert [] == [char for char in out + err if not char.isprintable() and char != "\n"]


@pytest.mark.parametrize(
    "argument", [["check", ESCAPE], [ESCAPE], ["new-transport", ESCAPE], ["check-transport", ESCAPE]]
)
def test_nor_does_one_of_an_argument(argument, capsys):
    try:
        main(argument)
    except SystemExit:
        pass
    out, err = capsys.readouterr()
    assert [] == [char for char in out + err if not char.isprintable() and char != "\n"]


def test_nor_does_one_that_pytest_shows(project):
    result = run(
        project,
        f"""
from runagent_testing import error, gate

ESCAPE = {ESCAPE!r}

def test_it(fake_agent_server):
    agent = fake_agent_server.agent(ESCAPE)
    agent.responds(lambda _: 1 / 0)
    with pytest.raises(Exception):
        asked(fake_agent_server, ESCAPE)
    agent.always(error(ESCAPE, ESCAPE), ESCAPE, gate(ESCAPE))
    agent.reply(error(ESCAPE, ESCAPE), gate(ESCAPE)).returns_once(ESCAPE)

def test_raises(fake_agent_server):
    def fails(exchange):
        raise ValueError(ESCAPE)

    fake_agent_server.agent("a").responds(fails)
    with pytest.raises(Exception):
        asked(fake_agent_server, "a")
""",
        "--color=no",
    )
    result.assert_outcomes(passed=2, errors=2)
    shown = "".join(result.outlines + result.errlines)
    assert [] == [char for char in shown if not char.isprintable()]


@pytest.mark.parametrize("text", [SCRIPTS["a bad key"], SCRIPTS["a bad top"], SCRIPTS["a bad tag"]])
def test_nor_does_one_in_the_error_of_a_script(text):
    with pytest.raises(ScriptFileError) as raised:
        read_script(text, ESCAPE)
    assert [] == [char for char in str(raised.value) if not char.isprintable() and char != "\n"]


def test_nor_does_one_in_the_name_of_a_gate():
    memory = MemoryNetwork()
    memory.agent("a").always(gate(ESCAPE))
    with pytest.raises(DeadlockError) as raised:
        RunAgentClient("a", base_url=memory.url, network=memory.blocking).run_generic_stream("q").text()
    assert str(raised.value).isprintable()


def test_the_kit_shows_none_of_what_a_transport_prints(tmp_path):
    path = tmp_path / "baseline"
    path.write_text("session.done: known \x1b[2J\n", encoding="utf-8")
    report = check_transport("sse", baseline=path, only=["session.done"])
    assert (False, False) == (report.ok, "\x1b" in str(report))


def test_an_option_that_is_no_json_is_not_repeated(capsys):
    assert 2 == main(["check-transport", "x", "--transport-options", '{"api_key": "sk-12345678"'])
    unknown = ["--transport-option", '{"api_key": "sk-12345678"}', "--api_key=sk-12345678"]
    assert 2 == main(["check-transport", "x", *unknown])
    assert "sk-12345678" not in capsys.readouterr().err


# The kind: every file is read with a limit

READS = ("read_text", "read_bytes", "readlines", "readall", "load_verify_locations")
# These read what is shipped with them.
OWN = {"_starter/__init__.py", "_control/page.py", "conformance/_harness/certificates.py"}


def unlimited_reads(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            if name in READS or (name == "read" and not node.args):
                yield node.lineno
        elif isinstance(node, ast.For) and ast.unparse(node.iter) in ("sys.stdin", "file"):
            yield node.lineno


def test_every_file_is_read_with_a_limit():
    package = ROOT / "runagent_testing"
    found = {
        path.relative_to(package).as_posix(): list(unlimited_reads(path.read_text("utf-8")))
        for path in package.rglob("*.py")
    }
    files = found.pop("_internal/files.py")
    assert [] == files
    assert {} == {name: lines for name, lines in found.items() if lines and name not in OWN}


def test_a_read_without_a_limit_would_be_found():
    assert [1] == list(unlimited_reads("Path(p).read_bytes()"))
    assert [1] == list(unlimited_reads("open(p).read()"))
    assert [1] == list(unlimited_reads("for line in sys.stdin: pass"))
