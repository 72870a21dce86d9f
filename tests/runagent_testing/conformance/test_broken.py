"""The kit sees what is wrong: each broken transport is caught by the requirement that is meant for it."""

from __future__ import annotations

import pytest

from runagent_testing.conformance import all_requirements, check_transport
from runagent_testing.conformance._broken import BROKEN, Library
from runagent_testing.conformance._broken.lasting import Lasting, LastingSession
from runagent_testing.conformance._broken.snapshots import Snapshots, SnapshotsSession

BY_NAME = {broken.name: broken for broken in BROKEN}
# No transport can miss it: core alone reads.
CORES = {"run.cancelled-read"}


def variant_for(broken):
    """Choose one in which the requirement is checked; on memory, unless the transport brings connections."""
    requirement = next(r for r in all_requirements() if r.id == broken.caught_by)
    library = hasattr(broken, "run") or "memory" not in requirement.players
    return {"styles": requirement.styles[:1], "players": ("socket",) if library else ("memory",)}


@pytest.mark.parametrize("name", BY_NAME)
def test_a_broken_transport_is_caught_by_the_requirement_meant_for_it(name):
    broken = BY_NAME[name]
    dialects = getattr(broken, "dialects", ())
    report = check_transport(broken, dialects=dialects, only=[broken.caught_by], **variant_for(broken))
    assert [(broken.caught_by, "failed")] == [(o.requirement.id, o.status) for o in report.results]
    assert not report.ok
    assert not report.failed[0].reason.startswith("it raised")  # nor by an accident
    assert "does not pass the requirements 1" in str(report)


def test_every_requirement_has_a_transport_that_misses_it():
    missed = {broken.caught_by for broken in BROKEN}
    assert {requirement.id for requirement in all_requirements()} - missed == CORES


def test_every_mistake_is_reported():
    assert all(broken.description.endswith(".") for broken in BROKEN)
    assert len(BY_NAME) == len(BROKEN)


@pytest.mark.parametrize(
    ("sound", "own"),
    [
        (Lasting("sound", "", LastingSession), {"run.resume-by-id", "session.ids-in-order"}),
        (Snapshots("sound", "", SnapshotsSession), {"run.resume-by-snapshot"}),
    ],
    ids=["by id", "by snapshot"],
)
def test_what_the_broken_transports_of_lasting_runs_are_made_of_is_sound(sound, own):
    report = check_transport(sound, dialects=sound.dialects, styles=("sync",))
    report.check()
    passed = {result.requirement.id for result in report.results if result.status == "passed"}
    assert own | {"run.attach", "run.cancel", "run.begun-once"} <= passed


def test_what_the_broken_libraries_are_made_of_is_sound():
    report = check_transport(Library(), players=("socket",))
    report.check()
    summary = {o.reason for o in report.results if o.status == "not applicable" and not o.variant}
    assert "the transport brings its own connections: there is no session to feed" in summary
