"""Faults in the place of an answer: which there are for a run, and what the agent does then.

A client may resume or repeat a run that met a fault, and gets the answer itself then. So a fault sends only
the contents with which that answer begins, so that a client that puts both together shows no other text.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.suggestions import nearest
from runagent_testing._script.gates import Gate
from runagent_testing._script.script import Options, Result, Script
from runagent_testing._script.steps import Chunk, Delay, Done, Ending, Head, Heartbeat, RawResponse, Status
from runagent_testing.dialects._builtin import BUILT_IN
from runagent_testing.dialects._installed import installed_dialects
from runagent_testing.faults._catalogue import (
    CHUNKS,
    IDS,
    Fault,
    Player,
    for_transport,
    scenario_of,
    unavailable,
)
from runagent_testing.faults._kind import TRANSPORTS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from runagent_testing._script.computed import Computed
    from runagent_testing._script.steps import Step
    from runagent_testing.dialects import Dialect

    Answer = Script | Result | Computed | None

__all__ = [
    "check_names",
    "displacing",
    "expand_names",
    "is_drawn",
    "is_named",
    "is_shown",
    "misfit",
    "parse_name",
    "script_of",
]

_KINDS_AND_IDS = {*IDS, *(kind.name for kind, _ in IDS.values())}
_REMEMBERED = 1000  # faults
_SEE = "runagent_testing.faults.for_transport(...) lists them"
_LONGEST_SILENCE = 10.0  # seconds, on sockets
_BEFORE_BODY = ("before-answer", "in-head")
_WHOLE_ANSWER = ("before-end-marker", "after-done", "throughout")
_OF_NUMBERS = ("repeated-index", "missing-index")
# The body of a plain run may be any JSON, so that a client cannot see this fault.
_NOT_OF_PLAIN_RUNS = ("json-answer",)


def displacing(
    transport: str,
    *,
    http_only: bool,
    is_late: bool,
    player: Player,
    tls: bool = False,
    dialect: Dialect | None = None,
) -> list[Fault]:
    """List the faults that can take the place of an answer.

    Those that strike before a connection is accepted are left out, as it is too late for them.

    Args:
        transport: That of the run. A format in which the catalogue cannot know what a sound client shows has
            only faults of HTTP.
        http_only: Only those that begin before the body: a plain run has no events, and a resumption skips
            those before its own begin, with what is wrong about them.
        is_late: Only those that begin after the head.
        player: Who plays the answer.
        tls: Whether it speaks TLS.
        dialect: The dialect of the run.
    """
    known = [] if http_only else _catalogue_of(transport, player, tls, dialect)
    if not known:
        known = [fault for fault in for_transport("sse", player, tls=tls) if _is_http(fault)]
    too_early = ("before-accept", *_BEFORE_BODY) if is_late else ("before-accept",)
    return [fault for fault in known if fault.position.name not in too_early]


def _catalogue_of(transport: str, player: Player, tls: bool, dialect: Dialect | None) -> list[Fault]:
    try:
        return for_transport(transport, player, tls=tls, dialect=dialect)
    except ValueError:
        return []


def _is_http(fault: Fault) -> bool:
    """Whether a fault is the same for every answer over HTTP."""
    if fault.position.name not in _BEFORE_BODY or fault.kind in _NOT_OF_PLAIN_RUNS:
        return False
    return all(isinstance(step, Status | RawResponse | Ending) for step in fault.script(oversize=0).steps)


def is_shown(fault: Fault) -> bool:
    """Whether a sound client that does nothing about it shows an error."""
    return fault.expected.error not in ("ok", "unproven")


def is_named(fault: Fault, transport: str, names: Collection[str]) -> bool:
    """Whether a name means the fault: id or kind, perhaps after transport and slash, or the transport."""
    own = (fault.id, fault.kind)
    return not {transport, *own, *(f"{transport}/{name}" for name in own)}.isdisjoint(names)


def is_drawn(
    fault: Fault, transport: str, player: Player, only: Collection[str], without: Collection[str]
) -> bool:
    """Whether chance may choose a fault for a run.

    Unless ``only`` names it, a sound client has to show it, and in no time on real sockets: in silence a
    client waits for its limits, if it has any.
    """
    if is_named(fault, transport, without):
        return False
    if only:
        return is_named(fault, transport, only)
    return is_shown(fault) and (player == "memory" or fault.expected.error != "timeout")


def check_names(names: Sequence[str], what: str, dialects: Sequence[Dialect] = ()) -> None:
    """Reject unknown names of faults; `is_named` has their forms.

    Args:
        names: The names.
        what: Begins the message.
        dialects: Those that a host knows in addition to the built-in and the installed ones.

    Raises:
        TypeError: A name is not text.
        ValueError: It is unknown; the message suggests another.
    """
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{what} is a list of names of faults, not {names!r}")
    for name in names:
        before, slash, fault = name.rpartition("/")
        if slash:
            _check_transport(before, what, dialects)
        known = [*sorted(_KINDS_AND_IDS), *(() if slash else _transports(dialects))]
        if fault not in known:
            raise ValueError(f"{what} has no fault {name!r}; {nearest(fault, known, _SEE)}")


def expand_names(names: Sequence[str], without: Collection[str], player: Player) -> list[str]:
    """List the names of the single faults that a test can meet.

    Args:
        names: As for `check_names`. A transport means the faults that chance chooses there, and those that
            happen to its connections.
        without: Those to leave out, likewise.
        player: Who plays them.
    """
    found: dict[str, None] = {}
    for name in names:
        transport, slash, last = name.rpartition("/")
        if slash or last not in _KINDS_AND_IDS:
            transport, only = (transport, (name,)) if slash else (last, ())
            faults = _catalogue_of(transport, player, False, None) or displacing(
                transport, http_only=True, is_late=False, player=player
            )
            drawn = [fault for fault in faults if is_drawn(fault, transport, player, only, without)]
            found |= dict.fromkeys(f"{transport}/{fault.id}" for fault in drawn)
        else:
            kinds = {fault_id: kind.name for fault_id, (kind, _) in IDS.items()}
            meant = [fault_id for fault_id, kind in kinds.items() if name in (fault_id, kind)]
            found |= {one: None for one in meant if not {one, kinds[one]} & set(without)}
    return list(found)


def parse_name(name: str, player: Player, tls: bool, dialects: Sequence[Dialect] = ()) -> str | None:
    """Return the transport in the name of one fault, such as "sse/fin-after-event-1"; None if it has none.

    Raises:
        TypeError: The name is not text.
        ValueError: There is no such fault, perhaps only not for the transport or player; the message has the
            reason.
    """
    check_names([name], "the catalogue", dialects)
    transport, _, fault_id = name.rpartition("/")
    if fault_id not in IDS:
        raise ValueError(f"{name!r} is no single fault; {nearest(fault_id, IDS, _SEE)}")
    if transport in TRANSPORTS:
        reasons = dict(unavailable(transport, player, tls=tls))
        if fault_id in reasons:
            raise ValueError(f"there is no {name!r} here: {reasons[fault_id]}")
    return transport or None


def _transports(dialects: Sequence[Dialect]) -> list[str]:
    every = (*BUILT_IN, *dialects, *installed_dialects())
    return [transport for dialect in every for transport in dialect.transports]


def _check_transport(transport: str, what: str, dialects: Sequence[Dialect]) -> None:
    known = _transports(dialects)
    if transport not in known:
        raise ValueError(f"{what} has no transport {transport!r}; {nearest(transport, known)}")


def misfit(fault: Fault, answer: Answer) -> str | None:
    """Describe why an answer has no place for a fault; None if it has one.

    Args:
        fault: The fault.
        answer: The answer; None for an agent that has none.
    """
    chunks, is_whole = _beginning(answer)
    takes_all = fault.position.name in _WHOLE_ANSWER or not is_shown(fault)
    if not is_whole and (takes_all or _changes_head(fault)):
        return f"{fault.id} needs an answer of chunks alone"
    if isinstance(answer, Script) and not answer.indexed and fault.kind in _OF_NUMBERS:
        return f"{fault.id} needs an answer whose chunks are numbered"
    needed = fault.position.event if is_shown(fault) else 2
    return f"{fault.id} needs an answer that begins with {needed} chunks" if needed > len(chunks) else None


def script_of(fault: Fault, answer: Answer, player: Player, *, is_plain: bool) -> Script | Result:
    """Make the script, or plain result, of a fault in the place of an answer that has one for it.

    Args:
        fault: The fault.
        answer: As for `misfit`.
        player: Who plays it.
        is_plain: Whether the run is plain.
    """
    scenario = scenario_of(fault, _beginning(answer)[0])
    is_silence = fault.expected.error == "timeout"
    steps = scenario.steps if is_silence or player == "memory" else _finite(scenario.steps)
    if is_plain:
        return Result.of(steps)
    kept = _kept(answer) if type(answer) is Script else Options()
    return Script.of(steps, **(kept | scenario.options))


def _kept(answer: Script) -> Options:
    """Return the properties on which resuming depends, and the conversation."""
    return Options(indexed=answer.indexed, ids=answer.ids, resume=answer.resume, session_id=answer.session_id)


def _beginning(answer: Answer) -> tuple[tuple[Any, ...], bool]:
    """Return the contents with which an answer begins, and whether they are all of it."""
    if answer is None:
        return CHUNKS, True
    contents: list[Any] = []
    # A recording has bytes in place of chunks, and a faked resumption would repeat those that came.
    if type(answer) is not Script or answer.resume == "fake":
        return (), False
    for step in answer.steps:
        if isinstance(step, Chunk) and step == Chunk(step.content):
            contents.append(step.content)
        elif not isinstance(step, Delay | Gate | Heartbeat | Done):
            return tuple(contents), False
    return tuple(contents), True


@functools.lru_cache(_REMEMBERED)
def _changes_head(fault: Fault) -> bool:
    """Whether only the head is wrong, so that a client may overlook the fault and take the chunks for all."""
    return any(isinstance(step, Head) for step in scenario_of(fault, CHUNKS, oversize=0).steps)


def _finite(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """End a silence in which a client without limits would wait for ever."""
    if steps and isinstance(steps[-1], Ending) and steps[-1].kind in ("stall", "silent"):
        return (*steps[:-1], replace(steps[-1], kind="stall-reset", seconds=_LONGEST_SILENCE))
    return steps
