"""The user of a load test that streams answers of an agent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

import locust  # first: it patches the modules of sockets and threads that the client uses
from locust import User
from locust.exception import (
    InterruptTaskSet,
    RescheduleTask,
    RescheduleTaskImmediately,
    StopTest,
    StopUser,
)

from runagent import RunAgentClient
from runagent_locust.measurements import measure
from runagent_locust.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from locust.env import Environment

    from runagent_locust.reading import Check, StreamedRun, StreamFailure

__all__ = ["AgentUser"]

_CONTROL = (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser)
_runs = logging.getLogger("runagent.run")


class AgentUser(User):
    """A user of a load test that runs an agent.

        from locust import between, task
        from runagent_locust import AgentUser

        class Asker(AgentUser):
            agent_id = "your-agent-id"
            wait_time = between(1, 3)

            @task
            def story(self):
                self.stream("story", {"query": "Tell me a story"})

    Each user has a client with separate connections, as each browser has. The address of the service is
    Locust's ``host`` (``--host``), else the configured one; the key is ``RUNAGENT_API_KEY``, or ``api_key``
    of ``client_options``.

    Attributes:
        agent_id: The agent.
        transport: The name of a transport, or an ordered choice of names; None for the configured one.
        client_options: Other arguments of `RunAgentClient`, such as ``timeout`` or ``max_retries``.
        client: The client, for runs that are not to be measured.
    """

    abstract = True
    agent_id: ClassVar[str]
    transport: ClassVar[str | Sequence[str] | None] = None
    client_options: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.client = self.make_client()
        measurements = measure(environment)
        self._reader = Reader(lambda: measurements.new, self._fire, passing=_CONTROL)

    def make_client(self) -> RunAgentClient:
        """Return the client of this user; a subclass may make another one."""
        options: dict[str, Any] = {"base_url": self.host, "transport": self.transport, **self.client_options}
        return RunAgentClient(self.agent_id, **options)

    def stream(
        self, name: str, input_data: Any, *, check: Check | None = None, **options: Any
    ) -> StreamedRun:
        """Run the agent, read the stream to its end, and count it.

        Locust counts two requests: ``FIRST``, the time to the first chunk, and ``STREAM``, the whole, which
        is a failure if the run failed. An error of the run is not raised: a user goes on with its next task.

        Args:
            name: The name of this kind of stream in all reports.
            input_data: The input, as `RunAgentClient.run_generic_stream` takes it.
            check: Gets a good run, and raises, for instance by ``assert``, if its text is not good: the
                stream then counts as failed, with the class of that exception.
            **options: Of the call, such as ``session_id`` or ``timeout``.

        Returns:
            The text, the stream with its report, and the error if it failed.

        Raises:
            ConfigurationError: A setting is not usable; nothing was counted.
            ValidationError: JSON cannot carry the input; nothing was counted.
        """
        return self._reader.read(self.client.run_generic_stream(input_data, **options), name, check)

    def on_stop(self) -> None:
        """Close the client; a subclass that has this method calls it, too."""
        self.client.close()

    def _fire(
        self, kind: str, name: str, seconds: float, size: int = 0, failure: StreamFailure | None = None
    ) -> None:
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=seconds * 1e3,
            response_length=size,
            exception=failure,
            context=self.context(),
        )


def _measure_program(environment: Environment, **_: object) -> None:
    measure(environment)
    if _runs.level == logging.NOTSET:
        _runs.setLevel(logging.WARNING)  # not a line for each run of thousands of users


_events: Any = locust.events
_events.init.add_listener(_measure_program)
