"""A session that answers each message passes the kit: what it has sent is no memory that it keeps."""

from __future__ import annotations

from typing import Any

from runagent_testing.conformance import check_transport
from runagent_testing.conformance._broken import Broken
from tests.runagent_testing.conformance.test_foreign import TalkDialect, TalkSession, TalkTransport

CHECK: dict[str, Any] = {"only": ["session.memory"], "dialects": [TalkDialect()]}


class _Acknowledges(TalkSession):
    """Acknowledges each message, at some length."""

    def read_message(self, message):
        self.send_text(b'["ack", "%s"]' % (b"x" * 500))
        return super().read_message(message)


class _KeepsAcknowledgements(_Acknowledges):
    """Keeps what it has sent."""

    def __init__(self, *arguments):
        self.kept: list[bytes] = []
        super().__init__(*arguments)

    def data_to_send(self):
        self.kept.append(data := super().data_to_send())
        return data


def talk(session: Any) -> Broken:
    return Broken("talk", "", session, TalkTransport.capabilities, tunnels=True)


def test_acknowledgements_of_messages_do_not_count_as_memory_of_the_session() -> None:
    check_transport(talk(_Acknowledges), **CHECK).check()


def test_acknowledgements_that_the_session_keeps_do() -> None:
    (failed,) = check_transport(talk(_KeepsAcknowledgements), **CHECK).failed
    assert "the session's memory grew by" in failed.reason
