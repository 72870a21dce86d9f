"""The demo: one story, nine ways."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys

import pytest

import runagent_testing
from runagent._cli import demo as demo_module
from runagent._cli import main
from runagent._version import install_command
from runagent_testing import FakeAgentServer
from tests.support.process import killed_at_end


def test_the_story_arrives_whole_in_all_nine_ways(capfd) -> None:
    assert 0 == main(["demo", "--fast"])
    out, err = capfd.readouterr()
    ways = [f"{t}, {s}" for t, s in itertools.product(demo_module.TRANSPORTS, demo_module.STYLES)]
    assert ways == re.findall(r"^(\w+, \w+)$", out, re.MULTILINE)
    story = "".join(demo_module.STORY)
    assert 9 == re.sub(r"^ +[\d.]+ s  ", "", out, flags=re.MULTILINE).count(story)
    assert "" == err


def test_the_table_at_the_end_has_a_row_for_each_way(capfd) -> None:
    main(["demo", "--fast"])
    table = capfd.readouterr().out.rpartition("\n\n")[2].splitlines()
    rows = [line.split() for line in table[1:]]
    assert list(itertools.product(demo_module.TRANSPORTS, demo_module.STYLES)) == [tuple(r[:2]) for r in rows]
    assert {str(len(demo_module.STORY))} == {row[4] for row in rows}
    assert all(0 < float(row[2]) / 1000 <= float(row[5]) + 0.01 for row in rows)


def test_chunks_are_shown_when_they_come(monkeypatch, capfd) -> None:
    monkeypatch.setattr(demo_module, "SHORT_PAUSE_SECONDS", 0.01)
    main(["demo", "--fast"])
    times = [float(t) for t in re.findall(r"^ +([\d.]+) s  ", capfd.readouterr().out, re.MULTILINE)]
    assert 27 == len(times)
    ways = list(zip(times[::3], times[1::3], times[2::3], strict=True))
    assert all(first <= second <= third for first, second, third in ways)
    for transport in range(3):  # a busy machine may show one way late; ten pauses lie between the lines
        assert max(third - first for first, _, third in ways[3 * transport :][:3]) >= 0.08


def test_settings_of_the_user_do_not_matter(monkeypatch, capfd) -> None:
    monkeypatch.setenv("RUNAGENT_API_KEY", "sk-secret")
    monkeypatch.setenv("RUNAGENT_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("RUNAGENT_TRANSPORT_OPTIONS", '{"stream_path": "/nowhere/{agent_id}"}')
    servers = []

    def recorded() -> FakeAgentServer:
        servers.append(FakeAgentServer())
        return servers[0]

    monkeypatch.setattr(runagent_testing, "FakeAgentServer", recorded)
    assert 0 == main(["demo", "--fast"])
    assert {"Bearer demo"} == {request.raw_headers["authorization"] for request in servers[0].requests}


def test_an_altered_story_fails_the_demo(monkeypatch, capfd) -> None:
    story = demo_module.STORY

    class Forgetful(tuple[str, ...]):
        __slots__ = ()

        def __iter__(self):
            return iter(story[:-1])

    monkeypatch.setattr(demo_module, "STORY", Forgetful(story))
    assert 3 == main(["demo", "--fast"])
    assert "runagent: error: the story came as 14 chunks over sse" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("missing", "named"),
    [(["trio"], "trio"), (["aiohttp"], "aiohttp"), (["aiohttp", "trio"], "aiohttp and trio")],
)
def test_a_missing_library_is_named_with_the_line_that_installs_it(
    monkeypatch, capfd, missing, named
) -> None:
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    assert 2 == main(["demo"])
    install = install_command("testing", "trio")
    assert ("", f"runagent: error: the demo needs {named}; install with: {install}\n") == capfd.readouterr()


def test_a_reader_who_leaves_early_ends_the_demo_quietly() -> None:
    command = [sys.executable, "-m", "runagent", "demo", "--fast"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with killed_at_end(started) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"A fake agent")
        process.stdout.close()
        assert process.stderr is not None
        assert b"" == process.stderr.read()
        assert 141 == process.wait(20)
