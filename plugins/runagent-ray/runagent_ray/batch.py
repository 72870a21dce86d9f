"""The callable class: a batch of rows in, the same rows with answers out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from runagent import (
    AgentNotFoundError,
    AsyncRunAgentClient,
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
    PluginError,
    RunAgentError,
)
from runagent_ray.columns import Answer, Columns, write_text
from runagent_ray.rows import derive_key, read_column

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

__all__ = ["STOP_ON", "RunAgentBatch"]

# Every row would meet these; a checkpoint would count the rows as done, and no restart would ask them again.
STOP_ON: tuple[type[RunAgentError], ...] = (
    AgentNotFoundError,
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
    PluginError,
)


class RunAgentBatch:
    """Runs an agent for each row of a batch; for ``map_batches`` of Ray Data, in a pool of actors.

    Each actor has one client, and so one pool of connections. Rows of all batches that an actor works on run
    at the same time, up to `concurrency` of them. The rows keep their order.

    A batch is a ``pyarrow.Table`` (``batch_format="pyarrow"``) or a dict of columns (``"numpy"``), and what
    comes back is of the same kind: the columns that came and four more.

    ==================  ==================================================================================
    `output_column`     the answer as text, structured parts as JSON; null if the run failed
    `error_column`      null, or ``type`` (the class of the error), ``code``, ``status``, ``message``,
                        ``retryable``, ``run_id`` and ``request_id``
    `usage_column`      token counts: ``input``, ``output``, ``total``, ``cached``, ``reasoning``; null if the
                        agent sends none
    `attempts_column`   how many requests the row took, resumptions included; 0 if none was sent
    ==================  ==================================================================================

    Args:
        agent_id: The agent.
        input_column: The column of inputs: a text, or an object (a struct of Arrow).
        output_column: The name of the column for answers.
        id_column: The column of ids, unique in the dataset. Job, agent, id and input of a row make its
            ``Idempotency-Key``, so a service that knows the header recognises a row that it is asked again
            after a crash.
        job: The name of the job, a part of the keys. With another name the service answers again.
        mode: ``stream``, which finds out early that an agent is silent and goes on after a cut if the
            transport can; ``invoke`` for a plain run with one answer.
        concurrency: Rows that run at the same time in one actor, at least 1.
        stop_on: The errors that fail the whole job instead of a row.
        error_column: The name of the column for errors.
        usage_column: The name of the column for token counts.
        attempts_column: The name of the column for attempts.
        client_options: Keywords of `AsyncRunAgentClient`, such as ``timeout`` and ``max_retries``. Ray
            stores them with the job, so a key is better left to the environment (``RUNAGENT_API_KEY``).

    Raises:
        ConfigurationError: An argument or a setting is not usable.

    Example:
        ::

            rows.map_batches(
                RunAgentBatch,
                fn_constructor_args=("writer", "question", "answer"),
                batch_format="pyarrow",
                batch_size=100,
                compute=ray.data.ActorPoolStrategy(size=2),
            )
    """

    def __init__(
        self,
        agent_id: str,
        input_column: str,
        output_column: str,
        *,
        id_column: str = "id",
        job: str = "",
        mode: Literal["stream", "invoke"] = "stream",
        concurrency: int = 64,
        stop_on: Iterable[type[RunAgentError]] = STOP_ON,
        error_column: str = "error",
        usage_column: str = "usage",
        attempts_column: str = "attempts",
        **client_options: Any,
    ) -> None:
        self._concurrency = _check_concurrency(concurrency)
        if mode not in ("stream", "invoke"):
            raise ConfigurationError(f"mode: expected 'stream' or 'invoke', found {mode!r}")
        self._columns = Columns(output_column, error_column, usage_column, attempts_column)
        self._input_column, self._id_column = input_column, id_column
        self._job, self._mode = job, mode
        self._stop_on = tuple(stop_on)
        self._client = AsyncRunAgentClient(agent_id, **client_options)
        _ = self._client.settings  # a setting that is not usable fails the actor, and not each of its rows
        self._slots = asyncio.Semaphore(concurrency)

    async def __call__(self, batch: Any) -> AsyncIterator[Any]:
        """Run the agent for each row, and yield the batch with the four columns.

        Cancelling it closes all runs. So does an error that fails the job, before it is raised.

        Raises:
            ConfigurationError: A column is missing, or there already.
            RunAgentError: One of ``stop_on``.
            TypeError: The batch is neither a table nor a dict.
        """
        self._columns.check_free(batch)
        inputs = read_column(batch, self._input_column)
        ids = read_column(batch, self._id_column)
        yield self._columns.add_to(batch, await self._ask_all(ids, inputs))

    async def aclose(self) -> None:
        """Close the client. An actor need not: its connections end with its process."""
        await self._client.aclose()

    async def _ask_all(self, ids: list[Any], inputs: list[Any]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        waiting = enumerate(zip(ids, inputs, strict=True))

        async def work() -> None:
            for place, (row_id, given) in waiting:  # shared: each row goes to one of the workers
                async with self._slots:
                    answers[place] = await self._ask(row_id, given)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._concurrency, len(inputs))):
                    group.create_task(work())
        except ExceptionGroup as failed:
            first = failed.exceptions[0]
        else:
            return [answers[place] for place in range(len(inputs))]
        raise first  # Ray shows one error of a job

    async def _ask(self, row_id: Any, given: Any) -> Answer:
        key = derive_key(self._job, self._client.agent_id, row_id, given)
        headers = {"Idempotency-Key": key}
        try:
            if self._mode == "stream":
                stream = self._client.run_generic_stream(given, headers=headers)
                return Answer(write_text(await stream.text()), None, stream.report)
            made = await self._client.run_generic_with_metadata(given, headers=headers)
            return Answer(write_text(made.result), None, made.report)
        except self._stop_on:
            raise
        except RunAgentError as error:
            return Answer(None, error, error.report)


def _check_concurrency(value: object) -> int:
    if not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"concurrency: expected a whole number from 1, found {value!r}")
    return value
