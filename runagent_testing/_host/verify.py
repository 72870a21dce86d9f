"""Unmet expectations of a test: requests that no script answers, and scripts that no request used."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._journal.timeline import timeline
from runagent_testing._script.describe import described, without_secrets
from runagent_testing._script.gates import Gate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runagent_testing._host.others import OtherRequests
    from runagent_testing._host.scripts import AgentScripts
    from runagent_testing._internal.redaction import Secrets
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._journal.journal import Journal
    from runagent_testing._script.steps import Step

__all__ = ["failed", "report", "timelines", "unexpected", "unmatched", "unplayed", "unused"]

__tracebackhide__ = is_ours

_EXCHANGES_SHOWN = 20
_STEPS_SHOWN = 4


def unexpected(journal: Journal, *, allow_unmatched: bool) -> Iterator[str]:
    """List the requests that no script answers, and failures of the test's functions."""
    if not allow_unmatched:
        yield from map(unmatched, journal.unmatched)
    for exchange in [*journal.requests, *journal.others]:
        yield from failed(exchange)


def unmatched(exchange: Exchange) -> str:
    """Describe a request that no script answers."""
    return f"unmatched request {exchange.title}: {exchange.secrets.line(exchange.unmatched or '')}"


def failed(exchange: Exchange) -> Iterator[str]:
    """Describe the failure of a test's function, if there was one."""
    if exchange.failure is not None:
        yield f"request {exchange.title}: {exchange.secrets.line(exchange.failure)}"


def unused(
    journal: Journal, agents: Iterable[AgentScripts], others: OtherRequests, faults: int
) -> Iterator[str]:
    """List unused replies, steps that were not played, and connections that never came."""
    secrets = journal.secrets
    agents = list(agents)
    for agent in agents:
        for rule in [None, *agent.rules]:
            left = (_described(kind, steps, secrets) for kind, steps in (rule or agent).unused())
            whose = f"agent {agent.id!r}" + (
                "" if rule is None else f", {secrets.line(str(rule.conditions))}"
            )
            for (kind, steps), count in Counter(left).items():
                times = "" if count == 1 else f", {count} times"
                yield f"{whose}: never used: {kind} with {steps}{times}"
    queued = (_described(line, result.steps, secrets) for line, result in others.unused())
    for (line, steps), count in Counter(queued).items():
        yield f"on_request: never used: {line} with {steps}{'' if count == 1 else f', {count} times'}"
    lasting = {id(scripts.script) for agent in agents for scripts in (agent, *agent.rules)}
    for run, script in others.runs.unread():
        if id(script) not in lasting:
            _, steps = _described(run.id, script.steps, secrets)
            yield f"run {run.id!r} of agent {run.agent_id!r}: never read: {steps}"
    for exchange in journal.requests:
        yield from unplayed(exchange, secrets)
    if faults:
        yield f"on_connect: {faults} more faulty connection(s) were expected, but did not come"


def unplayed(exchange: Exchange, secrets: Secrets) -> Iterator[str]:
    """Describe the steps of a request that were not played, if there are any."""
    if numbers := exchange.unplayed:
        steps = f"{_listed(exchange, numbers, secrets)}{_left(exchange)}"
        yield f"request {exchange.title}: never played: {steps}"
    elif exchange.plan is not None and exchange.plan.rest and exchange.outcome != "cancelled":
        more = f"the steps after step {len(exchange.steps)} of {exchange.plan.rest}"
        yield f"request {exchange.title}: never played: {more}{_left(exchange)}"


def report(problems: list[str], journal: Journal) -> str:
    """Write the message that lists the problems and shows the exchanges."""
    listed = "\n".join(f"  - {problem}" for problem in problems)
    shown = timelines(journal)
    return "unmet fake-agent expectations:\n" + listed + (f"\n\n{shown}" if shown else "")


def timelines(journal: Journal) -> str:
    """Show the last exchanges, unmatched ones included."""
    exchanges, secrets = journal.exchanges, journal.secrets
    left_out = len(exchanges) - _EXCHANGES_SHOWN
    first = [f"... {left_out} earlier exchanges ..."] if left_out > 0 else []
    return "\n\n".join([*first, *(timeline(exchange, secrets) for exchange in exchanges[-_EXCHANGES_SHOWN:])])


def _described(kind: str, steps: tuple[Step, ...], secrets: Secrets) -> tuple[str, str]:
    shown = [described(without_secrets(step, secrets)) for step in steps[:_STEPS_SHOWN]]
    more = [] if len(steps) <= _STEPS_SHOWN else ["..."]
    return kind, ", ".join([*shown, *more]) or "no steps"


def _left(exchange: Exchange) -> str:
    if exchange.disconnected_at is None:
        return ""
    return (
        f" (the client disconnected after {exchange.disconnected_at:.3f} s; if expected: allow_unused=True)"
    )


def _listed(exchange: Exchange, numbers: list[int], secrets: Secrets) -> str:
    parts = []
    for number in numbers[:_STEPS_SHOWN]:
        step = without_secrets(exchange.steps[number], secrets)
        shut = " (never opened)" if isinstance(step, Gate) and not step.is_open else ""
        parts.append(f"step {number + 1}, {described(step)}{shut}")
    if len(numbers) > _STEPS_SHOWN:
        parts.append(f"and {len(numbers) - _STEPS_SHOWN} more")
    return "; ".join(parts)
