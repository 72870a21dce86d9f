"""Asks an agent for batches of Arrow and of numpy, without a Ray, and prints what comes back as JSON.

The agent answers "good" with its usage and "plain" without, and refuses "bad".
"""

import asyncio
import json
import sys

import numpy as np
import pyarrow as pa
from runagent_ray import RunAgentBatch


async def ask(given):
    batch = RunAgentBatch("writer", "question", "answer", base_url=sys.argv[1], api_key="right")
    (answered,) = [part async for part in batch(given)]
    await batch.aclose()
    return answered


def arrow(*questions):
    ids = pa.array([7, None][: len(questions)], pa.int32())
    inputs = pa.array([{"query": question} for question in questions], pa.struct([("query", pa.string())]))
    return asyncio.run(ask(pa.table({"id": ids, "question": inputs})))


def numpy(*questions):
    rows = len(questions)
    given = {"id": np.arange(rows), "question": np.array(questions), "vector": np.zeros((rows, 3))}
    answered = asyncio.run(ask(given))
    return {name: [str(value) for value in column] for name, column in answered.items()}


good, plain, bad = arrow("good", "bad"), arrow("plain"), arrow("bad")
seen = {
    "arrow": good.to_pylist(),
    "types": {field.name: str(field.type) for field in good.schema},
    "same types": good.schema == plain.schema == bad.schema,
    "numpy": numpy("good", "bad"),
}
sys.stdout.write(json.dumps(seen))
