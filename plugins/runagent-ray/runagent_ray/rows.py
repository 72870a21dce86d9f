"""Reads batches: columns of plain values, and the idempotency key of a row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from runagent import ConfigurationError

__all__ = ["column_names", "derive_key", "read_column"]

_KEY_LENGTH = 32  # hexadecimal digits, as many as in the id of a run


def column_names(batch: Any) -> list[str]:
    """Return the names of the columns of a batch.

    Raises:
        TypeError: It is neither a dict of columns nor a ``pyarrow.Table``.
    """
    if isinstance(batch, Mapping):
        return list(batch)
    if hasattr(batch, "column_names"):
        return list(batch.column_names)
    raise TypeError(
        f"a batch of {type(batch).__name__}: map_batches needs batch_format='pyarrow', or 'numpy' for a dict"
    )


def read_column(batch: Any, name: str) -> list[Any]:
    """Return a column as plain Python values.

    Raises:
        ConfigurationError: The batch has no such column.
        TypeError: As for `column_names`.
    """
    names = column_names(batch)
    if name not in names:
        raise ConfigurationError(f"the batch has no column {name!r}, only {', '.join(map(repr, names))}")
    if isinstance(batch, Mapping):
        return [_plain(value) for value in batch[name]]
    values: list[Any] = batch.column(name).to_pylist()
    return values


def derive_key(job: str, agent_id: str, row_id: Any, given: Any) -> str:
    """Return the ``Idempotency-Key`` of a row: the same whenever and wherever the row is asked.

    The input is part of it, because services refuse a key that comes back with another request.
    """
    whole = json.dumps([job, agent_id, row_id, given], default=str, skipkeys=True)
    return hashlib.sha256(whole.encode("ascii")).hexdigest()[:_KEY_LENGTH]


def _plain(value: Any) -> Any:
    """Replace scalars and arrays of numpy, which JSON cannot carry, also within objects."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value
