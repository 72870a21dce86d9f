"""An agent over the rows of a Ray dataset: `RunAgentBatch` is the class for ``Dataset.map_batches``."""

from __future__ import annotations

from runagent_ray.batch import STOP_ON, RunAgentBatch

__all__ = ["STOP_ON", "RunAgentBatch"]
