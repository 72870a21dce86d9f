"""JSON nested too deeply for the stack is refused before it is decoded, if Python does not notice."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from runagent._wire import nesting
from runagent._wire.nesting import MOST_LEVELS, GuardedDecoder, check_nesting, json_decoder
from tests.support.small_stack import on_a_small_stack

DEEP = MOST_LEVELS + 1


def nested(levels: int, inside: str = "") -> str:
    return "[" * levels + inside + "]" * levels


@pytest.mark.parametrize("as_sent", [str, str.encode], ids=["text", "bytes"])
@pytest.mark.parametrize(
    "text",
    [
        nested(MOST_LEVELS),
        '{"a":' * MOST_LEVELS + "1" + "}" * MOST_LEVELS,
        json.dumps([[1], {"a": []}] * DEEP),  # many brackets, and few levels
        json.dumps("[" * DEEP),
        json.dumps({"[{" * DEEP: '"\\[[' * DEEP}),
        "\n".join([nested(MOST_LEVELS)] * 3),
        '"' + '\\"' * DEEP + "[" * DEEP,  # a string that does not end
        "",
    ],
    ids=["lists", "objects", "wide", "string", "escapes", "lines", "half a string", "nothing"],
)
def test_what_is_not_too_deep_passes(text: str, as_sent: Any) -> None:
    check_nesting(as_sent(text))


@pytest.mark.parametrize("as_sent", [str, str.encode], ids=["text", "bytes"])
@pytest.mark.parametrize(
    "text",
    [
        nested(DEEP),
        "[" * DEEP,
        '{"a":[' * (DEEP // 2 + 1),
        nested(DEEP, '"]"'),
        f'"\\"",{nested(DEEP)}',
        f"[]\n{nested(DEEP)}",
    ],
    ids=["closed", "open", "mixed", "bracket in a string", "behind a string", "on a later line"],
)
def test_what_is_too_deep_is_refused(text: str, as_sent: Any) -> None:
    with pytest.raises(RecursionError, match="more than 1000 levels"):
        check_nesting(as_sent(text))


@pytest.mark.parametrize(
    "text",
    ['"' + '\\"' * 500_000 + "[" * DEEP, '"' * 1_000_001 + "[" * DEEP, "[]" * 500_000],
    ids=["escapes", "quotes", "brackets"],
)
def test_it_takes_time_in_proportion_to_the_text(text: str) -> None:
    begun = time.process_time()
    check_nesting(text)
    assert time.process_time() - begun < 5


@on_a_small_stack
def test_a_guarded_decoder_decodes_as_the_one_of_msgspec_does_and_refuses_a_flood_of_brackets() -> None:
    decoder = GuardedDecoder(list[int])
    assert [1, 2] == decoder.decode("[1,2]") == decoder.decode(b"[1,2]")
    assert [[1], [2]] == decoder.decode_lines(b"[1]\n[2]\n")
    with pytest.raises(msgspec.ValidationError):
        decoder.decode('["a"]')
    for decode in (decoder.decode, decoder.decode_lines):
        with pytest.raises(RecursionError):
            decode(nested(100_000))


@pytest.mark.parametrize("as_sent", [str, str.encode], ids=["text", "bytes"])
@pytest.mark.parametrize("newline", ["", "\n"], ids=["on one line", "over many lines"])
@on_a_small_stack
def test_lines_are_refused_if_one_of_them_is_too_deep(newline: str, as_sent: Any) -> None:
    decoder = GuardedDecoder(Any)
    deep = f'{{"a":{newline}' * 100_000 + "1" + f"}}{newline}" * 100_000
    for text in (deep, f'{{"a":1}}\n{deep}', f'{deep}\n{{"a":1}}', f'{{"a":1}}\n{deep}\n{{"a":1}}'):
        with pytest.raises(RecursionError):
            decoder.decode_lines(as_sent(text))


def test_a_burst_of_lines_costs_little_more_than_its_decoding() -> None:
    burst = b"\n".join([b'{"type":"chunk","content":"word"}'] * 50_000)
    plain, guarded = msgspec.json.Decoder(), GuardedDecoder(Any)
    times: dict[object, list[float]] = {plain.decode_lines: [], guarded.decode_lines: []}
    for _ in range(5):
        for decode, spent in times.items():
            begun = time.process_time()
            assert 50_000 == len(decode(burst))  # type: ignore[operator]
            spent.append(time.process_time() - begun)
    bare, ours = map(min, times.values())
    assert ours < 3 * bare


@pytest.mark.parametrize(("is_unguarded", "kind"), [(True, GuardedDecoder), (False, msgspec.json.Decoder)])
def test_only_a_python_that_crashes_pays_for_the_look(
    is_unguarded: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nesting, "_IS_UNGUARDED", is_unguarded)
    assert kind is type(json_decoder(int))
    assert 1 == json_decoder(int).decode(b"1")
