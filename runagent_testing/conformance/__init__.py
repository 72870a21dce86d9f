"""The conformance kit: checks that a transport does what clients rely on.

    from runagent_testing.conformance import check_transport

    report = check_transport(MyTransport(), dialects=[MyDialect()])
    print(report)
    report.check()

or, for one test per requirement, style and player, subclass `TransportConformance`.

A requirement is data: an id, a sentence, a source and the check. Requirements of the scope "session" feed
a fake agent's answer to sessions by hand; the others run the real clients, in each style, against a
`MemoryNetwork` on virtual time and a `FakeAgentServer` on sockets. `BROKEN` has transports that each
violate one requirement, and so prove that the kit detects the violation.

The names are imported on first use, so that the kit needs pytest only for the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._internal.lazy import importer

if TYPE_CHECKING:
    from runagent_testing.conformance._baseline import Baseline, BaselineError
    from runagent_testing.conformance._broken import BROKEN
    from runagent_testing.conformance._check import check_transport
    from runagent_testing.conformance._checks import all_requirements
    from runagent_testing.conformance._harness.requirements import LATEST, Requirement
    from runagent_testing.conformance._harness.violation import Violation
    from runagent_testing.conformance._report import Report, Result
    from runagent_testing.conformance._suite import TransportConformance

__all__ = [
    "BROKEN",
    "LATEST",
    "Baseline",
    "BaselineError",
    "Report",
    "Requirement",
    "Result",
    "TransportConformance",
    "Violation",
    "all_requirements",
    "check_transport",
]

_HOMES = {
    "runagent_testing.conformance._broken": ("BROKEN",),
    "runagent_testing.conformance._baseline": ("Baseline", "BaselineError"),
    "runagent_testing.conformance._check": ("check_transport",),
    "runagent_testing.conformance._report": ("Result", "Report"),
    "runagent_testing.conformance._checks": ("all_requirements",),
    "runagent_testing.conformance._harness.requirements": ("LATEST", "Requirement"),
    "runagent_testing.conformance._harness.violation": ("Violation",),
    "runagent_testing.conformance._suite": ("TransportConformance",),
}

if not TYPE_CHECKING:  # a type checker that saw it would accept misspelt names
    __getattr__ = importer(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
