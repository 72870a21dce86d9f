"""``stream.cancel()`` of transports that are asynchronous libraries, and of those that cannot do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import Chunk, ConfigurationError, RunAgentClient, Started
from runagent.transports import Capability
from tests.support.lasting import TEXTS, begun
from tests.support.libraries import forever, pause
from tests.support.transports import OwnTransport

if TYPE_CHECKING:
    from tests.support.styles import Style


class Library:
    """An asynchronous library; its service is the list of what was stopped."""

    name = "library"
    api_version = 1
    capabilities = frozenset({Capability.ATTACH, Capability.CANCEL, Capability.RESUME})

    def __init__(self, *loops: str, answer: Any = True) -> None:
        self.runs_on = frozenset(loops or ("asyncio", "trio"))
        self.answer = answer
        self.stopped: list[Any] = []
        self.attached: list[Any] = []

    async def run(self, call: Any, address: Any, resume: Any, emit: Any) -> None:
        self.attached.append(call.attach_to)
        start = resume.next_index if resume else 0
        await emit(Started(invocation_id="i-1", session_id="s-1"))
        for index, text in list(enumerate(TEXTS))[start:]:
            await emit(Chunk(text, index))
        await forever()

    async def cancel(self, call: Any, address: Any) -> Any:
        await pause(0.01)
        self.stopped.append(dict(call.attach_to))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


IDS = {"invocation_id": "i-1", "session_id": "s-1"}


@pytest.mark.parametrize("loops", [("asyncio", "trio"), ("asyncio",), ("trio",)])
def test_a_library_is_asked_to_stop_its_run(style: Style, loops: tuple[str, ...]) -> None:
    library = Library(*loops)

    async def scenario() -> None:
        async with style.client("a", base_url="http://127.0.0.1:9", transport=library) as client:
            stream = await begun(client)
            handle = stream.handle
            assert await stream.cancel() is True
            attached = client.attach(handle)
            assert "b" == await anext(attached)
            assert await attached.cancel() is True
            await style.settle()

    style.run(scenario)
    assert [IDS, IDS] == library.stopped
    assert [None, IDS] == library.attached


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(False, "False"), (None, "return True or False"), (OSError("gone"), "gone"), (ValueError("odd"), "odd")],
)
def test_what_a_library_answers_to_a_stop(style: Style, answer: Any, expected: str) -> None:
    async def scenario() -> str:
        async with style.client(
            "a", base_url="http://127.0.0.1:9", transport=Library(answer=answer)
        ) as client:
            stream = await begun(client)
            try:
                return str(await stream.cancel())
            except Exception as exc:  # noqa: BLE001
                return str(exc)
            finally:
                await style.settle()

    assert expected in style.run(scenario)


@pytest.mark.parametrize("transport", [Library, OwnTransport])
def test_a_transport_that_cannot_do_what_it_declares_is_refused(transport: Any) -> None:
    made = transport()
    made.cancel = None
    made.capabilities = frozenset({Capability.CANCEL})
    with pytest.raises(ConfigurationError, match="capability cancel"):
        RunAgentClient("a", transport=made)
