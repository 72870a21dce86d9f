"""The keys of a script file that name other files, relative to its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent_testing._host.agent import Agent
from runagent_testing._standalone.document import Item
from runagent_testing._standalone.forms import NUMBER, SECONDS, TEXT, read_fields

if TYPE_CHECKING:
    from runagent_testing._standalone.document import Problems

__all__ = ["read_replay"]

_REPLAY = {"path": TEXT, "speed": NUMBER, "max_gap": SECONDS}


def read_replay(item: Item, script: str, agent_id: str, problems: Problems) -> dict[str, Any] | None:
    """Read ``replay: PATH`` or ``replay: {path: PATH, ...}``, and check the recordings.

    Args:
        item: The value.
        script: The path of the script file.
        agent_id: The agent's id.
        problems: Where problems are noted.

    Returns:
        The arguments of `Agent.replay`; None if they are invalid.
    """
    fields = item if isinstance(item.value, dict) else Item(item.place, {"path": item}, {"path": item.place})
    before = len(problems)
    options = read_fields(fields, _REPLAY, problems, of="replay")
    if len(problems) == before and "path" not in options:
        problems.add(item, "replay names a recording or a folder: replay: PATH, or {path: PATH, speed: 2}")
    if len(problems) > before:
        return None
    options["path"] = str(Path(script).parent / options["path"])
    try:
        Agent(agent_id).replay(**options)
    except OSError as exc:
        problems.add(item, f"cannot read {exc.filename or options['path']}: {exc.strerror or exc}")
    except (TypeError, ValueError) as exc:
        for line in str(exc).split("\n"):
            problems.add(item, line)
    return None if len(problems) > before else options
