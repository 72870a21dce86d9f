"""Transports that each violate one requirement, and so prove that the kit can fail.

They also show authors what a requirement is about: each is a built-in transport, or a working library, with
one mistake in it. Most of these mistakes come from real code.
"""

from __future__ import annotations

from runagent_testing.conformance._broken.base import Broken
from runagent_testing.conformance._broken.connections import CONNECTIONS
from runagent_testing.conformance._broken.contents import CONTENTS
from runagent_testing.conformance._broken.endings import ENDINGS
from runagent_testing.conformance._broken.lasting import LASTING
from runagent_testing.conformance._broken.libraries import LIBRARIES, Library
from runagent_testing.conformance._broken.requests import REQUESTS
from runagent_testing.conformance._broken.retrying import RETRYING
from runagent_testing.conformance._broken.samples import SAMPLES
from runagent_testing.conformance._broken.snapshots import SNAPSHOTS

__all__ = ["BROKEN", "Broken", "Library"]

BROKEN: tuple[Broken | Library, ...] = (
    *REQUESTS,
    *CONTENTS,
    *SAMPLES,
    *ENDINGS,
    *CONNECTIONS,
    *LASTING,
    *SNAPSHOTS,
    *RETRYING,
    *LIBRARIES,
)
"""Transports that break one requirement each, for tests of the kit."""
