"""The OpenAPI description of the control API: it names every route, and the answers have its schemas."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from runagent_testing import MemoryNetwork, gate
from runagent_testing._control.api import Control
from runagent_testing._control.guard import Guard
from runagent_testing._control.messages import Later, Reply
from runagent_testing._control.openapi import description
from runagent_testing._control.routes import ROUTES
from runagent_testing._control.schemas import SCHEMAS
from runagent_testing.dialects import Request
from tests.runagent_testing.players import client_of
from tests.runagent_testing.raw_client import stream

DESCRIPTION = description("http://127.0.0.1:8450")
SHOWN = [route for route in ROUTES if route.method == "GET" and route.path != "/events"]


def fault_of(value: Any, schema: dict[str, Any], place: str = "$") -> str | None:
    """Return where a value does not fit the parts of JSON Schema that the description uses."""
    if "$ref" in schema:
        return fault_of(value, SCHEMAS[schema["$ref"].rpartition("/")[2]], place)
    if "anyOf" in schema:
        faults = [fault_of(value, one, place) for one in schema["anyOf"]]
        return None if None in faults else "; ".join(map(str, faults))
    if "enum" in schema:
        return None if value in schema["enum"] else f"{place}: {value!r}"
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "boolean": bool,
        "integer": int,
        "null": type(None),
    }
    kind = schema.get("type")
    if kind == "number":
        return None if isinstance(value, int | float) else f"{place}: {value!r}"
    if kind is not None and (not isinstance(value, kinds[kind]) or (kind == "integer" and value is True)):
        return f"{place}: {value!r}"
    if kind == "array":
        return next(
            (fault for item in value if (fault := fault_of(item, schema["items"], f"{place}[]"))), None
        )
    return _fault_of_object(value, schema, place) if kind == "object" else None


def _fault_of_object(value: dict[str, Any], schema: dict[str, Any], place: str) -> str | None:
    known = schema.get("properties", {})
    if missing := set(schema.get("required", ())) - value.keys():
        return f"{place} lacks {missing}"
    more = schema.get("additionalProperties", True)
    if more is False and (unknown := value.keys() - known):
        return f"{place} has {unknown}"
    default = more if isinstance(more, dict) else {}
    faults = (fault_of(item, known.get(name, default), f"{place}.{name}") for name, item in value.items())
    return next(filter(None, faults), None)


def references(part: Any) -> set[str]:
    """Return every reference within a part of the description."""
    if isinstance(part, dict):
        own = {part["$ref"]} if "$ref" in part else set()
        return own.union(*map(references, part.values()))
    return set().union(*map(references, part)) if isinstance(part, list) else set()


def test_it_names_every_route() -> None:
    described = {(method.upper(), path) for path, item in DESCRIPTION["paths"].items() for method in item}
    assert {(route.method, route.path) for route in ROUTES} | {
        ("GET", "/health"),
        ("GET", "/ready"),
    } == described


def test_its_names_are_unique_and_its_references_lead_somewhere() -> None:
    operations = [operation for item in DESCRIPTION["paths"].values() for operation in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    known = {f"#/components/schemas/{name}" for name in SCHEMAS}
    assert known == references(DESCRIPTION)


def test_every_open_part_of_a_path_is_a_parameter() -> None:
    for path, item in DESCRIPTION["paths"].items():
        for operation in item.values():
            named = [one["name"] for one in operation.get("parameters", []) if one["in"] == "path"]
            assert re.findall(r"\{(\w+)\}", path) == named


@pytest.mark.parametrize("route", SHOWN, ids=lambda route: route.path)
def test_answers_have_the_schema(route) -> None:
    memory = MemoryNetwork()
    memory.agent("a").reply("x").always("y")
    memory.scope("s")
    memory.agent("b").always("z")
    with client_of(memory) as client:
        client.send(stream("a"))
        client.until(b"0\r\n\r\n")
    path = route.path.format(agent="a", gate="door", arrival="1")
    memory.agent("c").always(gate("door"))
    outcome = Control(memory, Guard(None)).answer(Request("GET", f"/_fake{path}", {}, 1))
    reply = outcome.look(0.0) if isinstance(outcome, Later) else outcome
    assert isinstance(reply, Reply)
    assert reply.status == 200
    assert fault_of(json.loads(reply.body), SCHEMAS[route.answer]) is None


def test_refusals_have_the_schema() -> None:
    reply = Control(MemoryNetwork(), Guard(None)).answer(Request("GET", "/_fake/nothing", {}, 1))
    assert isinstance(reply, Reply)
    assert fault_of(json.loads(reply.body), SCHEMAS["Error"]) is None


def test_the_description_is_served() -> None:
    reply = Control(MemoryNetwork(), Guard(None)).answer(Request("GET", "/_fake/openapi.json", {}, 1))
    assert isinstance(reply, Reply)
    assert "3.1.0" == json.loads(reply.body)["openapi"]
