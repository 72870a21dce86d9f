"""The agent ``"*"`` answers runs of agents that are unknown."""

from __future__ import annotations

import pytest

from tests.runagent_testing.functions import client_of
from tests.runagent_testing.players import body_of
from tests.runagent_testing.players import client_of as raw_client_of
from tests.runagent_testing.raw_client import post
from tests.runagent_testing.runs import get

STREAMS = ("sse", "chunked", "websocket")


def asked(host, agent, transport="sse"):
    with client_of(host, transport, agent) as client:
        return client.run_generic_stream("hi").text()


def got(host, path, **headers):
    with raw_client_of(host) as client:
        client.send(get(path, **headers))
        return body_of(client)


@pytest.mark.parametrize("transport", STREAMS)
def test_it_answers_for_unknown_agents_and_the_journal_has_the_asked_id(host, transport):
    fallback = host.agent("*").always("any").returns(1)
    host.agent("known").always("known")
    answers = [asked(host, agent, transport) for agent in ("known", "other", "*")]
    assert ["known", "any", "any"] == answers
    assert ["known", "other", "*"] == [exchange.agent_id for exchange in host.requests]
    assert ["other", "*"] == [exchange.agent_id for exchange in fallback.requests]
    assert fallback.requests[1] is fallback.wait_request(2)
    assert ["known"] == [exchange.agent_id for exchange in host.agent("known").requests]
    host.check()


def test_a_known_agent_without_a_script_is_not_replaced(host):
    host.agent("*").returns("any")
    host.agent("known")
    with raw_client_of(host) as client:
        client.send(post("/v1/agents/known/invoke"))
        assert 500 == body_of(client)[0]
    assert "agent 'known' has no answer" in host.unmatched[0].unmatched


def test_it_has_rules_a_limit_and_replies_of_its_own(host):
    fallback = host.agent("*").limit(3, per=1000).reply("once").always("any")
    fallback.when(matches=lambda run: run.agent_id == "b").always("for b")
    assert ["once", "for b", "any"] == [asked(host, agent) for agent in "abc"]
    with raw_client_of(host) as client:
        client.send(post("/v1/agents/d/invoke"))
        assert 429 == body_of(client)[0]


def test_lists_do_not_name_it(host):
    host.agent("*").always("any")
    host.agent("known")
    assert b'"id": "*"' not in (models := got(host, "/v1/models")[1])
    assert b"known" in models
    assert b'"*"' not in got(host, "/api/v1/health")[1]
    host.check()


def test_a_question_about_an_unknown_agent_is_answered_as_its_runs_are(host):
    host.agent("*").always("any")
    assert 200 == got(host, "/v1/models/gpt-9")[0]
    assert 200 == got(host, "/a2a/anyone/.well-known/agent-card.json")[0]
    host.check()


def test_a_request_that_names_no_agent_is_still_refused(host):
    host.agent("*").always("any")
    with raw_client_of(host) as client:
        client.send(post("/v1/chat/completions", {"messages": []}))
        assert 404 == body_of(client)[0]
