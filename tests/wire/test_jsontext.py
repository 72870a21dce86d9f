"""JSON texts, read and written as the grammar has them."""

from __future__ import annotations

import enum
import json
from typing import Any

import pytest

from runagent._wire.jsontext import encode_json


class Word(str):
    """A text of the caller's own kind."""

    __slots__ = ()


class Level(enum.IntEnum):
    """Numbers with names."""

    HIGH = 3


@pytest.mark.parametrize(
    "value",
    [
        {"query": 'wörd \u2028 \x7f \x00 " \\ /', "none": None, "yes": True},
        [0, -1, 2**63, 2**64, -(2**200), 0.1, -0.0, 1e16, 5e-324, 1.7976931348623157e308],
        ["", [], {}, [[{"": [""]}]]],
        {"of the caller's own kind": Word("text"), "level": Level.HIGH, Word("key"): (1, 2)},
    ],
)
def test_a_value_is_encoded_so_that_it_reads_back(value: Any) -> None:
    text = encode_json(value)
    assert json.loads(json.dumps(value)) == json.loads(text)
    assert b" :" not in text
    assert b": " not in text
