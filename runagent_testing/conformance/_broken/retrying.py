"""Mistakes about what may be tried again."""

from __future__ import annotations

from runagent._errors import RunAgentError, StreamTruncatedError
from runagent._report import mark_error
from runagent.transports._sse import SSESession
from runagent_testing.conformance._broken.base import Broken

__all__ = ["RETRYING"]


class _RepeatsWhatWasAccepted(SSESession):
    """Has every run repeated that breaks off before its first chunk."""

    def fail(self, error: RunAgentError) -> None:
        super().fail(mark_error(error, retryable=True) if isinstance(error, StreamTruncatedError) else error)


class _RepeatsWhatAGatewayFails(SSESession):
    """Has a run repeated that a gateway may have passed on."""

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        return mark_error(super().make_refusal(status, body), retryable=True if status >= 502 else None)


class _RepeatsInVain(SSESession):
    """Has every refused run repeated."""

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        return mark_error(super().make_refusal(status, body), retryable=True)


class _KeepsTheRefusedKey(SSESession):
    """Takes no refusal for one of the key."""

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        return mark_error(super().make_refusal(status, body), key_refused=False)


class _BlamesTheKey(SSESession):
    """Takes every refusal for one of the key."""

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        return mark_error(super().make_refusal(status, body), key_refused=True)


RETRYING: tuple[Broken, ...] = (
    Broken("repeats-what-was-accepted", "run.begun-once", _RepeatsWhatWasAccepted),
    Broken("repeats-what-a-gateway-fails", "run.begun-unasked", _RepeatsWhatAGatewayFails),
    Broken("repeats-in-vain", "session.retryable", _RepeatsInVain),
    Broken("keeps-the-refused-key", "run.key-asked-again", _KeepsTheRefusedKey),
    Broken("blames-the-key", "run.key-asked-again", _BlamesTheKey),
)
