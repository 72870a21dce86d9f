"""Checks of the numbers that scripts are written with."""

from __future__ import annotations

__all__ = ["check_count", "check_seconds", "check_texts", "is_number", "is_whole"]

_MAX_COUNT = 1_000_000


def is_number(value: object) -> bool:
    """Whether it can be compared with numbers."""
    return isinstance(value, int | float)


def is_whole(value: object, least: int = 0) -> bool:
    """Whether it is a whole number, and not too small a one."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_seconds(seconds: float, what: str) -> None:
    """Refuse what is no length of time that can be waited for; ``what`` begins the complaint.

    Raises:
        TypeError: It is no number.
        ValueError: It is below 0, or infinite.
    """
    if not is_number(seconds):
        raise TypeError(f"{what} is a number of seconds, not {seconds!r}")
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{what} is a number of seconds, 0 or more, not {seconds!r}")


def check_texts(values: tuple[object, ...], what: str) -> None:
    """Refuse names that are no text, or empty; ``what`` begins the complaint.

    Raises:
        TypeError: One is none.
    """
    for value in values:
        if not isinstance(value, str) or not value:
            raise TypeError(f"{what} is text, not {value!r}")


def check_count(times: object, method: str) -> None:
    """Refuse what does not say how many times.

    Raises:
        ValueError: It is no whole number, below 0, or more than can be kept.
    """
    if not isinstance(times, int) or times < 0:
        raise ValueError(f"{method} takes how many times, a whole number, not {times!r}")
    if times > _MAX_COUNT:
        raise ValueError(f"{method} takes how many times, at most {_MAX_COUNT}")
