"""Scripts: a fake agent's answers, as data, checked when they are written.

A script does not depend on a transport; `render` makes a plan of it for one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, get_args

from runagent_testing._internal.public import publish
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.describe import described
from runagent_testing._script.gates import Gate
from runagent_testing._script.repetition import Repeat
from runagent_testing._script.steps import (
    Chunk,
    Delay,
    Ending,
    EndingKind,
    Error,
    Head,
    Pause,
    Raw,
    RawResponse,
    Status,
    Step,
)
from runagent_testing._script.unrolling import check_repetition, written_out
from runagent_testing._script.validation import (
    StepError,
    check_properties,
    check_word,
    checked_steps,
)
from runagent_testing._script.values import check_usage
from runagent_testing._script.writes import MERGED, Writes, named_writes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing._script.pacing import Pace

__all__ = ["Framing", "Options", "Result", "Resume", "Script"]

__tracebackhide__ = is_ours

Resume = Literal["honour", "refuse", "fake"]
Framing = Literal["chunked", "extensions", "length", "close"]

_PLAIN_PROPERTIES = ("usage", "execution_time", "agent_version", "writes", "write_gap")
_PLAIN_STEPS = (Delay, Gate, Chunk, Error, Status, RawResponse, Ending)
_PLAIN_ENDINGS: tuple[EndingKind, ...] = (
    "clean",
    "cut",
    "fin",
    "reset",
    "half-close",
    "stall",
    "stall-reset",
)


class Options(TypedDict, total=False):
    """The properties of a script, as `Agent.always` and its like take them.

    Attributes:
        indexed: Whether SSE and NDJSON chunks carry their place as ``index``, counted from 0; default True.
        ids: Whether SSE chunks carry their place as ``id:``; default False.
        resume: How the agent reacts to ``parameters.resume_from_index`` and, with ``ids``, to
            ``Last-Event-ID``. "honour" (default, also True) continues after the client's last chunk.
            "refuse" (also False) starts again with the first chunk and its own index. "fake" starts again
            with the first chunk, too, but numbers the chunks from the requested index, so that the
            numbers wrongly prove a resumption.
        pace: Waits between the chunks; see `runagent_testing._script.pacing`.
        writes: "merged" (default: one write for everything between two pauses), "per-step" (one write
            for each event), or a policy of `runagent_testing._script.writes`.
        write_gap: Seconds between two writes that no pause separates; default 0.
        framing: The framing of an HTTP body: "chunked" (default), "extensions" (chunked, with an
            extension on every chunk), "length" (Content-Length), "close" (neither: the body ends with the
            connection).
        session_id: The conversation that the first message of SSE, NDJSON and a WebSocket names. By default
            it is the one that the request names, and over a WebSocket none, as the published server names
            none. The plugins' protocols have ids of conversations that their dialects make.
    """

    indexed: bool
    ids: bool
    resume: Resume | bool
    pace: Pace | None
    writes: Writes | str
    write_gap: float
    framing: Framing
    session_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Script:
    """A stream, for any transport; `Options` describes the other attributes.

    Attributes:
        steps: The steps, in order.
        kinds: Their classes; each request asks for some, and there may be many steps.
    """

    steps: tuple[Step, ...]
    indexed: bool = True
    ids: bool = False
    resume: Resume = "honour"
    pace: Pace | None = None
    writes: Writes = MERGED
    write_gap: float = 0.0
    framing: Framing = "chunked"
    session_id: str | None = None
    kinds: frozenset[type[Step]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", frozenset(map(type, self.steps)))

    @classmethod
    def of(
        cls,
        steps: tuple[Any, ...],
        *,
        resume: Resume | bool = "honour",
        writes: Writes | str = MERGED,
        framing: Framing = "chunked",
        **options: Any,
    ) -> Self:
        """Check the steps and options; text and JSON values become chunks.

        Raises:
            TypeError: A step is invalid or misplaced; the message names it. Or an option is unknown, or its
                value has the wrong type.
            ValueError: An option's value is invalid.
        """
        checked = written_out(checked_steps(steps))
        mode: Resume = ("honour" if resume else "refuse") if isinstance(resume, bool) else resume
        check_word("resume", mode, get_args(Resume))
        check_word("framing", framing, get_args(Framing))
        check_properties(options, tuple(Options.__annotations__))
        if any(isinstance(step, Repeat) for step in checked):
            check_repetition(checked, framing)
        return cls(steps=checked, resume=mode, writes=named_writes(writes), framing=framing, **options)

    @property
    def is_long(self) -> bool:
        """Whether a repetition is too long to be written out, so that the steps come one by one."""
        return self.has(Repeat)

    @property
    def is_known(self) -> bool:
        """Whether it is a stream all of whose steps are known, so that later requests can read its run."""
        return not (self.is_long or self.refuses)

    @property
    def refuses(self) -> bool:
        """Whether the answer is not a stream: a status, or raw bytes."""
        return self.has(Status, RawResponse)

    def has(self, *kinds: type[Step]) -> bool:
        """Whether there is a step of one of these classes."""
        return any(issubclass(kind, kinds) for kind in self.kinds)

    @property
    def head(self) -> Head | None:
        """The step that changes the answer's head, if there is one."""
        if not self.has(Head):
            return None
        return next(step for step in self.steps if isinstance(step, Head))

    @property
    def keeps_waiting(self) -> bool:
        """Whether pauses precede the answer's head (on a WebSocket, the handshake's answer)."""
        return self.head is not None and self.steps[0] is not self.head

    @property
    def ending(self) -> EndingKind:
        """The kind of the stream's ending."""
        last = self.steps[-1] if self.steps else None
        return last.kind if isinstance(last, Ending) else "clean"

    @property
    def chunks(self) -> list[Chunk]:
        """The chunks, in order."""
        return [step for step in self.steps if isinstance(step, Chunk)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The answer to a plain run: pauses, then a value, an error, a status or bytes, and perhaps an ending."""

    steps: tuple[Step, ...]
    usage: Mapping[str, Any] | None = None
    execution_time: float | None = None
    agent_version: str | None = None
    writes: Writes = MERGED
    write_gap: float = 0.0

    @classmethod
    def of(cls, steps: tuple[Any, ...], *, writes: Writes | str = MERGED, **options: Any) -> Self:
        """Check the steps; a value becomes the one chunk.

        Raises:
            TypeError: As for `Script.of`.
        """
        checked = written_out(checked_steps(steps))
        check_properties(options, _PLAIN_PROPERTIES)
        check_usage(options)
        manual = any(isinstance(step, RawResponse) for step in checked)
        for number, step in enumerate(checked, 1):
            known = isinstance(step, _PLAIN_STEPS) or (manual and isinstance(step, Raw))
            if not known or (isinstance(step, Ending) and step.kind not in _PLAIN_ENDINGS):
                raise StepError(number, f" is invalid in a plain run: {described(step)}")
        if sum(isinstance(step, Chunk | Error | Status | RawResponse) for step in checked) > 1:
            raise TypeError("a plain run has one answer: a value, an error or a status")
        if not checked or isinstance(checked[-1], Pause):
            raise TypeError("a plain run needs an answer or an ending as its last step")
        return cls(steps=checked, writes=named_writes(writes), **options)


publish(Result, module="runagent_testing.dialects")
