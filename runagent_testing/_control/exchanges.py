"""The journal over HTTP: exchanges, waits for them, and what a check finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing._control.messages import ControlError, Later, Reply
from runagent_testing._control.progress import ChunkWatch, waits_for
from runagent_testing._host.verify import report
from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._control.messages import ControlRequest, Outcome
    from runagent_testing._host.scope import Scope
    from runagent_testing._journal.exchange import Exchange

__all__ = [
    "FORMATS",
    "KINDS",
    "WAITS",
    "counts_of",
    "find_exchange",
    "get_exchange",
    "get_journal",
    "get_problems",
    "get_timelines",
    "get_transcript",
    "list_exchanges",
    "summary",
]

__tracebackhide__ = is_ours

KINDS = ("run", "other", "unmatched", "all")
FORMATS = ("json", "har", "transcript")
WAITS = ("sent", "done", "disconnected")


def list_exchanges(request: ControlRequest) -> Outcome:
    """List exchanges, once there are as many as the request waits for."""
    kind = request.word("kind", *KINDS) or "run"
    wanted = request.number("wait", 0) or 0
    is_full, timeout = request.flag("full"), request.timeout
    scope, agent_id = request.scope, request.query.get("agent")
    after = request.number("after", 0) or 0

    def look(seconds: float) -> Reply | None:
        found = _wait(scope, kind, agent_id, wanted, seconds)
        count = len(found) + _forgotten(scope, kind, agent_id)
        if count < wanted:
            return None
        shown = [exchange for exchange in found if exchange.arrival > after]
        show = _in_full if is_full else summary
        return Reply({"count": count, "exchanges": [show(exchange) for exchange in shown]})

    def late() -> Reply:
        came = len(_found(scope, kind, agent_id)) + _forgotten(scope, kind, agent_id)
        unmatched = "".join(f"; unmatched: {exchange.title}" for exchange in list(scope.unmatched))
        whose = "" if agent_id is None else f" of agent {agent_id!r}"
        fault = f"expected {wanted} request(s){whose} within {timeout:g} s, but {came} came{unmatched}"
        raise ControlError(504, "TIMEOUT", fault)

    return Later(look, timeout, late)


def get_exchange(request: ControlRequest) -> Outcome:
    """Return one exchange in full, once that has happened which the request waits for."""
    exchange = find_exchange(request)
    wait = request.word("until", *WAITS)
    timeout = request.timeout if wait else 0.0
    reached = _awaited(request, exchange, wait)

    def look(seconds: float) -> Reply | None:
        if reached(seconds):
            return reply(is_reached=True)
        # A client that has read everything may still disconnect.
        is_final = exchange.is_over if wait == "disconnected" else exchange.outcome != "running"
        return reply(is_reached=False) if is_final else None

    def reply(*, is_reached: bool) -> Reply:
        shown = _in_full(exchange)
        return Reply({"reached": is_reached, "exchange": shown})

    return Later(look, timeout, lambda: reply(is_reached=False))


def _awaited(request: ControlRequest, exchange: Exchange, wait: str | None) -> Callable[[float], bool]:
    """Return the wait that a request asks for."""
    chunks, step = request.number("chunks"), request.number("step", least=1)
    if (wait == "sent") != ((chunks is None) != (step is None)):
        raise ControlError(400, "INVALID", "until=sent takes chunks or step, and only it does")
    if wait == "done":
        return exchange.wait_done
    if wait == "disconnected":
        return exchange.wait_disconnected
    if chunks is not None:
        return lambda seconds: exchange.wait_sent(chunks, seconds)
    if step is not None:
        return lambda seconds: _wait_step(exchange, step, seconds)
    return lambda _: True


def _wait_step(exchange: Exchange, number: int, seconds: float) -> bool:
    # An endless answer has its steps only once it has come to them.
    exchange.wait_sent(0, seconds)
    if number > len(exchange.steps):
        return False
    return exchange.wait_sent(exchange.steps[number - 1], seconds)


def get_transcript(request: ControlRequest) -> Outcome:
    """Show an exchange without what changes from run to run, as `Exchange.transcript` does."""
    exchange = find_exchange(request)
    headers = _names(request)
    return Later(
        lambda _: Reply(
            {"transcript": exchange.transcript(headers), "value": exchange.transcript_dict(headers)}
        )
    )


def find_exchange(request: ControlRequest) -> Exchange:
    """Return the exchange that the path names by its arrival.

    Raises:
        ControlError: There is none.
    """
    arrival = request.parameters["arrival"]
    for exchange in request.scope.journal.exchanges:
        if str(exchange.arrival) == arrival:
            return exchange
    raise ControlError(404, "NOT_FOUND", f"there is no exchange {arrival[:100]!r}")


def get_journal(request: ControlRequest) -> Outcome:
    """Show all exchanges: as a JSON value, as an HTTP Archive, or as transcripts."""
    form, sort = request.word("format", *FORMATS) or "json", request.flag("sort")
    journal, headers = request.scope.journal, _names(request)

    def look(_: float) -> Reply:
        if form == "har":
            return Reply(journal.as_har())
        if form == "json":
            return Reply(journal.as_dict())
        return Reply({"transcripts": journal.transcript_list(headers, sort=sort)})

    return Later(look)


def _names(request: ControlRequest) -> list[str]:
    return [name for name in request.query.get("headers", "").split(",") if name]


def get_problems(request: ControlRequest) -> Outcome:
    """List what a check of the scope finds, as `AgentHost.problems` does."""
    allowed = {name: request.flag(name) for name in ("allow_unused", "allow_unmatched")}
    scope = request.scope

    def look(_: float) -> Reply:
        found = scope.problems(**allowed)
        return Reply({"problems": found, "report": report(found, scope.journal) if found else ""})

    return Later(look)


def get_timelines(request: ControlRequest) -> Outcome:
    """Show the last exchanges as text."""
    scope = request.scope
    return Later(lambda _: Reply({"timelines": scope.timelines()}))


def summary(exchange: Exchange, watch: ChunkWatch | None = None) -> dict[str, Any]:
    """Return the facts of an exchange that fit into a list."""
    is_over = exchange.is_over  # before what may still change
    watch = watch or ChunkWatch(exchange)
    new = watch.look()
    secrets = exchange.secrets
    faults = {
        name: None if (text := getattr(exchange, name)) is None else secrets.line(text)
        for name in ("unmatched", "refused", "failure")
    }
    return {
        "number": exchange.number,
        "arrival": exchange.arrival,
        "agent_id": exchange.agent_id,
        "dialect": exchange.dialect,
        "transport": exchange.transport,
        "method": exchange.method,
        "path": secrets.text(exchange.path),
        "status": exchange.status,
        "outcome": exchange.outcome,
        "client": exchange.client,
        "ended_at": exchange.ended_at,
        "is_over": is_over,
        "chunks_sent": watch.sent,
        "chunks": new[-CHUNKS_SHOWN:],
        "waits_for": waits_for(exchange),
        **faults,
    }


CHUNKS_SHOWN = 20  # of one exchange in a list


def counts_of(scope: Scope) -> dict[str, Any]:
    """Count the exchanges of a scope."""
    runs = list(scope.requests)
    forgotten = scope.journal.count_forgotten(None)
    by_agent: dict[str, int] = {}
    for exchange in runs:
        by_agent[exchange.agent_id] = by_agent.get(exchange.agent_id, 0) + 1
    return {
        "requests": len(runs) + forgotten,
        "other_requests": len(scope.other_requests),
        "unmatched": len(scope.unmatched),
        "running": sum(exchange.outcome == "running" for exchange in runs),
        "by_agent": by_agent,
    }


def _in_full(exchange: Exchange) -> dict[str, Any]:
    is_over = exchange.is_over
    watch = ChunkWatch(exchange)
    watch.look()
    more = {"chunks_sent": watch.sent, "waits_for": waits_for(exchange), "is_over": is_over}
    return exchange.as_dict() | more


def _found(scope: Scope, kind: str, agent_id: str | None) -> list[Exchange]:
    journal = scope.journal
    lists = {"run": journal.requests, "other": journal.others, "unmatched": journal.unmatched}
    exchanges = journal.exchanges if kind == "all" else list(lists[kind])
    return [exchange for exchange in exchanges if agent_id in (None, exchange.agent_id)]


def _wait(scope: Scope, kind: str, agent_id: str | None, count: int, seconds: float) -> list[Exchange]:
    """Return the exchanges of a kind, once there are as many or the time is over."""

    def have_come() -> bool:
        if agent_id is None and kind == "run":  # looked at after each arrival
            found = len(scope.requests)
        else:
            found = len(_found(scope, kind, agent_id))
        return found + _forgotten(scope, kind, agent_id) >= count

    scope.journal.wait_until(have_come, seconds)
    return _found(scope, kind, agent_id)


def _forgotten(scope: Scope, kind: str, agent_id: str | None) -> int:
    """Count the requests for runs that came and are no longer in the journal."""
    return scope.journal.count_forgotten(agent_id) if kind == "run" else 0
