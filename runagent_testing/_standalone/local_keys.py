"""The keys of a script file that name other files, relative to its folder, and services."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent_testing._host.agent import Agent
from runagent_testing._standalone.document import Item
from runagent_testing._standalone.forms import NUMBER, SECONDS, TEXT, FieldType, read_fields

if TYPE_CHECKING:
    from runagent_testing._standalone.document import Problems

__all__ = ["LOCAL_KEYS", "read_local_key"]

_FIELDS: dict[str, dict[str, FieldType]] = {
    "forwards": {"url": TEXT},
    "replay": {"path": TEXT, "speed": NUMBER, "max_gap": SECONDS},
}
# No client may choose what they name.
LOCAL_KEYS = tuple(_FIELDS)


def read_local_key(
    key: str, item: Item, script: str, agent_id: str, problems: Problems
) -> dict[str, Any] | None:
    """Read ``replay: PATH`` or ``replay: {path: PATH, ...}``, and ``forwards: URL``.

    Args:
        key: One of `LOCAL_KEYS`.
        item: The value.
        script: The path of the script file.
        agent_id: The agent's id.
        problems: Where problems are noted.

    Returns:
        The arguments of the agent's method with this name; None if they are invalid.
    """
    fields = _FIELDS[key]
    own = next(iter(fields))
    given = item if isinstance(item.value, dict) else Item(item.place, {own: item}, {own: item.place})
    before = len(problems)
    options = read_fields(given, fields, problems, of=key, own=own)
    if len(problems) == before and own not in options:
        problems.add(item, f"{key} needs a {own}: {key}: {own.upper()}")
    if len(problems) > before:
        return None
    if own == "path":
        options["path"] = str(Path(script).parent / options["path"])
    try:
        getattr(Agent(agent_id), key)(**options)
    except OSError as exc:
        problems.add(item, f"cannot read {exc.filename or options[own]}: {exc.strerror or exc}")
    except (TypeError, ValueError) as exc:
        for line in str(exc).split("\n"):
            problems.add(item, line)
    return None if len(problems) > before else options
