"""Load tests of agents with Locust: the first chunk, the gaps between chunks, whole streams, errors by class.

    from locust import between, task
    from runagent_locust import AgentUser

    class Asker(AgentUser):
        agent_id = "your-agent-id"
        wait_time = between(1, 3)

        @task
        def story(self):
            self.stream("story", {"query": "Tell me a story"})

Names are imported when they are first used: all but `AgentUser` need no Locust.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runagent_locust.histogram import Histogram
    from runagent_locust.measurements import Measurements, measure
    from runagent_locust.measures import Measures
    from runagent_locust.reading import StreamedRun, StreamFailure
    from runagent_locust.user import AgentUser

__all__ = [
    "AgentUser",
    "Histogram",
    "Measurements",
    "Measures",
    "StreamFailure",
    "StreamedRun",
    "measure",
]

_MODULES = {
    "AgentUser": "user",
    "Histogram": "histogram",
    "Measurements": "measurements",
    "Measures": "measures",
    "StreamFailure": "reading",
    "StreamedRun": "reading",
    "measure": "measurements",
}


if not TYPE_CHECKING:  # else type checkers would take every name for one of the package

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
