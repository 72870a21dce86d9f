"""Limits of the phases of a run."""

from typing import TYPE_CHECKING, Any, Self

import msgspec

from runagent._config.parsers import parse_positive_seconds
from runagent._internal.suggestions import nearest
from runagent._public import publish

__all__ = ["Timeouts", "parse_timeout"]


class _NamesLimits(msgspec.StructMeta):
    """Has a wrong argument name the class and its limits; msgspec's error names neither."""

    if not TYPE_CHECKING:  # to a checker it would take the place of the fields

        def __call__(cls, *args: Any, **limits: Any) -> Any:
            known = {name: f"{name}=" for name in cls.__struct_fields__}
            if args:
                raise TypeError(f"{cls.__name__}() takes limits by their names: {', '.join(known.values())}")
            for name in limits.keys() - known.keys():
                raise TypeError(f"{cls.__name__}() has no limit {name!r}{nearest(name, known)}")
            return super().__call__(**limits)


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, gc=False, metaclass=_NamesLimits):
    """Limits of the phases of a run: finite seconds above 0, or None for no limit.

    Attributes:
        connect: Until the connection is established: name look-up, all addresses, proxy and TLS together.
        first_event: From then until the agent's first event.
        idle: Between two reads of any bytes, heartbeats included.
        progress: Between two events.
        total: The whole run, by wall clock.
    """

    connect: float | None = 30.0
    first_event: float | None = 60.0
    idle: float | None = 60.0
    progress: float | None = None
    total: float | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if (value := getattr(self, name)) is not None:
                seconds = parse_positive_seconds(value, f"Timeouts.{name}")
                msgspec.structs.force_setattr(self, name, seconds)

    @classmethod
    def from_seconds(cls, seconds: float | None) -> Self:
        """Allow ``seconds`` for each of connect, first_event and idle, and leave the others without limit."""
        return cls(connect=seconds, first_event=seconds, idle=seconds)


def parse_timeout(value: Any, source: str) -> float | Timeouts:
    """Check a ``timeout``: seconds above 0, or `Timeouts`.

    Raises:
        ConfigurationError: It is neither.
    """
    return value if isinstance(value, Timeouts) else parse_positive_seconds(value, source)


publish(Timeouts)
