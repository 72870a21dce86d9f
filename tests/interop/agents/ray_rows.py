"""Writes questions as Parquet, or prints rows of Parquet files as JSON.

``write FILE COUNT``; ``read FILE…``, in the order of their ids.
"""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq

command, *arguments = sys.argv[1:]
if command == "write":
    ids = list(range(int(arguments[1])))
    pq.write_table(pa.table({"id": ids, "question": [f"question {i}" for i in ids]}), arguments[0])
else:
    rows = [row for path in arguments for row in pq.read_table(path).to_pylist()]
    sys.stdout.write(json.dumps(sorted(rows, key=lambda row: row["id"])))
