"""The rules of HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec/), and what browsers add to it."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlsplit

__all__ = ["har_faults"]

_PAIR = {"name": str, "value": str}
_FORMS: dict[str, dict[str, Any]] = {
    "log": {"version": str, "creator": "creator", "entries": ["entry"]},
    "creator": {"name": str, "version": str},
    "entry": {
        "startedDateTime": "date",
        "time": float,
        "request": "request",
        "response": "response",
        "cache": dict,
        "timings": "timings",
    },
    "request": {
        "method": str,
        "url": "url",
        "httpVersion": str,
        "cookies": ["pair"],
        "headers": ["pair"],
        "queryString": ["pair"],
        "headersSize": int,
        "bodySize": int,
    },
    "response": {
        "status": int,
        "statusText": str,
        "httpVersion": str,
        "cookies": ["pair"],
        "headers": ["pair"],
        "content": "content",
        "redirectURL": str,
        "headersSize": int,
        "bodySize": int,
    },
    "content": {"size": int, "mimeType": str},
    "timings": {"send": float, "wait": float, "receive": float},
    "postData": {"mimeType": str, "text": str},
    "message": {"type": str, "time": float, "opcode": int, "data": str},
    "pair": _PAIR,
}
_OPTIONAL: dict[str, dict[str, Any]] = {
    "log": {"comment": str},
    "entry": {"connection": str, "comment": str, "_webSocketMessages": ["message"]},
    "request": {"postData": "postData"},
    "content": {"text": str, "encoding": str},
    "response": {"_error": str},
}


def har_faults(value: Any, form: Any = "log", place: str = "log") -> list[str]:
    """List everything that is wrong with a HAR's ``log``."""
    if isinstance(form, list):
        if not isinstance(value, list):
            return [f"{place} is no list"]
        return [
            fault for at, item in enumerate(value) for fault in har_faults(item, form[0], f"{place}[{at}]")
        ]
    if form == "date":
        return [] if dt.datetime.fromisoformat(value).tzinfo else [f"{place} has no time zone"]
    if form == "url":
        parts = urlsplit(value)
        return (
            [] if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc else [f"{place}: {value}"]
        )
    if form is float:
        return [] if isinstance(value, int | float) and value >= 0 else [f"{place} is {value!r}"]
    if isinstance(form, type):
        return [] if isinstance(value, form) and not isinstance(value, bool) else [f"{place} is {value!r}"]
    required, optional = _FORMS[form], _OPTIONAL.get(form, {})
    if not isinstance(value, dict):
        return [f"{place} is no object"]
    faults = [f"{place} has no {name}" for name in required.keys() - value.keys()]
    faults += [f"{place} has {name}" for name in value.keys() - required.keys() - optional.keys()]
    for name, inner in (required | optional).items():
        if name in value:
            faults += har_faults(value[name], inner, f"{place}.{name}")
    if form == "entry":
        total = sum(seconds for seconds in value["timings"].values() if seconds >= 0)
        faults += [] if abs(total - value["time"]) < 0.01 else [f"{place}.time is not the sum of timings"]
    return faults
