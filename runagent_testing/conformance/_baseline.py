"""Known failures, as a file; an entry fails once its requirement passes, so that the file stays true."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runagent_testing._internal.files import read_text
from runagent_testing._internal.public import publish
from runagent_testing._internal.suggestions import nearest
from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from runagent_testing.conformance._harness.requirements import Requirement

__all__ = ["Baseline", "BaselineError"]

__tracebackhide__ = is_ours

_ENTRY = re.compile(r"(?P<id>[a-z-]+\.[a-z-]+)(?:\[(?P<variant>[a-z-]+)\])?\s*:\s*(?P<reason>\S.*)")


class BaselineError(ValueError):
    """A baseline cannot be used; the message has the line and the reason."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The known failures of a transport.

    A line is ``id[variant]: reason`` or, for all variants of a requirement, ``id: reason``. Empty lines
    and lines that begin with # are ignored.

    Attributes:
        entries: Reasons by id and variant; None for all variants.
    """

    entries: Mapping[tuple[str, str | None], str] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Baseline | str | Path | None) -> Baseline:
        """Return a baseline, which is read from its file if a path is given.

        Raises:
            OSError: The file cannot be read.
            BaselineError: A line is invalid.
        """
        if isinstance(source, Baseline):
            return source
        return cls() if source is None else cls._read(source)

    @classmethod
    def _read(cls, path: str | Path) -> Baseline:
        try:
            return cls.parse(read_text(path), str(path))
        except UnicodeDecodeError as exc:
            raise BaselineError(f"{path} is not UTF-8: {exc.reason} at byte {exc.start}") from exc

    @classmethod
    def parse(cls, text: str, name: str = "baseline") -> Baseline:
        """Read the lines.

        Raises:
            BaselineError: A line is invalid.
        """
        entries: dict[tuple[str, str | None], str] = {}
        for number, line in enumerate(map(str.strip, text.splitlines()), 1):
            if not line or line.startswith("#"):
                continue
            match = _ENTRY.fullmatch(line)
            if match is None:
                raise BaselineError(f"{name}:{number}: expected 'id[variant]: reason', found {line[:100]!r}")
            entries[match["id"], match["variant"]] = match["reason"]
        return cls(entries)

    def reason(self, id: str, variant: str) -> str | None:
        """Return the reason of a known failure, or None if the failure is not known."""
        return self.entries.get((id, variant), self.entries.get((id, None)))

    def check_known(self, requirements: Iterable[Requirement]) -> None:
        """Reject entries of unknown requirements.

        Raises:
            BaselineError: An entry's requirement or variant is unknown.
        """
        from runagent_testing.conformance._harness.requirements import variants

        known = [
            name
            for requirement in requirements
            for name in (requirement.id, *(f"{requirement.id}[{name}]" for name in variants(requirement)))
        ]
        for id, variant in self.entries:
            shown = id if variant is None else f"{id}[{variant}]"
            if shown not in known:
                likely = nearest(shown, known, "runagent-fake explain lists all of them")
                raise BaselineError(f"the baseline lists an unknown requirement, {shown}; {likely}")


publish(Baseline, BaselineError, module="runagent_testing.conformance")
