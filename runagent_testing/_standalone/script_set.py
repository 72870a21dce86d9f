"""The script files that a server serves together, and reads again when they change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing._internal.redaction import escaped
from runagent_testing._standalone.command import CommandError, load
from runagent_testing._standalone.demo import DEMO
from runagent_testing._standalone.script_file import ScriptFile, read_script

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runagent_testing._host.host import AgentHost

__all__ = ["ScriptSet"]


class ScriptSet:
    """Script files, or the demo if there are none.

    Args:
        paths: The files.
        upstream: Passes on to a real service what they do not answer; None if there is none.
        chaos: The arguments of `Scope.chaos`, in place of those of the files; empty for none.

    Raises:
        CommandError: A file cannot be read or is invalid, or an agent is in two of them.
    """

    def __init__(
        self, paths: Sequence[str], upstream: ScriptFile | None = None, chaos: Mapping[str, Any] | None = None
    ) -> None:
        self.paths = list(paths)
        self.upstream = upstream
        self._chaos = chaos or {}
        self._scripts = self._load()

    def apply(self, host: AgentHost) -> None:
        """Give the host's agents their scripts."""
        for script in self._scripts:
            script.apply(host)

    def load_again(self, host: AgentHost) -> None:
        """Read the files again; after an error, everything is as it was.

        Raises:
            CommandError: As for the class.
        """
        scripts = self._load()
        host._replace(self._scripts, scripts, self.agents)
        self._scripts = scripts

    @property
    def agents(self) -> list[str]:
        """The ids of the agents, in order."""
        return [agent_id for script in self._scripts for agent_id in script.places]

    @property
    def gates(self) -> list[str]:
        """The names of the gates, in order."""
        return list(dict.fromkeys(name for script in self._scripts for name in script.gates))

    def _load(self) -> list[ScriptFile]:
        last = [] if self.upstream is None else [self.upstream]
        if self._chaos:
            last.append(ScriptFile(chaos=dict(self._chaos)))
        if not self.paths and self.upstream is None:
            return [read_script(DEMO, "demo.yaml"), *last]
        scripts, errors = [], []
        for path in self.paths:
            try:
                scripts.append(load(path))
            except CommandError as exc:
                errors.append(exc)
        if not errors and (doubled := list(_doubled(self.paths, scripts))):
            errors.append(CommandError("an agent has one script file", doubled))
        if errors:
            problems = [problem for error in errors for problem in error.problems]
            raise CommandError("; ".join(map(str, errors)), problems)
        return [*scripts, *last]


def _doubled(paths: Sequence[str], scripts: Sequence[ScriptFile]) -> Iterator[str]:
    """Yield a line for each agent that an earlier file has, too."""
    seen: dict[str, str] = {}
    for path, script in zip(paths, scripts, strict=True):
        for agent_id, place in script.places.items():
            here = f"{path}:{place.line}:{place.column}"
            if agent_id in seen:
                yield escaped(f"{here}: agent {agent_id!r} is at {seen[agent_id]}, too")
            seen.setdefault(agent_id, here)
