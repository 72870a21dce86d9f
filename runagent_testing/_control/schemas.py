"""The JSON schemas of the control API's bodies and answers."""

from __future__ import annotations

from typing import Any, get_args

from runagent_testing._control.exchanges import FORMATS, KINDS, WAITS
from runagent_testing._control.messages import MAX_WAIT
from runagent_testing._journal.record import ClientState, Outcome
from runagent_testing._render.plan import ConnectionFault

__all__ = ["PARAMETERS", "SCHEMAS"]

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_FLAG: Schema = {"type": "boolean"}
_SECONDS: Schema = {"type": "number", "minimum": 0}

_UNUSED: Schema = {"type": "object", "additionalProperties": _COUNT}


def _object(required: Schema, more: Schema | None = None, *, is_open: bool = False) -> Schema:
    """Make the schema of an object; ``is_open``: it may have members that are not listed."""
    return {
        "type": "object",
        "required": list(required),
        "properties": required | (more or {}),
        **({} if is_open else {"additionalProperties": False}),
    }


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _counts() -> Schema:
    names = ("requests", "other_requests", "unmatched", "running")
    by_agent: Schema = {"type": "object", "additionalProperties": _COUNT}
    return dict.fromkeys(names, _COUNT) | {"by_agent": by_agent}


_FACTS: Schema = {
    "number": _COUNT,
    "arrival": _COUNT,
    **dict.fromkeys(("agent_id", "dialect", "transport", "method", "path"), _TEXT),
    "status": _or_null(_COUNT),
    "outcome": {"enum": list(get_args(Outcome))},
    "client": {"enum": list(get_args(ClientState))},
    "ended_at": _or_null(_SECONDS),
    "is_over": _FLAG,
    "chunks_sent": _COUNT,
    "waits_for": _or_null({"type": "object"}),
    **dict.fromkeys(("unmatched", "refused", "failure"), _or_null(_TEXT)),
}
_FAULT = ("id", "kind", "position", "description", "expected")
_PROBLEM = _object({"line": _COUNT, "column": _COUNT, "message": _TEXT})

SCHEMAS: dict[str, Schema] = {
    "Health": _object({"status": {"enum": ["ok", "ready", "draining"]}}),
    "Error": _object(
        {"error": _object({"code": _TEXT, "message": _TEXT, "problems": _list(_PROBLEM)})},
    ),
    "Scripts": {
        "type": "object",
        "description": "What a script file has for one agent: always, replies, returns, fails and so on",
    },
    "ScriptFile": _object({"agents": {"type": "object", "additionalProperties": _ref("Scripts")}}),
    "Agent": _object(
        {"id": _TEXT, "unused": _UNUSED, "answers": _list(_object({"method": _TEXT, "steps": _list(_TEXT)}))},
        {"rules": _list(_object({"conditions": _TEXT, "unused": _UNUSED}))},
    ),
    "Conditions": {
        "type": "object",
        "description": "What a script file has as the conditions of a rule: query, body, headers, nth",
    },
    "Rule": _object({"rule": _COUNT}),
    "Agents": _object({"agents": _list(_ref("Agent"))}),
    "Gate": _object({"name": _TEXT, "open": _FLAG, "waiting": _COUNT}),
    "Gates": _object({"gates": _list(_ref("Gate"))}),
    "GateChange": _object({"open": _FLAG}),
    "Summary": _object(_FACTS | {"chunks": _list({})}),
    "Exchange": _object(
        _FACTS | {"timeline": _TEXT, "bytes": _COUNT, "steps": _list({}), "writes": _list({})}, is_open=True
    ),
    "Exchanges": _object(
        {"count": _COUNT, "exchanges": _list({"anyOf": [_ref("Summary"), _ref("Exchange")]})}
    ),
    "ReachedExchange": _object({"reached": _FLAG, "exchange": _ref("Exchange")}),
    "Counts": _object(_counts(), {"connections": _COUNT}),
    "State": _object(
        {
            "scope": _TEXT,
            "url": _TEXT,
            "agents": _list(_ref("Agent")),
            "gates": _list(_ref("Gate")),
            "counts": _ref("Counts"),
            "running": _list(_ref("Summary")),
            "dialects": _list(_TEXT),
            "transports": _list(_TEXT),
        }
    ),
    "Events": {
        "type": "string",
        "description": "Events: exchange (Summary), agents (Agents), gates (Gates), reset (an empty object)",
    },
    "Problems": _object({"problems": _list(_TEXT), "report": _TEXT}),
    "Journal": {
        "type": "object",
        "description": "exchanges, an HTTP Archive's log, or transcripts, as format asks for",
    },
    "Transcript": _object({"transcript": _TEXT, "value": {"type": "object"}}),
    "Timelines": _object({"timelines": _TEXT}),
    "RequestAnswer": _object({"request": _TEXT, "answer": {}}, {"times": _COUNT}),
    "Fault": _object({"fault": _TEXT}, {"agent": _or_null(_TEXT), "run": _or_null(_COUNT | {"minimum": 1})}),
    "Faults": _object({"faults": _list(_object(dict.fromkeys(_FAULT, _TEXT)))}),
    "Chaos": _object(
        {"rate": {"type": "number", "minimum": 0, "maximum": 1}},
        {"seed": {"type": "integer"}, "only": _list(_TEXT), "without": _list(_TEXT), "test": _TEXT},
    ),
    "ConnectionFaults": _object({"fault": {"enum": list(get_args(ConnectionFault))}}, {"times": _COUNT}),
    "Scopes": _object({"scopes": _list(_object({"name": _TEXT, "idle_seconds": _SECONDS, **_counts()}))}),
}


def _parameter(about: str, schema: Schema) -> Schema:
    return {"description": about, "schema": schema}


PARAMETERS: dict[str, Schema] = {
    "kind": _parameter("Which requests: those for runs by default", {"enum": list(KINDS)}),
    "agent": _parameter("Only those of this agent", _TEXT),
    "after": _parameter("Only those with a larger arrival; count is that of all", _COUNT),
    "full": _parameter("Whether to show steps, writes and the timeline, too", _FLAG),
    "wait": _parameter("How many there have to be before the answer comes", _COUNT),
    "until": _parameter("What the answer waits for; sent takes chunks or step", {"enum": list(WAITS)}),
    "chunks": _parameter("How many chunks have to be sent", _COUNT),
    "step": _parameter("The number, from 1, of the step that has to be reached", _COUNT | {"minimum": 1}),
    "timeout": _parameter("The longest wait in seconds, by default 5", _SECONDS | {"maximum": MAX_WAIT}),
    "headers": _parameter("Names of header fields to show, with commas between them", _TEXT),
    "format": _parameter("The form, by default json", {"enum": list(FORMATS)}),
    "sort": _parameter("Whether to put transcripts into the order of their contents", _FLAG),
    "transport": _parameter("The transport that is to meet them, by default sse", _TEXT),
    "allow_unused": _parameter("Whether to ignore replies and steps that were not used", _FLAG),
    "allow_unmatched": _parameter("Whether to ignore requests that no script answers", _FLAG),
}
