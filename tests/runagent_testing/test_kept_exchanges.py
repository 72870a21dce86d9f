"""A journal with a limit: it forgets the oldest exchanges, but not what was wrong with them."""

from __future__ import annotations

import pytest

from runagent import RunAgentClient
from runagent_testing import FakeAgentServer
from runagent_testing._journal import bounds


def test_a_journal_keeps_the_last_exchanges_and_those_that_run(host):
    host._keep_last(3)
    host.agent("a").always("x", writes="per-step")
    exchanges = []
    client = RunAgentClient("a", base_url=host.url, max_retries=0, **network_of(host))
    running = iter(client.run_generic_stream("first"))
    next(running)
    for _ in range(6):
        client.run_generic_stream("q").text()
        exchanges.append(host.requests[-1])
    assert exchanges[-3:] == host.requests[-3:]
    assert len(host.requests) <= 4
    assert exchanges[-1] is host.wait_request(7)
    with pytest.raises(
        LookupError, match="request 2 of agent 'a' is forgotten: the journal keeps only the last ones"
    ):
        host.agent("a").wait_request(2)
    with pytest.raises(TimeoutError, match=r"expected 8 request\(s\) within 0 s, but 7 came"):
        host.wait_request(8, 0)
    assert [] == [problem for problem in host.problems() if "first" not in problem]
    client.close()


def network_of(host):
    return {} if isinstance(host, FakeAgentServer) else {"network": host.blocking}


def test_problems_of_forgotten_exchanges_are_counted(host):
    host._keep_last(1)
    client = RunAgentClient("a", base_url=host.url, max_retries=0, **network_of(host))
    for _ in range(103):
        with pytest.raises(Exception, match="agent"):
            client.run_generic_stream("q").text()
    client.close()
    problems = host.problems()
    assert 102 == len(problems)
    assert "2 more unmatched requests, which the journal has forgotten" in problems
    assert [] == host.problems(allow_unmatched=True)
    host.clear()
    assert [] == host.problems()


def test_a_journal_keeps_few_large_exchanges(host, monkeypatch):
    monkeypatch.setattr(bounds, "MAX_BYTES", 100_000)
    host._keep_last(1000)
    host.agent("large").always("x" * 30_000)
    host.agent("small").always("x")
    host.agent("pieces").always(*["x"] * 400, writes="per-step")
    # Each is 30 kB or more: as many as fit, and the one that has just begun.
    for agent, asked in (("large", 1), ("small", 30_000), ("pieces", 1)):
        client = RunAgentClient(agent, base_url=host.url, max_retries=0, **network_of(host))
        for _ in range(8):
            client.run_generic_stream("q" * asked).text()
        client.close()
        assert 2 <= len(host.requests) <= 4
    client = RunAgentClient("small", base_url=host.url, max_retries=0, **network_of(host))
    for _ in range(8):
        client.run_generic_stream("q").text()
    client.close()
    assert ["small"] * 8 == [exchange.agent_id for exchange in host.requests[-8:]]
    assert host.wait_request(32) is host.requests[-1]
    host.clear()
    assert not host.journal._bounds._size
