"""One scenario for every concurrency style: written once as an ``async def``, run in each of them.

For ``sync`` the client is wrapped so that awaiting it blocks, and the scenario is driven by hand; for
the others it is the asynchronous client itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

__all__ = ["SyncClient", "SyncStream", "drive"]

__tracebackhide__ = is_ours

T = TypeVar("T")


class SyncStream:
    """A `Stream` that is awaited and never suspends."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __aiter__(self) -> SyncStream:
        iter(self.stream)
        return self

    def __await__(self) -> Generator[Any, None, SyncStream]:
        self.stream.accepted()
        return self
        yield  # which makes it a generator

    async def __anext__(self) -> Any:
        try:
            return next(self.stream)
        except StopIteration:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> SyncStream:
        self.stream.__enter__()
        return self

    async def __aexit__(self, *details: Any) -> None:
        self.stream.__exit__(*details)

    def events(self) -> SyncStream:
        """See `Stream.events`."""
        return SyncStream(self.stream.events())

    def batches(self, **options: Any) -> SyncStream:
        """See `Stream.batches`."""
        return SyncStream(self.stream.batches(**options))

    def texts(self) -> SyncStream:
        """See `Stream.texts`."""
        return SyncStream(self.stream.texts())

    async def accepted(self) -> None:
        """See `Stream.accepted`."""
        self.stream.accepted()

    async def wait(self, seconds: float) -> bool:
        """See `Stream.wait`."""
        at_hand: bool = self.stream.wait(seconds)
        return at_hand

    async def result(self, **options: Any) -> Any:
        """See `Stream.result`."""
        return self.stream.result(**options)

    async def cancel(self) -> bool:
        """See `Stream.cancel`."""
        confirmed: bool = self.stream.cancel()
        return confirmed

    async def text(self, **options: Any) -> str:
        """See `Stream.text`."""
        text: str = self.stream.text(**options)
        return text

    async def aclose(self) -> None:
        """See `Stream.close`."""
        self.stream.close()


class SyncClient:
    """A `RunAgentClient` with the interface of the asynchronous one."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def run_generic_stream(self, *args: Any, **options: Any) -> SyncStream:
        """See `RunAgentClient.run_generic_stream`."""
        return SyncStream(self.client.run_generic_stream(*args, **options))

    def attach(self, *args: Any, **options: Any) -> SyncStream:
        """See `RunAgentClient.attach`."""
        return SyncStream(self.client.attach(*args, **options))

    def run_stream(self, *args: Any, **options: Any) -> SyncStream:
        """See `RunAgentClient.run_stream`."""
        return SyncStream(self.client.run_stream(*args, **options))

    async def run_generic(self, *args: Any, **options: Any) -> Any:
        """See `RunAgentClient.run_generic`."""
        return self.client.run_generic(*args, **options)

    async def run_generic_with_metadata(self, *args: Any, **options: Any) -> Any:
        """See `RunAgentClient.run_generic_with_metadata`."""
        return self.client.run_generic_with_metadata(*args, **options)

    async def run(self, *args: Any, **options: Any) -> Any:
        """See `RunAgentClient.run`."""
        return self.client.run(*args, **options)

    async def aclose(self, **options: Any) -> None:
        """See `RunAgentClient.close`."""
        self.client.close(**options)

    async def __aenter__(self) -> SyncClient:
        return self

    async def __aexit__(self, *details: Any) -> None:
        await self.aclose()


def drive(scenario: Awaitable[T]) -> T:
    """Run a scenario that never suspends.

    Raises:
        RuntimeError: It suspended.
    """
    steps = scenario.__await__()
    try:
        next(steps)
    except StopIteration as done:
        value: T = done.value
        return value
    raise RuntimeError("a synchronous scenario must not suspend")
