"""The three bindings of the fake agent: what a request asks for, and how results and faults are wrapped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from runagent_a2a.words import V0_3, V1_0, Operation, Words
from runagent_testing.dialects import Status, parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing.dialects import Request

__all__ = ["CARD", "WIRES", "Asked", "Fault", "Wire", "parse"]

CARD = "/.well-known/agent-card.json"
_PATH = re.compile(r"(?P<base>(?:/[^?]*)?/a2a/(?P<agent>[^/?]+))(?P<rest>/[^?]*)?(?:\?.*)?")
_REST = re.compile(r"(?:/[^/:]+)?(?P<path>/message:[a-z]+|/tasks/.+)")  # perhaps behind a tenant
_TASK = re.compile(r"/tasks/(?P<id>[^/:]+)(?::(?P<verb>[a-z]+))?")
_MESSAGES: Mapping[str, Operation] = {"/message:stream": "stream", "/message:send": "send"}
_TASKS: Mapping[tuple[str, str | None], Operation] = {
    ("GET", None): "get",
    ("POST", "cancel"): "cancel",
    ("GET", "subscribe"): "subscribe",
    ("POST", "subscribe"): "subscribe",
}
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@dataclass(frozen=True)
class Fault:
    """An error of the protocol.

    Attributes:
        code: The code of JSON-RPC.
        status: The HTTP status of HTTP+JSON.
        name: The status of gRPC in the body of HTTP+JSON.
        reason: What 1.0 calls it.
        message: A sentence.
    """

    code: int
    status: int
    name: str
    reason: str
    message: str

    @property
    def details(self) -> list[dict[str, Any]]:
        """The details of 1.0."""
        about = {"reason": self.reason, "domain": "a2a-protocol.org", "metadata": {}}
        return [{"@type": _ERROR_INFO, **about}]


@dataclass(frozen=True)
class Wire:
    """A binding and a version.

    Attributes:
        transport: The name by which exchanges show it.
        words: The vocabulary of its version.
        binding: The binding, as a card names it.
    """

    transport: str
    words: Words
    binding: str

    @property
    def is_rpc(self) -> bool:
        """Whether it is JSON-RPC."""
        return self.binding == "JSONRPC"

    def result(self, body: Any, result: Any) -> Any:
        """Wrap a result; JSON-RPC repeats the id of the request."""
        return {"id": _rpc_id(body), "jsonrpc": "2.0", "result": result} if self.is_rpc else result

    def answer(self, body: Any, result: Any) -> Status:
        """Make the answer to a request for no stream."""
        headers = {} if self.is_rpc else {"Content-Type": "application/a2a+json"}
        return Status(200, body=self.result(body, result), headers=headers)

    def fault(self, body: Any, fault: Fault) -> Status:
        """Make the answer that reports a fault: with JSON-RPC it has status 200."""
        return Status(
            200 if self.is_rpc else fault.status, message=fault.message, body=self.error(body, fault)
        )

    def error(self, body: Any, fault: Fault) -> Any:
        """Write a fault, for an answer or for an event of a stream."""
        if not self.is_rpc:
            own = {"code": fault.status, "status": fault.name, "message": fault.message}
            return {"error": {**own, "details": fault.details}}
        error: dict[str, Any] = {"code": fault.code, "message": fault.message}
        if self.words is V1_0:
            error["data"] = fault.details
        elif fault.code == -32009:  # 0.3 does not know it
            error["code"] = -32603
        return {"error": error, "id": _rpc_id(body), "jsonrpc": "2.0"}

    def speaks(self, headers: Mapping[str, str]) -> bool:
        """Whether a request is of this version; without a field it is of 0.3."""
        named = headers.get("a2a-version", "").strip() or "0.3"
        return named.partition(".")[0] == self.words.version.partition(".")[0]


WIRES = {
    wire.transport: wire
    for wire in (
        Wire("a2a-jsonrpc", V1_0, "JSONRPC"),
        Wire("a2a-http-json", V1_0, "HTTP+JSON"),
        Wire("a2a-jsonrpc-0.3", V0_3, "JSONRPC"),
    )
}
_RPC, _HTTP, _RPC_0_3 = WIRES.values()
_BY_METHOD: Mapping[str, tuple[Wire, Operation]] = {
    name: (wire, operation) for wire in (_RPC, _RPC_0_3) for operation, name in wire.words.methods.items()
}


@dataclass(frozen=True)
class Asked:
    """A request to an agent.

    Attributes:
        agent_id: The agent.
        base: The path of its URL.
        wire: The binding.
        operation: What it asks for; None for its card, and "unknown" for a method that does not exist.
        params: The parameters.
        body: The decoded body.
    """

    agent_id: str
    base: str
    wire: Wire
    operation: Operation | str | None
    params: dict[str, Any]
    body: Any

    @property
    def task(self) -> str:
        """The id of the task that it names; "" for none."""
        return str(self.params.get("id", ""))


def parse(request: Request) -> Asked | None:
    """Understand a request; None if it is not one to an agent's URL."""
    match = _PATH.fullmatch(request.path)
    if match is None:
        return None
    agent_id, base, rest = unquote(match["agent"]), match["base"], match["rest"] or ""
    if request.method == "GET" and rest == CARD:
        return Asked(agent_id, base, _RPC, None, {}, None)
    body = parse_json(request.body)
    if not rest:
        return _parse_rpc(agent_id, base, body) if request.method == "POST" else None
    found = _REST.fullmatch(rest)
    path = "" if found is None else found["path"]
    if request.method == "POST" and path in _MESSAGES:
        return Asked(agent_id, base, _HTTP, _MESSAGES[path], body if isinstance(body, dict) else {}, body)
    task = _TASK.fullmatch(path)
    operation = None if task is None else _TASKS.get((request.method, task["verb"]))
    if task is None or operation is None:
        return None
    return Asked(agent_id, base, _HTTP, operation, {"id": unquote(task["id"])}, body)


def _parse_rpc(agent_id: str, base: str, body: Any) -> Asked:
    fields = body if isinstance(body, dict) else {}
    wire, operation = _BY_METHOD.get(str(fields.get("method")), (_RPC, "unknown"))
    params = fields.get("params")
    return Asked(agent_id, base, wire, operation, params if isinstance(params, dict) else {}, body)


def _rpc_id(body: Any) -> Any:
    return body.get("id") if isinstance(body, dict) else None
