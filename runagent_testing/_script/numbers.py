"""Checks of the numbers and names in scripts."""

from __future__ import annotations

from runagent_testing._internal.tracebacks import is_ours

__all__ = ["check_count", "check_seconds", "check_texts", "is_number", "is_whole"]

__tracebackhide__ = is_ours

_MAX_COUNT = 1_000_000


def is_number(value: object) -> bool:
    """Whether a value can be compared with numbers."""
    return isinstance(value, int | float)


def is_whole(value: object, least: int = 0) -> bool:
    """Whether a value is a whole number of at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_seconds(seconds: float, what: str) -> None:
    """Reject an invalid length of time; ``what`` begins the message.

    Raises:
        TypeError: It is not a number.
        ValueError: It is negative or infinite.
    """
    if not is_number(seconds):
        raise TypeError(f"{what} is a number of seconds, not {seconds!r}")
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{what} is a number of seconds, 0 or more, not {seconds!r}")


def check_texts(values: tuple[object, ...], what: str) -> None:
    """Reject names that are empty or not text; ``what`` begins the message.

    Raises:
        TypeError: A name is empty or not text.
    """
    for value in values:
        if not isinstance(value, str) or not value:
            raise TypeError(f"{what} is text, not {value!r}")


def check_count(times: object, method: str) -> None:
    """Reject an invalid count.

    Raises:
        ValueError: The count is not a whole number, is negative, or is larger than can be kept.
    """
    if not isinstance(times, int) or times < 0:
        raise ValueError(f"{method} takes a count, a whole number of 0 or more, not {times!r}")
    if times > _MAX_COUNT:
        raise ValueError(f"{method} takes a count of at most {_MAX_COUNT}")
