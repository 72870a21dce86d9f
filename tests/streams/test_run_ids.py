"""A run has one id: in its report, its errors, its log lines and on the wire."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

from runagent import ConfigurationError, RunAgentError
from tests.retries.attempts import BUSY, DONE, chunk, run
from tests.support.peer import Peer, answers, http, sse
from tests.support.transports import OwnTransport

if TYPE_CHECKING:
    from tests.support.styles import Style


def test_the_id_is_the_key_of_the_request_and_of_its_retries(style: Style, transport: str) -> None:
    with Peer(answers(BUSY), answers(BUSY), answers(http(401, connection="close"))) as peer:
        outcome = run(style, peer, transport=transport, max_retries=2, retry_delay=0)
        keys = [request.headers["idempotency-key"] for request in peer.requests]
    assert re.fullmatch("[0-9a-f]{32}", outcome.report.run_id)
    assert [outcome.report.run_id] * 3 == keys
    assert (outcome.report.run_id, outcome.report.agent_id) == (outcome.error.run_id, outcome.error.agent_id)


def test_the_key_of_a_resumption_is_the_id_and_its_number(style: Style) -> None:
    parts = [sse(chunk(at), end=False) for at in range(3)]
    with Peer(*(answers(part) for part in parts), answers(sse(chunk(3), DONE))) as peer:
        outcome = run(style, peer, max_retries=1)
        keys = [request.headers["idempotency-key"] for request in peer.requests]
    assert [outcome.report.run_id + end for end in ("", "-1", "-2", "-3")] == keys


def test_the_callers_key_is_the_one_of_the_run_and_of_its_retries(style: Style, transport: str) -> None:
    with Peer(answers(BUSY), answers(http(401, connection="close"))) as peer:
        outcome = run(style, peer, transport=transport, headers={"idempotency-KEY": "row-7"}, retry_delay=0)
        keys = [request.headers["idempotency-key"] for request in peer.requests]
    assert ["row-7"] * 2 == keys
    assert re.fullmatch("[0-9a-f]{32}", outcome.report.run_id)


def test_a_resumption_never_repeats_the_callers_key_as_its_request_differs(style: Style) -> None:
    parts = [sse(chunk(at), end=False) for at in range(2)]
    with Peer(*(answers(part) for part in parts), answers(sse(chunk(2), DONE))) as peer:
        run(style, peer, headers={"Idempotency-Key": "row-7"})
        keys = [request.headers["idempotency-key"] for request in peer.requests]
    assert ["row-7", "row-7-1", "row-7-2"] == keys


def test_two_runs_have_different_ids(style: Style) -> None:
    with Peer(answers(BUSY), answers(BUSY)) as peer:
        first, second = (run(style, peer, max_retries=0).error.run_id for _ in range(2))
    assert first != second


def test_lines_of_the_log_carry_the_id(style: Style, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "runagent.run")
    with Peer(answers(BUSY), answers(sse(chunk(0), DONE))) as peer:
        outcome = run(style, peer, retry_delay=0)
    lines = [record.getMessage() for record in caplog.records if record.name == "runagent.run"]
    assert len(lines) >= 4
    assert all(outcome.report.run_id in line for line in lines)


@pytest.mark.parametrize("plain", [False, True])
def test_an_error_before_the_first_request_has_the_id_too(style: Style, plain: bool) -> None:
    async def scenario() -> Any:
        client = style.client("w", transport=OwnTransport(capabilities=frozenset()), base_url="http://h")
        with pytest.raises(RunAgentError) as caught:
            await client.run_generic(object() if plain else "x")
        return caught.value

    error = style.run(scenario)
    assert "w" == error.agent_id
    assert (error.run_id is None) == plain
    assert plain or isinstance(error, ConfigurationError)


def test_a_run_has_one_line_at_info_with_its_facts(style: Style, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "runagent.run")
    with Peer(answers(BUSY), answers(sse(chunk(0), ("done", {"usage": {"total_tokens": 4}})))) as peer:
        report = run(style, peer, retry_delay=0).report
    (record,) = (record for record in caplog.records if record.name == "runagent.run")
    assert (logging.INFO, str(report)) == (record.levelno, record.getMessage())
    facts = record.__dict__
    for name in (
        "run_id",
        "agent_id",
        "transport",
        "outcome",
        "status",
        "chunks",
        "retries",
        "total_seconds",
    ):
        assert getattr(report, name) == facts[name]
    assert (4, None, report.first_chunk_seconds) == (
        facts["tokens"]["total"],
        facts["error"],
        facts["first_chunk_seconds"],
    )
    assert (1, 1, "completed") == (facts["chunks"], facts["retries"], facts["outcome"])
