"""The OpenAPI description of the control API, made from its routes."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from runagent_testing._control.guard import TOKEN_HEADER
from runagent_testing._control.messages import MAX_CONTROL_BODY, MAX_WAIT
from runagent_testing._control.routes import ROUTES
from runagent_testing._control.schemas import PARAMETERS, SCHEMAS
from runagent_testing._host.scopes import SCOPE_HEADER

if TYPE_CHECKING:
    from runagent_testing._control.routes import Route

__all__ = ["description"]

_JSON, _EVENTS = "application/json", "text/event-stream"
_GUARD_FAULTS = (401, 403, 415)
_ABOUT = (
    "Steers a fake agent server from another process. Each path may have the prefix /_scope/NAME, and each "
    f"request the header {SCOPE_HEADER}, for a scope of the server. A body has at most {MAX_CONTROL_BODY} "
    f"bytes, and a request waits at most {MAX_WAIT:g} seconds."
)


def description(url: str) -> dict[str, Any]:
    """Describe the control API of a server, as OpenAPI 3.1 wants it.

    Args:
        url: The base URL of the server.
    """
    paths: dict[str, dict[str, Any]] = {
        "/health": {"get": _probe("Show that the server lives", "health")},
        "/ready": {"get": _probe("Show whether the server accepts connections", "ready")},
    }
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "runagent-fake", "version": "1", "description": _ABOUT},
        "servers": [{"url": f"{url}/_fake"}],
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": TOKEN_HEADER}},
        },
    }


def _probe(summary: str, name: str) -> dict[str, Any]:
    answers = {"200": _answer("Yes", "Health")}
    if name == "ready":
        answers["503"] = _answer("No: it answers what it was asked, and ends", "Health")
    return {"summary": summary, "operationId": name, "security": [{}], "responses": answers}


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": route.summary, "operationId": route.handle.__name__}
    in_path = re.findall(r"\{(\w+)\}", route.path)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path
    ]
    parameters += [{"name": name, "in": "query", **PARAMETERS[name]} for name in route.query]
    parameters.append({"name": SCOPE_HEADER, "in": "header", "schema": {"type": "string"}})
    operation["parameters"] = parameters
    if route.body:
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": _ref(route.body)}}}
    good = _answer(route.summary, route.answer, _EVENTS if route.answer == "Events" else _JSON)
    faults = sorted({*route.faults, *_GUARD_FAULTS})
    operation["responses"] = {
        str(route.status): good,
        **{str(status): _answer(HTTPStatus(status).phrase, "Error") for status in faults},
    }
    return operation


def _answer(summary: str, schema: str, kind: str = _JSON) -> dict[str, Any]:
    content = {"content": {kind: {"schema": _ref(schema)}}} if schema else {}
    return {"description": summary, **content}


def _ref(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}
