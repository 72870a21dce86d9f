"""Fuzzes one target under coverage: ``python -m tests.fuzz.run sse --seconds 60``.

Inputs that reach something new stay in the environment's folder, where the next run goes on. One
that breaks an invariant is written to ``corpus/``, where the test suite finds it from then on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]  # has a separate environment

with atheris.instrument_imports(include=["runagent", "websockets"]):
    from tests.fuzz.invariants import TARGETS

from tests.fuzz.corpus import FOLDER, seeds
from tests.specifications.loader import http_cases, ndjson_cases, sse_cases, websocket_cases

MAX_BYTES = 1024
SECONDS_PER_INPUT = 20


def case_inputs(target: str) -> list[bytes]:
    """Return what the peers of the small conformance cases send."""
    if target in ("sse", "ndjson"):
        cases = sse_cases() if target == "sse" else ndjson_cases()
        inputs = [case["input"] for case in cases]
    else:
        handshake = target == "websocket"
        cases = websocket_cases() if handshake else http_cases()
        scripts = [case["connections"][0][handshake:] for case in cases]
        inputs = [b"".join(data for step, data in script if step == "send") for script in scripts]
    return [data for data in inputs if len(data) <= MAX_BYTES]


def main() -> None:
    """Fuzz until the time is over or an invariant breaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    target: str = arguments.target
    reached, found = Path(sys.prefix) / "corpus" / target, FOLDER / target
    for folder in (reached, found):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate([*case_inputs(target), *seeds(target)]):
        (reached / f"seed-{number}").write_bytes(data)
    options = {
        "artifact_prefix": f"{found}/",
        "dict": FOLDER / "words.dict",
        "max_len": MAX_BYTES,
        "max_total_time": arguments.seconds,
        "print_final_stats": 1,
        "timeout": SECONDS_PER_INPUT,
        "verbosity": 0,
    }
    flags = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], *flags, str(reached), str(found)], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
