"""Transports that bring nothing fail by a word of the kit, not by an error in the kit."""

from __future__ import annotations

import re
from typing import Any

import pytest

from runagent._errors import ProtocolError
from runagent._events import Completed
from runagent.transports._base import Wants
from runagent.transports._sse import SSESession
from runagent_testing.conformance import check_transport
from runagent_testing.conformance._broken import Broken

OWN_ERROR = re.compile(
    r"(?:Index|Key|Type|Attribute|Value|Assertion|Runtime|Lookup|UnboundLocal|Name)Error\(|Stop\w*Iteration"
)
QUICK: dict[str, Any] = {"players": ("memory",), "styles": ("sync", "asyncio", "trio")}


class Mute(SSESession):
    """Asks for nothing."""

    def data_to_send(self):
        return b""


class Blind(SSESession):
    """Makes nothing of what comes."""

    def receive_data(self, data):
        return []


class DoneAtOnce(SSESession):
    """Takes anything for a good end, and has no event for it."""

    def receive_data(self, data):
        self.wants = Wants.DONE
        return []


class FailsAtOnce(SSESession):
    """Takes nothing for an answer."""

    def receive_data(self, data):
        self.error, self.wants = ProtocolError("no"), Wants.DONE
        return []


class EndsAtOnce(SSESession):
    """Takes anything for the end of a good answer."""

    def receive_data(self, data):
        self.wants = Wants.DONE
        return [Completed()]


class Nonsense(SSESession):
    """Sends bytes that are not HTTP."""

    sent = False

    def data_to_send(self):
        data = b"" if self.sent else b"\r\n \r\n\r\n"
        self.sent = True
        return data


class OneWord(Nonsense):
    """Likewise."""

    def data_to_send(self):
        return super().data_to_send() and b"word"


SESSIONS = (Mute, Blind, DoneAtOnce, EndsAtOnce, FailsAtOnce, Nonsense, OneWord)


@pytest.mark.parametrize("session", SESSIONS)
def test_the_kit_reports_that_nothing_arrives(session):
    report = check_transport(Broken("nothing", "session.done", session), **QUICK)
    assert not report.ok
    assert [] == [(result.id, result.reason) for result in report.results if OWN_ERROR.search(result.reason)]
