"""The columns that a batch gets: answers, errors, token counts and attempts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from runagent import ConfigurationError
from runagent_ray.rows import column_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runagent import RunAgentError, RunReport

__all__ = ["Answer", "Columns", "write_text"]

_COUNTS = ("input", "output", "total", "cached", "reasoning")
_TOO_MANY = 2**63  # for a column of Arrow, which would fail the job; a service may send anything
_TEXTS_OF_ERROR = ("type", "code", "message", "run_id", "request_id")


def write_text(result: Any) -> str:
    """Return a result as text that Arrow can hold, any other JSON value as JSON.

    JSON can carry half a surrogate pair, UTF-8 cannot: it becomes U+FFFD.
    """
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


@dataclass(frozen=True)
class Answer:
    """The outcome of one row.

    Attributes:
        text: The answer; None if the run failed.
        error: Why it failed; None if it did not.
        report: The report of the run; None if there was none yet.
    """

    text: str | None
    error: RunAgentError | None
    report: RunReport | None


@dataclass(frozen=True)
class Columns:
    """The names of the columns, in their order.

    Raises:
        ConfigurationError: Two of them are the same.
    """

    answer: str
    error: str
    usage: str
    attempts: str

    def __post_init__(self) -> None:
        names = self._names()
        if len(set(names)) < len(names):
            raise ConfigurationError(f"two of the columns have the same name: {', '.join(names)}")

    def check_free(self, batch: Any) -> None:
        """Refuse a batch that has a column of one of the names: its values would be lost.

        Raises:
            ConfigurationError: It has.
            TypeError: As for `column_names`.
        """
        taken = [name for name in column_names(batch) if name in self._names()]
        if taken:
            raise ConfigurationError(f"the batch has a column {taken[0]!r} already; give another name")

    def add_to(self, batch: Any, answers: Sequence[Answer]) -> Any:
        """Return the batch with the columns, as a dict or a table, whichever it was."""
        columns = dict(zip(self._names(), _values(answers), strict=True))
        if isinstance(batch, Mapping):
            return {**batch, **columns}
        for name, column in zip(self._names(), _arrow_columns(columns.values()), strict=True):
            batch = batch.append_column(name, column)
        return batch

    def _names(self) -> list[str]:
        return [getattr(self, field.name) for field in fields(self)]


def _values(answers: Sequence[Answer]) -> list[list[Any]]:
    """Return the four columns as plain values."""
    return [
        [answer.text for answer in answers],
        [_describe(answer.error) for answer in answers],
        [_count_tokens(answer.report) for answer in answers],
        [0 if answer.report is None else len(answer.report.attempts) for answer in answers],
    ]


def _describe(error: RunAgentError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "type": type(error).__name__,
        "code": None if error.code is None else str(error.code),
        "status": getattr(error, "status", None),
        "message": error.message,
        "retryable": error.retryable,
        "run_id": error.run_id,
        "request_id": None if error.request_id is None else str(error.request_id),
    }


def _count_tokens(report: RunReport | None) -> dict[str, int | None] | None:
    if report is None or report.tokens is None:
        return None
    counts = {name: getattr(report.tokens, name) for name in _COUNTS}
    return {
        name: count if count is None or abs(count) < _TOO_MANY else None for name, count in counts.items()
    }


def _arrow_columns(columns: Iterable[list[Any]]) -> list[Any]:
    """Return the columns as arrays of Arrow.

    Their types do not depend on the values: readers of many files take a column that is null in the first
    file for one of the type null.
    """
    import pyarrow as pa  # comes with Ray Data

    text, number = pa.string(), pa.int64()
    error = pa.struct(
        [*((name, text) for name in _TEXTS_OF_ERROR), ("status", number), ("retryable", pa.bool_())]
    )
    types = (text, error, pa.struct([(name, number) for name in _COUNTS]), number)
    return [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)]
