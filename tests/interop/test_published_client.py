"""The published ``runagent`` package reads a fake agent as it should.

It shares its name with this one, so it needs a separate environment: ``make interop`` makes it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from runagent_testing import FakeAgentServer, error, every, heartbeat
from tests.interop.programs import environment, needs_environment

CHUNKS = ("wörld 😀", "", {"a": [1, None, True]}, 3, None, 0.5)

pytestmark = needs_environment("published")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What its client made of every kind of run, and what it asked for."""
    folder = tmp_path_factory.mktemp("home")
    with FakeAgentServer() as server:
        writer = server.agent("writer").entrypoints("generic", "words_stream")
        writer.always(*CHUNKS[:3], heartbeat(), *CHUNKS[3:], writes=every(7)).returns({"answer": "wörld"})
        server.agent("failing").always("one", error(None, "deliberate failure")).returns(
            error("BAD", "on purpose")
        )
        command = [environment("published"), Path(__file__).with_name("published_client.py"), "127.0.0.1"]
        # No PATH: it starts git to look at its templates.
        variables = {"HOME": str(folder), "PATH": str(folder / "none"), "GIT_PYTHON_REFRESH": "quiet"}
        ran = subprocess.run(
            [*map(str, command), server.url.rpartition(":")[2], str(folder / "result")],
            cwd=folder,
            env=variables | {"PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (0, "") == (ran.returncode, ran.stderr)
        asked = [
            (exchange.agent_id, exchange.transport, exchange.input_args, exchange.input)
            for exchange in server.requests
        ]
    return json.loads((folder / "result").read_text(encoding="utf-8")), asked


def test_a_plain_run_returns_the_value(seen):
    assert {"answer": "wörld"} == seen[0]["run"]


@pytest.mark.parametrize("kind", ["stream", "run of a stream", "async stream"])
def test_a_stream_gives_the_chunks(kind, seen):
    assert list(CHUNKS) == seen[0][kind]


@pytest.mark.parametrize(
    ("kind", "raised", "text"),
    [
        ("run, failing", "RunAgentExecutionError", "[BAD] on purpose"),
        ("stream, failing", "RunAgentExecutionError", "[STREAM_ERROR] deliberate failure"),
        ("async stream, failing", "Exception", "deliberate failure"),
        (
            "stream, unknown tag",
            "RunAgentExecutionError",
            "[NOT_FOUND] The agent or entrypoint tag was not found.",
        ),
        (
            "stream, unknown agent",
            "RunAgentExecutionError",
            "[PERMISSION_ERROR] You do not have permission to stream this agent.",
        ),
    ],
)
def test_a_failure_is_raised(kind, raised, text, seen):
    assert {"raised": raised, "text": text} == seen[0][kind]


def test_the_agents_get_what_it_sends(seen):
    words: tuple[object, object] = [1], {"query": "wörld"}
    nothing: tuple[object, object] = [], {}
    assert seen[1] == [
        ("writer", "run", *words),
        ("failing", "run", *nothing),
        ("writer", "websocket", *words),
        ("writer", "websocket", *words),
        ("failing", "websocket", *nothing),
        ("writer", "websocket", *nothing),
        ("nobody", "websocket", [], None),
        ("writer", "websocket", *words),
        ("failing", "websocket", *words),
    ]
