"""The client for synchronous code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, overload

import msgspec

from runagent._client.core import ClientCore, Input, no_result
from runagent._client.open_streams import OpenStreams, parse_grace, pauses
from runagent._client.options import check_network
from runagent._events import RunResult
from runagent._internal.styles import SynchronousOnly
from runagent._internal.tracebacks import is_ours
from runagent._net.base import Network
from runagent._net.blocking import BlockingNetwork
from runagent._net.pool import Pool
from runagent._public import publish
from runagent._run.pump import Pump
from runagent._run.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from runagent._client.options import Timeout
    from runagent._config.settings import Resume
    from runagent._net.base import Connection
    from runagent._run.readahead import ReadAhead
    from runagent._run.run import Run

__all__ = ["RunAgentClient"]

__tracebackhide__ = is_ours

T = TypeVar("T")


class RunAgentClient(ClientCore[Network], SynchronousOnly):
    """Runs an agent from synchronous code.

    May be a module global: threads share it, and a fork's child continues with new connections.
    """

    def _prepare(self) -> None:
        check_network(self._given_network, asynchronous=False)
        self._network: Network = self._given_network or BlockingNetwork()
        self._pool: Pool[Connection] = Pool(self._network.now)
        self._streams = OpenStreams[Stream]()

    def run_generic_stream(
        self,
        input_data: Input,
        *,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
        max_retries: int | None = None,
        max_resumes: int | None = None,
        resume: Resume | None = None,
        resume_after: int | None = None,
        transport: str | Sequence[str] | None = None,
        session_id: str | None = None,
    ) -> Stream:
        """Run the agent and stream its answer.

        Args:
            input_data: The input object; a text means ``{"query": text}``.
            timeout: Instead of the client's.
            headers: Sent with the client's; a field of the same name replaces it.
            max_retries: Instead of the client's.
            max_resumes: Instead of the client's.
            resume: Instead of the client's.
            resume_after: The index of the last chunk that an earlier stream of this input gave: the agent is
                asked for what follows, and the first chunk has to be the next one.
            transport: A name, or an ordered choice of names, instead of the client's.
            session_id: The conversation to go on with, ``session_id`` of the input.

        Returns:
            A stream to iterate once; nothing is sent before it is read, entered, or waited for.

        Raises:
            ConfigurationError: A setting is not usable.
            ValidationError: JSON cannot carry the input.
        """
        run = self._new_run(
            "stream",
            input_data,
            timeout=timeout,
            headers=headers,
            max_retries=max_retries,
            max_resumes=max_resumes,
            resume=resume,
            resume_after=resume_after,
            transport=transport,
            session_id=session_id,
        )
        headers = None  # a key may be in them, and a traceback shows the variables of its frames
        return self._stream(run)

    def attach(
        self,
        handle: str,
        *,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
        max_retries: int | None = None,
        max_resumes: int | None = None,
        resume: Resume | None = None,
    ) -> Stream:
        """Read on in a run that was begun before, perhaps by another process; start none.

        Args:
            handle: The text that ``stream.handle`` gave there, of a client like this one.
            timeout: Instead of the client's.
            headers: Sent with the client's; a field of the same name replaces it.
            max_retries: Instead of the client's. Requests that only read are repeated whatever
                ``retry_unsafe`` is.
            max_resumes: Instead of the client's.
            resume: Instead of the client's.

        Returns:
            A stream to iterate once, of what the reader of the other stream was not handed; nothing is sent
            before it is read, entered, or waited for. A run that the service does not know any more is a
            StreamError (code ``GONE``).

        Raises:
            ValidationError: The handle is malformed, or of another agent, service or transport.
            ConfigurationError: The transport cannot attach to a run, or a setting is not usable.
        """
        run = self._attached_run(
            handle,
            timeout=timeout,
            headers=headers,
            max_retries=max_retries,
            max_resumes=max_resumes,
            resume=resume,
        )
        headers = None  # a key may be in them, and a traceback shows the variables of its frames
        return self._stream(run)

    @overload
    def run_generic(
        self,
        input_data: Input,
        *,
        result_type: None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
        max_retries: int | None = None,
        transport: str | Sequence[str] | None = None,
        session_id: str | None = None,
    ) -> Any: ...

    @overload
    def run_generic(
        self,
        input_data: Input,
        *,
        result_type: type[T],
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
        max_retries: int | None = None,
        transport: str | Sequence[str] | None = None,
        session_id: str | None = None,
    ) -> T: ...

    def run_generic(
        self,
        input_data: Input,
        *,
        result_type: type[Any] | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
        max_retries: int | None = None,
        transport: str | Sequence[str] | None = None,
        session_id: str | None = None,
    ) -> Any:
        """Run the agent and return its result.

        Args:
            input_data: The input object; a text means ``{"query": text}``.
            result_type: Return the result as this type: a dataclass, a msgspec struct, a pydantic model, or
                what is made of them, such as ``list[Answer]``. None: as JSON has it.
            timeout: As for `run_generic_with_metadata`, as are all others.
            headers: Sent with the client's.
            max_retries: Instead of the client's.
            transport: Instead of the client's.
            session_id: The conversation to go on with.

        Raises:
            ProtocolError: The result is not of the type (code ``RESULT_TYPE``); the message has the path.
            RunAgentError: As for `run_generic_with_metadata`.
        """
        run = self._new_run(
            "invoke",
            input_data,
            timeout=timeout,
            headers=headers,
            max_retries=max_retries,
            transport=transport,
            session_id=session_id,
            result_type=result_type,
        )
        headers = None  # a key may be in them, and a traceback shows the variables of its frames
        from runagent._client.results import as_type  # a stream does not need it

        return as_type(run, self._result(run).result, result_type)

    def run_generic_with_metadata(
        self,
        input_data: Input,
        *,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
        max_retries: int | None = None,
        transport: str | Sequence[str] | None = None,
        session_id: str | None = None,
    ) -> RunResult:
        """Run the agent and return its result with what the service reports of the run.

        Args:
            input_data: The input object; a text means ``{"query": text}``.
            timeout: Instead of the client's; as a number, seconds for the whole run.
            headers: Sent with the client's; a field of the same name replaces it.
            max_retries: Instead of the client's.
            transport: A name, or an ordered choice of names, instead of the client's.
            session_id: The conversation to go on with, ``session_id`` of the input.

        Raises:
            ConfigurationError: A setting is not usable.
            ValidationError: JSON cannot carry the input, or the agent does not take it.
            AgentError: The service rejected the request.
            TransportError: The agent could not be reached or understood.
            RunTimeoutError: The answer did not come in time.
        """
        run = self._new_run(
            "invoke",
            input_data,
            timeout=timeout,
            headers=headers,
            max_retries=max_retries,
            transport=transport,
            session_id=session_id,
        )
        headers = None  # see run_generic
        return self._result(run)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run the entry point of a published server with these arguments and return its result.

        Always over WebSocket, whatever the client's transport is; raises as `run_generic` does.
        """
        run = self._new_run("invoke", kwargs, args=args, transport="websocket")
        return self._result(run).result

    def run_stream(self, *args: Any, **kwargs: Any) -> Stream:
        """Run the streaming entry point of a published server with these arguments.

        Always over WebSocket, whatever the client's transport is.
        """
        run = self._new_run("stream", kwargs, args=args, transport="websocket")
        return self._stream(run)

    if not TYPE_CHECKING:  # no `__getattr__`, which slows down every look-up of an attribute

        @property
        def aclose(self) -> NoReturn:
            raise AttributeError(
                "'RunAgentClient' object has no attribute 'aclose': a synchronous client has close()"
            )

    def close(self, *, grace: float | None = None) -> None:
        """Close the client: it refuses new runs from now on, and its idle connections are closed.

        Args:
            grace: Seconds to wait for the streams and plain runs that other threads are reading; what has
                not ended by then is closed, and its reader gets a StreamError. None: they go on to their
                end, and nothing waits for them.

        Raises:
            ConfigurationError: ``grace`` is not a finite number of seconds, 0 or more.
        """
        seconds = None if grace is None else parse_grace(grace)
        self._closed = True
        self._pool.close()
        if seconds is None:
            return
        try:
            network = self._network_in_force or self._network
            for pause in pauses(self._streams.are_read, network.now, seconds):
                network.sleep(pause)
        finally:
            for stream in self._streams.open():
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stream(self, run: Run) -> Stream:
        pump = Pump(run, self._network_in_force or self._network, self._pool)
        ahead = run.limits.read_ahead_bytes
        source: Pump | ReadAhead = pump
        if ahead:
            from runagent._run.readahead import ReadAhead

            source = ReadAhead(pump, ahead)
        stream = Stream(source, run.report, run.notes)
        self._streams.add(stream)
        self._check_open()  # or it may have been closed since, without knowledge of this stream
        return stream

    def _result(self, run: Run) -> RunResult:
        with self._stream(run) as stream:
            for event in stream.events():
                if isinstance(event, RunResult):
                    return msgspec.structs.replace(event, report=run.report)
        raise run.identify(no_result())


publish(RunAgentClient)
