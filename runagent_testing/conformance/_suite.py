"""The kit as a pytest class: one test per requirement, style and player."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from runagent_testing._internal.public import publish
from runagent_testing.conformance._baseline import Baseline
from runagent_testing.conformance._check import check_set, examine
from runagent_testing.conformance._checks import all_requirements
from runagent_testing.conformance._harness.requirements import LATEST, PLAYERS, STYLES, variants
from runagent_testing.conformance._harness.samples import checked_samples
from runagent_testing.conformance._harness.subject import Subject
from runagent_testing.conformance._watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from runagent.transports._async_transport import AnyTransport
    from runagent_testing.conformance._harness.requirements import Requirement
    from runagent_testing.dialects import Dialect

__all__ = ["TransportConformance"]


class TransportConformance:
    """Subclass it under a name that begins with ``Test``, and override `transport` and, mostly, `dialects`.

    The fixture `samples` adds streams of your protocol that the kit cannot think of.

    Attributes:
        requirements: The number of the set; it has no default, so that an update of the kit never breaks your
            tests. If a requirement of a newer set fails, its test is skipped with the reason
            (``pytest -rs``).
        skip_capabilities: Declared capabilities that the peer cannot show.
        options: Arguments for the clients: ``headers``, ``transport_options``, ``entrypoint_tag``.
        baseline: The file of known failures.
        styles: The styles to run in.
        players: The players to run on.
    """

    requirements: ClassVar[int] = 0
    skip_capabilities: ClassVar[Iterable[str]] = ()
    options: ClassVar[Mapping[str, Any]] = {}
    baseline: ClassVar[Baseline | str | Path | None] = None
    styles: ClassVar[Collection[str]] = STYLES
    players: ClassVar[Collection[str]] = PLAYERS
    _watchdog: ClassVar[Watchdog]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._watchdog = Watchdog()  # of all its tests

    @pytest.fixture
    def transport(self) -> AnyTransport | str:
        """Return the transport, or the name of an installed one."""
        raise NotImplementedError("override the fixture `transport`")

    @pytest.fixture
    def dialects(self) -> Iterable[Dialect]:
        """Return the dialects that the fake agent needs to understand the transport."""
        return ()

    @pytest.fixture
    def samples(self) -> Mapping[str, Iterable[Any]]:
        """Return scripts of streams with everything that the protocol has, by name; see `check_transport`."""
        return {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of every requirement in every variant."""
        if "requirement" not in metafunc.fixturenames:
            return
        cases = [
            pytest.param(requirement, variant, id=f"{requirement.id}-{variant}".rstrip("-"))
            for requirement in all_requirements()
            for variant in variants(requirement)
            if not variant or self._chosen(variant)
        ]
        metafunc.parametrize(("requirement", "variant"), cases)

    def test_requirement(
        self,
        requirement: Requirement,
        variant: str,
        transport: AnyTransport | str,
        dialects: Iterable[Dialect],
        samples: Mapping[str, Iterable[Any]],
    ) -> None:
        """Check one requirement."""
        __tracebackhide__ = True
        if not self.requirements:
            pytest.fail(f"set the number of the requirements: requirements = {LATEST}", pytrace=False)
        check_set(self.requirements)
        subject = Subject(
            transport,
            tuple(dialects),
            self.options,
            frozenset(self.skip_capabilities),
            checked_samples(samples),
        )
        result = examine(
            subject,
            requirement,
            variant,
            requirements=self.requirements,
            baseline=Baseline.of(self.baseline),
            watchdog=self._watchdog,
        )
        summary = f"{requirement.sentence} ({requirement.source}; {result.explained})\n{result.reason}"
        if result.bad:
            pytest.fail(f"{result.id}: {summary}", pytrace=False)
        if result.status == "known":
            pytest.xfail(result.reason)
        if result.status == "advice":
            pytest.skip(f"advice, required from set {requirement.since} on: {summary}")
        if result.status == "not applicable":
            pytest.skip(result.reason)

    def test_baseline(self) -> None:
        """Check that the baseline lists known requirements only."""
        Baseline.of(self.baseline).check_known(all_requirements())

    def _chosen(self, variant: str) -> bool:
        style, _, player = variant.partition("-")
        return style in self.styles and player in self.players


publish(TransportConformance, module="runagent_testing.conformance")
