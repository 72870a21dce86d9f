"""Runs a script on a separate Ray, on this machine and four logical processors.

Four, because a job that goes on from a checkpoint has actors that filter rows. With two it waits for ever.
"""

import os
import sys
from pathlib import Path

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}

import ray

ray.init(
    address="local",
    num_cpus=4,
    include_dashboard=False,
    log_to_driver=False,
    object_store_memory=100 * 2**20,
    _node_ip_address="127.0.0.1",
)
script = Path(sys.argv[1])
exec(compile(script.read_text(encoding="utf-8"), script.name, "exec"))
ray.shutdown()
