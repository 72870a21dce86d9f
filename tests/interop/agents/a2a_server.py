"""Agents over A2A, served by a2a-sdk; run by an environment that has it.

    python a2a_server.py PORT

serves JSON-RPC 1.0 and 0.3 at ``/rpc`` and HTTP+JSON 1.0 at ``/rest``, with the card at the root. The first
word of the query chooses what the agent does. ``POST /open/NAME`` lets a run go on that waits for ``NAME``.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from typing import TYPE_CHECKING

import uvicorn
from a2a.helpers import (
    new_data_part,
    new_raw_part,
    new_task_from_user_message,
    new_text_message,
    new_text_part,
)
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from a2a.server.agent_execution import RequestContext
    from a2a.server.events import EventQueue
    from starlette.requests import Request

NUMBERS = 40
gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
turns: defaultdict[str, list[str]] = defaultdict(list)


class Agents(AgentExecutor):
    """Does what the query asks for."""

    def __init__(self) -> None:
        self.begun: set[str] = set()  # tasks with an artifact: only that can be appended to

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        asked, _, rest = context.get_user_input().partition(" ")
        if asked == "message":
            await event_queue.enqueue_event(
                new_text_message("Once upon a time", context_id=context.context_id)
            )
            return
        if context.current_task is None:
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
        task = TaskUpdater(event_queue, context.task_id, context.context_id)
        await task.start_work()
        turns[context.context_id].append(context.get_user_input())
        await getattr(self, f"do_{asked}", self.do_story)(task, rest)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()

    async def say(self, task: TaskUpdater, *texts: str) -> None:
        for text in texts:
            append = task.task_id in self.begun
            self.begun.add(task.task_id)
            await task.add_artifact([new_text_part(text)], artifact_id="answer", append=append)

    async def do_story(self, task: TaskUpdater, rest: str) -> None:
        await self.say(task, "Once", " upon", " a time \N{GRINNING FACE}")
        await task.complete()

    async def do_data(self, task: TaskUpdater, rest: str) -> None:
        parts = [new_text_part("See: "), new_data_part({"page": 1, "of": [2.5, None, True]})]
        await task.add_artifact(parts, artifact_id="pages", name="pages")
        await task.add_artifact(
            [new_raw_part(b"PNG", media_type="image/png", filename="a.png")], artifact_id="picture"
        )
        await task.complete()

    async def do_ask(self, task: TaskUpdater, rest: str) -> None:
        await self.say(task, "Well.")
        await task.requires_input(task.new_agent_message([new_text_part("Which city?")]))

    async def do_login(self, task: TaskUpdater, rest: str) -> None:
        await task.requires_auth(task.new_agent_message([new_text_part("Log in")]))

    async def do_answer(self, task: TaskUpdater, rest: str) -> None:
        await self.say(task, f"Rain in {rest}.")
        await task.complete()

    async def do_recall(self, task: TaskUpdater, rest: str) -> None:
        await self.say(task, ", ".join(turns[task.context_id]))
        await task.complete()

    async def do_fail(self, task: TaskUpdater, rest: str) -> None:
        await self.say(task, "Well.")
        await task.failed(task.new_agent_message([new_text_part("no room left")]))

    async def do_reject(self, task: TaskUpdater, rest: str) -> None:
        await task.reject(task.new_agent_message([new_text_part("not my job")]))

    async def do_raise(self, task: TaskUpdater, rest: str) -> None:
        await self.say(task, "Well.")
        raise ValueError("kettle")

    async def do_wait(self, task: TaskUpdater, rest: str) -> None:
        await self.say(task, "Once", " upon")
        await gates[rest].wait()
        await self.say(task, " a", " time")
        await task.complete()

    async def do_count(self, task: TaskUpdater, rest: str) -> None:
        for number in range(NUMBERS):
            await self.say(task, f"{number} ")
            await asyncio.sleep(0.01)
        await task.complete()


async def open_gate(request: Request) -> Response:
    gates[request.path_params["name"]].set()
    return Response(status_code=204)


def main(port: int) -> None:
    """Serve until killed."""
    url = f"http://127.0.0.1:{port}"
    interfaces = [
        AgentInterface(url=f"{url}/rpc", protocol_binding="JSONRPC", protocol_version="1.0"),
        AgentInterface(url=f"{url}/rest", protocol_binding="HTTP+JSON", protocol_version="1.0"),
        AgentInterface(url=f"{url}/rpc", protocol_binding="JSONRPC", protocol_version="0.3"),
    ]
    card = AgentCard(
        name="agents",
        description="Agents of the tests",
        version="1",
        supported_interfaces=interfaces,
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="story", name="story", description="A story", tags=["story"])],
    )
    handler = DefaultRequestHandler(agent_executor=Agents(), task_store=InMemoryTaskStore(), agent_card=card)
    routes = [
        Route("/open/{name}", open_gate, methods=["POST"]),  # first: those of HTTP+JSON take any tenant
        *create_agent_card_routes(card),
        *create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=True),
        *create_rest_routes(handler, path_prefix="/rest"),
    ]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
