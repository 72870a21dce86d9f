"""Dialects whose format fails in the middle of a long answer: the failure is shown wherever one looks."""

import re

import httpx2
import pytest

from runagent_testing import FakeAgentServer
from tests.runagent_testing.test_dialects import LineDialect, Lines

LONG = 2000  # chunks: such a script is rendered while it is played
AT = 1500  # the chunk that the format cannot write
FAULT = "LookupError: cannot write it (in FailingLines.chunk())"


class FailingLines(Lines):
    def chunk(self, step, index, id):
        if step.content == str(AT):
            raise LookupError("cannot write it")
        return super().chunk(step, index, id)


class FailingDialect(LineDialect):
    def stream(self, run):
        return FailingLines()


@pytest.fixture
def server():
    with FakeAgentServer(dialects=[FailingDialect()]) as server:
        server.agent("a").reply(*map(str, range(LONG)), writes="per-step")
        with pytest.raises(httpx2.RemoteProtocolError):
            httpx2.post(f"{server.url}/lines/a", json={"ask": "x"})
        yield server
        server.clear()


def test_the_check_reports_the_failure_of_the_dialect(server):
    with pytest.raises(AssertionError, match=re.escape(FAULT)) as caught:
        server.check()
    assert 1 == str(caught.value).count("request 1: POST /lines/a (lines): ")


def test_the_exchange_can_be_looked_at(server):
    (exchange,) = server.requests
    assert ("server closed", FAULT) == (exchange.outcome, exchange.failure)
    assert "moves made" in repr(exchange)
    assert b'c"0"\n' in b"".join(sent.data for sent in exchange.sent)
    assert FAULT in exchange.timeline()


class TextLines(Lines):
    def chunk(self, step, index, id):
        if not isinstance(step.content, str):
            raise ValueError("lines have only text")  # noqa: TRY004 - how a dialect refuses a step
        return super().chunk(step, index, id)


class TextDialect(LineDialect):
    def stream(self, run):
        return TextLines()


def test_a_refused_step_is_named_and_logged_in_one_line(caplog):
    with FakeAgentServer(dialects=[TextDialect()]) as server:
        server.agent("a").reply("x", {"page": 1})
        answer = httpx2.post(f"{server.url}/lines/a", json={"ask": "x"})
        named = "StepRefusedError: step 2, chunk {'page': 1}: lines have only text"
        assert 500 == answer.status_code
        assert named in answer.text.replace("\\", "")
        with pytest.raises(AssertionError, match=re.escape(f"(lines): {named}")):
            server.check()
        server.clear()
    (logged,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert f"the fake agent was unable to answer: {named}" == logged.getMessage()
    assert logged.exc_info is None
    assert not logged.exc_text
