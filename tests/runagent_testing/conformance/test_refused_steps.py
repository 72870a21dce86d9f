"""Dialects that refuse steps for which their protocol has no place: those are not applicable, the rest is."""

from __future__ import annotations

from typing import Any

import pytest

from runagent.capabilities import Capability
from runagent_testing import tool_call
from runagent_testing.conformance import check_transport
from tests.runagent_testing.conformance.test_foreign import LineDialect, LineTransport

QUICK: dict[str, Any] = {"styles": ("sync",), "players": ("memory",), "requirements": 1}


class TextTransport(LineTransport):
    capabilities = LineTransport.capabilities - {Capability.STRUCTURED}


class RefusingDialect(LineDialect):
    """Refuses a step by the error that a test sets, unless it may be written.

    Attributes:
        hook: The method of the format that refuses.
    """

    def __init__(self, hook, error, may_be_written=lambda _: False):
        self.hook = hook
        self._error = error
        self._may_be_written = may_be_written

    def stream(self, run):
        form = super().stream(run)
        write = getattr(form, self.hook)

        def refuse(step, *arguments):
            if self._may_be_written(step):
                return write(step, *arguments)
            raise self._error

        setattr(form, self.hook, refuse)
        return form


def text_only(error):
    return RefusingDialect("chunk", error, lambda step: isinstance(step.content, str))


def check(transport, dialect, *only, **options):
    report = check_transport(transport, dialects=[dialect], only=only, **QUICK, **options)
    return {result.requirement.id: (result.status, result.reason) for result in report.results}


def test_json_chunks_that_the_dialect_refuses_are_not_applicable():
    results = check(TextTransport(), text_only(ValueError("only text")))
    assert ("not applicable", "the dialect writes text chunks only") == results["declared.structured"]
    assert "failed" not in {status for status, _ in results.values()}
    assert "passed" == results["session.done"][0]


@pytest.mark.parametrize(
    "error", [TypeError("a mistake"), UnicodeEncodeError("ascii", "ü", 0, 1, "a mistake")]
)
def test_a_mistake_of_the_dialect_is_not_taken_for_a_refusal(error):
    ((status, reason),) = check(TextTransport(), text_only(error), "declared.structured").values()
    assert "failed" == status
    assert "the dialect was unable to write the answer" in reason


def test_json_chunks_that_are_declared_have_to_be_written():
    results = check(LineTransport(), text_only(ValueError("only text")), "run.structured")
    status, reason = results["run.structured"]
    assert "failed" == status
    assert "step 1, chunk {" in reason
    assert "only text" in reason


@pytest.mark.parametrize("hook", ["chunk", "done", "error"])
def test_a_dialect_that_refuses_what_every_protocol_has_does_not_pass(hook):
    results = check(TextTransport(), RefusingDialect(hook, ValueError("never")))
    failed = {id for id, (status, _) in results.items() if status == "failed"}
    assert len(failed) > 10
    assert {"run.order", "session.done"} <= failed or "error" == hook


def test_a_sample_that_the_dialect_refuses_fails():
    samples = {"a call": ("x", tool_call("weather", "{}"))}
    results = check(TextTransport(), LineDialect(), "session.other-events", samples=samples)
    status, reason = results["session.other-events"]
    assert "failed" == status
    assert "step 2, tool_call 'weather'" in reason
