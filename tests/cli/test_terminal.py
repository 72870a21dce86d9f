"""What the command shows on a terminal."""

from __future__ import annotations

import re
import signal
import subprocess

import pytest

from runagent._cli.console import make_harmless, one_line
from runagent_testing import delay, error, gate
from tests.cli.command import PATIENCE, Terminal

pytestmark = pytest.mark.usefixtures("settings")


def test_a_terminal_shows_a_sign_of_waiting_and_how_it_went(server) -> None:
    answer = gate("answer")
    server.agent("a").always(answer, "Once", " upon")
    with Terminal("stream", "a", "hi") as terminal:
        terminal.read_until("\r| waiting for the agent")
        answer.open()
        shown = terminal.read_all()
        assert 0 == terminal.process.wait(PATIENCE)
    after = shown.rpartition("\r\x1b[K")[2]
    pattern = (
        r"Once upon\r\n\[first chunk after [\d.]+ s, 2 chunks in [\d.]+ s over sse(, \d+ chunks/s)?\]\r\n"
    )
    assert re.fullmatch(pattern, after)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_only_the_answer_is_shown_unless_both_are_terminals(server, stream) -> None:
    server.agent("a").always(delay(0.3), "Once")  # long enough for a sign of waiting to come
    with Terminal("stream", "a", "hi", **{stream: subprocess.PIPE}) as terminal:
        piped_part = terminal.process.communicate(timeout=PATIENCE)[stream == "stderr"]
        shown = terminal.read_all()
    assert (("Once\r\n", b"") if stream == "stderr" else ("", b"Once")) == (shown, piped_part)


def test_a_dumb_terminal_gets_no_sign_of_waiting(server, monkeypatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    server.agent("a").always(delay(0.3), "Once")
    with Terminal("stream", "a", "hi") as terminal:
        assert terminal.read_all().startswith("Once\r\n[first chunk")


def test_escapes_are_harmless_on_a_terminal(server) -> None:
    server.agent("a").always(
        "\x1b", "[31mred\x07\u202e\x9b1m\x7f", "\r", "\nnew\rold\t|", {"v": "\x1b\u2066\x9b"}
    )
    with Terminal("stream", "a", "hi", stderr=subprocess.DEVNULL) as terminal:
        shown = terminal.read_all()
    expected = r"\x1b[31mred\x07\u202e\u009b1m\u007f" + "\r\r\n" + r"new\x0dold" + "\t|"
    assert expected + r'{"v":"\u001b\u2066\u009b"}' + "\r\n" == shown


def test_a_last_carriage_return_is_not_lost_on_a_terminal(server) -> None:
    server.agent("a").always("x\r")
    with Terminal("stream", "a", "hi", stderr=subprocess.DEVNULL) as terminal:
        assert "x\\x0d\r\n" == terminal.read_all()


def test_a_terminal_without_the_characters_gets_their_names(server, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    server.agent("a").always("é\N{GRINNING FACE}")
    with Terminal("stream", "a", "hi", stderr=subprocess.DEVNULL) as terminal:
        assert "\\xe9\\U0001f600\r\n" == terminal.read_all()


def test_ctrl_c_on_a_terminal_ends_the_line(server) -> None:
    server.agent("a").always("Once", gate("never"))
    with Terminal("stream", "a", "hi") as terminal:
        terminal.read_until("Once")
        terminal.process.send_signal(signal.SIGINT)
        shown = terminal.read_all()
        assert 130 == terminal.process.wait(PATIENCE)
    assert shown.endswith("Once\r\n")


def test_ctrl_c_takes_the_sign_of_waiting_away(server) -> None:
    server.agent("a").always(gate("never"), "x")
    with Terminal("stream", "a", "hi") as terminal:
        terminal.read_until("waiting for the agent")
        terminal.process.send_signal(signal.SIGINT)
        shown = terminal.read_all()
        assert 130 == terminal.process.wait(PATIENCE)
    assert shown.endswith("\r\x1b[K")
    assert "Traceback" not in shown


def test_an_error_on_a_terminal_begins_a_line(server) -> None:
    server.agent("a").always("Once", error("X", "no"))
    with Terminal("stream", "a", "hi") as terminal:
        assert terminal.read_all().endswith("Once\r\nrunagent: error: no\r\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain \t\n\r\n é\u2028\u00a0\N{GRINNING FACE}", None),
        ("".join(map(chr, range(0x80, 0xA0))), "".join(f"\\u{c:04x}" for c in range(0x80, 0xA0))),
        ("\u202a\u202e\u2066\u2069", r"\u202a\u202e\u2066\u2069"),
        ("\x00\x08\x0b\x0c\x0e\x1f\x7f", r"\x00\x08\x0b\x0c\x0e\x1f\u007f"),
        ("a\rb\r", r"a\x0db\x0d"),
    ],
)
def test_what_acts_on_a_terminal_is_escaped(text, expected) -> None:
    assert (text if expected is None else expected) == make_harmless(text)


def test_a_message_is_one_line() -> None:
    assert "a b c\\x1b" == one_line("a\nb\r\nc\x1b")
