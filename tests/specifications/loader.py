"""The conformance cases: bytes in, result out, read from ``cases/*.json``.

Large inputs are written there as formulas, connections as scripts of steps. docs/conformance.md
explains what the classes *must*, *should* and *choice* mean, and what was decided for the last.
"""

from __future__ import annotations

import base64
import itertools
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Case",
    "Step",
    "cuts",
    "expand",
    "frame",
    "http_cases",
    "ndjson_cases",
    "random_cut",
    "sse_cases",
    "websocket_cases",
]

Case = dict[str, Any]
Step = tuple[str, Any]

FOLDER = Path(__file__).parent / "cases"
CUT_EVERYWHERE_BYTES = 4096  # larger inputs are read in fixed sizes, smaller ones also cut at every byte
READ_SIZES = (1460, 16 * 1024, 64 * 1024)


def expand(formula: Any) -> str:
    """Return the text that a formula describes: a text, a sum, a repetition or a count."""
    match formula:
        case str():
            return formula
        case {"concat": parts}:
            return "".join(map(expand, parts))
        case {"repeat": text, "times": times}:
            return str(text) * int(times)
        case {"seq": text, "count": count}:
            return str(formula.get("join", "")).join(text.replace("{i}", str(i)) for i in range(count))
    raise ValueError(f"unknown formula: {formula!r}")


def _load(name: str) -> list[Case]:
    cases: list[Case] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return cases


# Decoders of streams: one input, one list of results


def _input(case: Case) -> bytes:
    if "input_base64" in case:
        return base64.b64decode(case["input_base64"])
    return expand(case["generate"]).encode()


def _numbered(template: Any, count: int) -> list[Any]:
    """Write a template ``count`` times, each with its number."""
    text = json.dumps(template)
    return [json.loads(text.replace("{i}", str(number))) for number in range(count)]


def sse_cases() -> list[Case]:
    """Return the event stream cases with ``input`` and the list of events in ``expect``."""
    cases = _load("sse")
    for case in cases:
        expect = case["expect"]
        events = _numbered(expect["seq"], expect["count"]) if isinstance(expect, dict) else expect
        case["expect"] = [{**event, "data": expand(event["data"])} for event in events]
        case["input"] = _input(case)
    return cases


def _ndjson_record(record: dict[str, Any]) -> dict[str, Any]:
    match record:
        case {"value_generate": formula}:
            return {"value": json.loads(expand(formula))}
        case {"text": formula}:
            return {"text": expand(formula)}
    return record


def _ndjson_records(expect: Any) -> list[dict[str, Any]]:
    if isinstance(expect, dict):
        template = expect["value_seq"]
        values = (template.replace("{i}", str(number)) for number in range(expect["count"]))
        return [{"value": json.loads(value)} for value in values]
    return [_ndjson_record(record) for record in expect]


def ndjson_cases() -> list[Case]:
    """Return the NDJSON and text cases; ``expect`` is a list of ``value``, ``error`` or ``text`` records."""
    cases = _load("ndjson")
    for case in cases:
        case["expect"] = _ndjson_records(case["expect"])
        case["input"] = _input(case)
    return cases


def _at(data: bytes, offsets: list[int]) -> list[bytes]:
    """Cut at the offsets; two equal ones give an empty piece."""
    bounds = [0, *offsets, len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


def _every(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def cuts(case: Case) -> Iterator[tuple[str, list[bytes]]]:
    """Give every way to cut a case's input, each with its name: the result must be the same for all."""
    data = case["input"]
    yield "whole", [data]
    if "splits" in case:
        yield "as declared", _at(data, case["splits"])
    if "split_every" in case:
        yield "as declared", _every(data, case["split_every"])
    if len(data) > CUT_EVERYWHERE_BYTES:
        for size in READ_SIZES:
            yield f"every {size} bytes", _every(data, size)
        return
    yield "byte by byte", _every(data, 1)
    for at in range(1, len(data)):
        yield f"cut at {at}", [data[:at], data[at:]]


def random_cut(data: bytes, seed: int) -> list[bytes]:
    """Cut at a handful of random places; the same seed gives the same places."""
    rng = random.Random(seed)
    return _at(data, sorted(rng.randrange(len(data) + 1) for _ in range(min(8, len(data)))))


# Connections: scripts of steps


def frame(
    opcode: int, payload: Any = "", fin: int = 1, rsv: int = 0, mask: str = "", length: int | None = None
) -> bytes:
    """Write one WebSocket frame (RFC 6455 §5.2), also one that lies about its length."""
    is_hex = isinstance(payload, str) and payload.startswith("hex:")
    data = bytes.fromhex(payload[4:]) if is_hex else expand(payload).encode()
    size = len(data) if length is None else length
    key = bytes.fromhex(mask)
    masked = 0x80 if key else 0
    if size <= 125:
        announced = bytes([masked | size])
    else:
        short = size < 1 << 16
        announced = bytes([masked | (126 if short else 127)]) + size.to_bytes(2 if short else 8)
    if key:
        data = bytes(byte ^ key[at % 4] for at, byte in enumerate(data))
    return bytes([fin << 7 | rsv << 4 | opcode]) + announced + key + data


def _step(raw: dict[str, Any]) -> list[Step]:
    match raw:
        case {"latin1": formula}:
            return [("send", expand(formula).encode("latin-1"))]
        case {"hex": formula}:
            return [("send", bytes.fromhex(expand(formula)))]
        case {"base64": text}:
            return [("send", base64.b64decode(text))]
        case {"frame": fields}:
            return [("send", frame(**fields))]
        case {"send_each": inner}:
            ((_, data),) = _step(inner)
            return [("send", piece) for piece in _every(data, raw.get("n", 1))]
    return list(raw.items())


def _steps(script: list[dict[str, Any]]) -> list[Step]:
    return [step for raw in script for step in _step(raw)]


def http_cases() -> list[Case]:
    """Return the HTTP cases: ``connections`` is a list of scripts, one for each TCP connection."""
    cases = _load("http")
    for case in cases:
        case["connections"] = [_steps(script) for script in case["connections"]]
        if "body" in case["expect"]:
            case["expect"]["body"] = expand(case["expect"]["body"]).encode("latin-1")
    return cases


def _message(record: dict[str, Any]) -> str | bytes:
    return expand(record["text"]) if "text" in record else bytes.fromhex(expand(record["hex"]))


def websocket_cases() -> list[Case]:
    """Return the WebSocket cases: one connection each, that begins with the answer to the handshake.

    The answer holds ``{accept}``, ``{accept_swapcase}`` and ``{key}`` where the request's key goes in.
    """
    cases = _load("ws")
    for case in cases:
        answer = expand(case["handshake"]).encode("latin-1")
        case["connections"] = [[("send", answer), *_steps(case["script"])]]
        case["expect"]["messages"] = [_message(m) for m in case["expect"].get("messages", [])]
    return cases
