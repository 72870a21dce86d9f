"""Exchanges as an HTTP Archive: HAR 1.2, with the messages of WebSockets as browsers write them. No I/O."""

from __future__ import annotations

import base64
import datetime as dt
import importlib.metadata
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from runagent_testing._journal.asdict import as_json_value, hidden_writes
from runagent_testing._journal.sent import parse_messages, parse_response

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runagent_testing._internal.redaction import Secrets
    from runagent_testing._journal.record import Record
    from runagent_testing._journal.sent import Response

__all__ = ["as_har"]

_UNKNOWN = -1  # HAR's for sizes and times
_TEXT, _BINARY = 1, 2


def as_har(exchanges: Sequence[Record], secrets: Secrets, scheme: str = "http") -> dict[str, Any]:
    """Return exchanges as a HAR, http://www.softwareishard.com/blog/har-12-spec/.

    Args:
        exchanges: The exchanges.
        secrets: The credentials to hide.
        scheme: "http" or "https".
    """
    try:
        version = importlib.metadata.version("runagent")
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"
    entries = [_entry(exchange, secrets, scheme) for exchange in exchanges]
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "runagent_testing", "version": version},
            "entries": entries,
        }
    }


def _entry(exchange: Record, secrets: Secrets, scheme: str) -> dict[str, Any]:
    writes = exchange.sent
    data = hidden_writes(writes, secrets)
    response = parse_response(b"".join(data))
    is_websocket = response is not None and response.status == 101
    timings = _timings(exchange)
    entry: dict[str, Any] = {
        "startedDateTime": dt.datetime.fromtimestamp(exchange.started_at, dt.UTC).isoformat(),
        "time": sum(timings.values()),
        "request": _request(exchange, secrets, scheme),
        "response": _response(response, secrets, is_websocket=is_websocket),
        "cache": {},
        "timings": timings,
        "connection": str(exchange.connection),
        "comment": f"{exchange.transport}, {exchange.outcome}, client {exchange.client}",
    }
    if response is not None and is_websocket:
        sent = list(zip((write.seconds for write in writes), data, strict=True))
        entry["_webSocketMessages"] = _messages(exchange, secrets, _after(response.head_size, sent))
    return entry


def _timings(exchange: Record) -> dict[str, float]:
    times = [sent.seconds for sent in exchange.sent]
    first = times[0] if times else exchange.ended_at or 0.0
    last = max([first, *times, exchange.ended_at or 0.0])
    return {"send": 0.0, "wait": round(first * 1000, 3), "receive": round((last - first) * 1000, 3)}


def _request(exchange: Record, secrets: Secrets, scheme: str) -> dict[str, Any]:
    path = secrets.text(exchange.path)
    if exchange.raw_headers.get("upgrade", "").lower() == "websocket":
        scheme = {"http": "ws", "https": "wss"}.get(scheme, scheme)
    host = exchange.raw_headers.get("host", "localhost")
    length = exchange.raw_headers.get("content-length", "0")
    request: dict[str, Any] = {
        "method": exchange.method,
        "url": f"{scheme}://{host}{path}" if path.startswith("/") else path,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(secrets.headers(exchange.raw_headers).items()),
        "queryString": _pairs(parse_qsl(urlsplit(path).query, keep_blank_values=True)),
        "headersSize": _UNKNOWN,
        "bodySize": int(length) if length.isdigit() else _UNKNOWN,
    }
    if exchange.body is not None and not exchange.messages:
        text = json.dumps(as_json_value(secrets.value(exchange.body)), ensure_ascii=False)
        request["postData"] = {"mimeType": exchange.raw_headers.get("content-type", ""), "text": text}
    return request


def _response(response: Response | None, secrets: Secrets, *, is_websocket: bool) -> dict[str, Any]:
    headers = [] if response is None else response.headers
    fields = {name.lower(): value for name, value in headers}
    body = b"" if response is None or is_websocket else response.body
    content: dict[str, Any] = {"size": len(body), "mimeType": fields.get("content-type", "")}
    try:
        content["text"] = body.decode()
    except UnicodeDecodeError:
        content |= {"text": base64.b64encode(body).decode(), "encoding": "base64"}
    return {
        "status": 0 if response is None else response.status,
        "statusText": "" if response is None else response.reason,
        "httpVersion": "" if response is None else response.version,
        "cookies": [],
        "headers": _pairs((name, secrets.headers({name: value})[name]) for name, value in headers),
        "content": content,
        "redirectURL": secrets.text(fields.get("location", "")),
        "headersSize": _UNKNOWN if response is None else response.head_size,
        "bodySize": _UNKNOWN,
        **({} if response is not None else {"_error": "no HTTP response was sent"}),
    }


def _pairs(fields: Any) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in fields]


def _after(size: int, writes: list[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """Yield writes without their first ``size`` bytes."""
    for seconds, data in writes:
        if rest := data[size:]:
            yield seconds, rest
        size = max(size - len(data), 0)


def _messages(
    exchange: Record, secrets: Secrets, sent: Iterator[tuple[float, bytes]]
) -> list[dict[str, Any]]:
    """List the messages of both sides in order of time; "send" is the client's, as in browsers."""
    found = [
        (seconds, "send", _TEXT if isinstance(message, str) else _BINARY, secrets.value(message))
        for seconds, message in zip(exchange.message_times, exchange.messages, strict=False)
    ]
    found += [
        (seconds, "receive", opcode, data.decode("utf-8", "replace") if opcode == _TEXT else data)
        for seconds, opcode, data in parse_messages(sent)
    ]
    found.sort(key=lambda message: message[0])
    return [
        {
            "type": kind,
            "time": round(exchange.started_at + seconds, 6),
            "opcode": opcode,
            "data": base64.b64encode(data).decode() if isinstance(data, bytes) else data,
        }
        for seconds, kind, opcode, data in found
    ]
