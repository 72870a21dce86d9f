"""Reads recordings, and finds every fault of a file at once."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.files import read_file
from runagent_testing._internal.redaction import escaped
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._recording.format import (
    COMPLETE,
    CUT,
    CUT_IN_CHUNK,
    END,
    MAX_GAP,
    MAX_RECORDING,
    RESET,
    SUFFIX,
    TIMEOUT,
    VERSION,
    Entry,
    RecordedEnd,
    Recording,
    close_code,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["RecordingError", "parse_recording", "read_recording", "recordings_in"]

__tracebackhide__ = is_ours

_MAX_PROBLEMS = 100
_KINDS = {"w": "write", "b": "write", "m": "text", "B": "binary", "c": "client", "C": "client"}
_BASE64 = frozenset("bBC")
_MESSAGES = frozenset("mBcC")
_ENDS = (COMPLETE, CUT, RESET, CUT_IN_CHUNK, TIMEOUT)
_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class RecordingError(ValueError):
    """An invalid recording.

    Attributes:
        path: As given.
        problems: The number of a line, from 1, and what is wrong with it; in the order of the file.
    """

    def __init__(self, path: str, problems: list[tuple[int, str]]) -> None:
        super().__init__(path, problems)
        self.path = path
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(escaped(f"{self.path}:{line}: {text}") for line, text in self.problems)


def read_recording(path: str | Path) -> Recording:
    """Read a recording.

    Raises:
        OSError: It cannot be read, or is too large (`MAX_RECORDING`).
        RecordingError: It is invalid; the error lists every line.
    """
    return parse_recording(read_file(path, MAX_RECORDING), str(path))


def recordings_in(path: str | Path) -> list[Path]:
    """Return the recordings of a folder by name; of a file, the file itself.

    Raises:
        FileNotFoundError: The folder has no recording.
    """
    place = Path(path)
    if not place.is_dir():
        return [place]
    found = sorted(one for one in place.iterdir() if one.name.endswith(SUFFIX))
    if not found:
        raise FileNotFoundError(None, f"no file in it ends in {SUFFIX}", str(path))
    return found


def parse_recording(data: bytes, path: str) -> Recording:
    """Read the bytes of a recording; arguments and errors as for `read_recording`."""
    reader = _Reader(path)
    with contextlib.suppress(_TooManyProblemsError):
        reader.read(data)
    if reader.problems:
        raise RecordingError(path, reader.problems)
    assert reader.header is not None
    return Recording(path, **reader.header, entries=tuple(reader.entries), end=reader.end)


class _TooManyProblemsError(Exception):
    """No more problems are listed."""


class _Reader:
    def __init__(self, path: str) -> None:
        self.path = path
        self.problems: list[tuple[int, str]] = []
        self.header: dict[str, Any] | None = None
        self.entries: list[Entry] = []
        self.end: RecordedEnd | None = None
        self._line = 1
        self._waited = 0.0  # in lines that are not played

    def read(self, data: bytes) -> None:
        for number, value in self._values(data):
            if number == 1:
                self._read_header(value)
            elif self.end is not None:
                self._fail("nothing follows the end")
            else:
                self._read_row(value)

    def _values(self, data: bytes) -> Iterator[tuple[int, Any]]:
        *lines, rest = data.split(b"\n")
        for number, line in enumerate([*lines, rest], 1):
            self._line = number
            if number > 1 and (not line.strip() or line.lstrip().startswith(b"#")):
                continue
            try:
                yield number, json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError):
                if number > 1 and number == len(lines) + 1:
                    continue  # the recorder was stopped while it wrote this line
                if number == 1:
                    self._fail("this is not the header of a recording, a JSON object")
                    self.header = {}
                else:
                    self._fail("this is not JSON in UTF-8")

    def _fail(self, text: str) -> None:
        self.problems.append((self._line, text))
        if len(self.problems) >= _MAX_PROBLEMS:
            raise _TooManyProblemsError

    def _read_header(self, value: Any) -> None:
        self.header = {}
        if not isinstance(value, dict) or "runagent_recording" not in value:
            self._fail('this is not the header of a recording: {"runagent_recording": 1, ...}')
            return
        if value["runagent_recording"] != VERSION:
            self._fail(f"version {value['runagent_recording']!r} of the format is unknown; known: {VERSION}")
            return
        texts = {"agent": "agent_id", "dialect": "dialect", "transport": "transport"}
        self.header = {name: self._text(value, key) for key, name in texts.items()}
        request = self._object(value, "request")
        self.header |= {name: self._text(request, name) or usual for name, usual in _REQUEST.items()}
        asked = {name: str(value) for name, value in self._object(request, "headers").items()}
        self.header |= {"request_headers": asked, "request_body": self._body(request)}
        self.header["is_websocket"] = asked.get("upgrade", "").lower() == "websocket"
        self._read_response(self._object(value, "response"))

    def _body(self, request: dict[str, Any]) -> bytes:
        body = request.get("body", "")
        encoded = body.get("base64") if isinstance(body, dict) else None
        if isinstance(body, str):
            return body.encode("utf-8", "replace")
        try:
            return _decoded(str(encoded))
        except ValueError:
            self._fail('the body of a request is text, or {"base64": ...}')
            return b""

    def _read_response(self, response: dict[str, Any]) -> None:
        assert self.header is not None
        status = response.get("status")
        is_known = isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 999
        if status is not None and not is_known:
            self._fail(f"the status of the response is a number from 100 to 999, not {status!r}")
        self.header["status"] = status if is_known else None
        self.header["is_websocket"] |= status == 101
        headers = self._object(response, "headers")
        for name, value in headers.items():
            if not (_FIELD.fullmatch(name) and isinstance(value, str) and _VALUE.fullmatch(value)):
                self._fail(f"the response's header {name!r} is not a field of HTTP")
        self.header["headers"] = headers
        gap = response.get("gap", 0.0)
        self.header["head_gap"] = gap if self._is_gap(gap) else 0.0

    def _object(self, value: dict[str, Any], key: str) -> dict[str, Any]:
        found = value.get(key)
        if found is not None and not isinstance(found, dict):
            self._fail(f"{key} is an object, not {_shown(found)}")
        return found if isinstance(found, dict) else {}

    def _text(self, value: dict[str, Any], key: str) -> str:
        found = value.get(key)
        if found is not None and not isinstance(found, str):
            self._fail(f"{key} is text, not {_shown(found)}")
        return found if isinstance(found, str) else ""

    def _is_gap(self, gap: Any) -> bool:
        if isinstance(gap, bool) or not isinstance(gap, int | float) or not 0 <= gap <= MAX_GAP:
            self._fail(f"a gap is a number of seconds from 0 to {MAX_GAP:.0f} (a day), not {_shown(gap)}")
            return False
        return True

    def _read_row(self, row: Any) -> None:
        if not isinstance(row, list) or len(row) != 3 or not isinstance(row[1], str):
            self._fail(f"a line is [gap, kind, value], not {_shown(row)}")
            return
        gap, kind, value = row
        if not self._is_gap(gap):
            return
        self._waited += gap
        if kind == END:
            self._read_end(value)
        elif kind in _KINDS:
            self._read_entry(kind, value)
        elif not (kind == "e" or kind.startswith("#")):
            self._fail(f"the kind {kind!r} is unknown: known are {', '.join([*_KINDS, 'e', '#', END])}")

    def _read_entry(self, kind: str, value: Any) -> None:
        assert self.header is not None
        status = self.header.get("status", ...)  # unknown if the header is invalid
        if status is None:
            self._fail("nothing precedes the head of an answer: the header has no status of a response")
            return
        if status is not ... and (kind in _MESSAGES) != (status == 101):
            what = "a message of a WebSocket" if kind in _MESSAGES else "a read of a body"
            self._fail(f"{kind!r} is {what}, which an answer with status {status} does not have")
            return
        if not isinstance(value, str):
            self._fail(f"the value of {kind!r} is text, not {_shown(value)}")
            return
        convert: Callable[[str], bytes] = _decoded if kind in _BASE64 else str.encode
        try:
            data = convert(value)
        except UnicodeEncodeError:
            self._fail("this text has half a surrogate pair, which is not UTF-8")
        except ValueError:
            self._fail(f"the value of {kind!r} is not base64")
        else:
            self.entries.append(Entry(self._waited, _KINDS[kind], data))
            self._waited = 0.0

    def _read_end(self, value: Any) -> None:
        kind = value.get("kind") if isinstance(value, dict) else None
        if not isinstance(kind, str) or (kind not in _ENDS and close_code(kind) is None):
            known = ", ".join([*_ENDS, "close:1000"])
            self._fail(f"the kind of an end is one of {known}, not {_shown(kind)}")
            return
        reason = self._text(value, "reason")
        if len(reason.encode("utf-8", "replace")) > 123:
            self._fail("the reason of a Close has at most 123 bytes")
        self.end = RecordedEnd(self._waited, kind, reason, self._text(value, "outcome") or None)


_REQUEST = {"method": "POST", "path": "/"}


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:56]} ..."
