"""The upstream of ``serve`` and ``record``, and recordings as commands read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing._standalone.command import CommandError, read_checked

if TYPE_CHECKING:
    import argparse

    from runagent_testing._recording.format import Recording
    from runagent_testing._standalone.script_file import ScriptFile

__all__ = ["load_recording", "passed_on"]


def passed_on(options: argparse.Namespace) -> ScriptFile | None:
    """Return the script of what is passed on to a real service; None if there is no upstream.

    Raises:
        CommandError: The URL is invalid, or the folder of recordings cannot be made.
    """
    from runagent_testing._host.agent import Agent
    from runagent_testing._standalone.calls import Call
    from runagent_testing._standalone.document import Place
    from runagent_testing._standalone.script_file import ScriptFile

    is_recorded = "into" in options
    if options.upstream is None:
        if is_recorded:
            raise CommandError("record needs --upstream URL, the service to record")
        return None
    recorded: dict[str, Any] = (
        {"record": options.into, "stable_ids": options.stable_ids} if is_recorded else {}
    )
    try:
        Agent("*").forwards(options.upstream, **recorded)
    except ValueError as exc:
        raise CommandError(f"--upstream: {exc}") from exc
    except OSError as exc:
        raise CommandError(f"cannot record into {options.into}: {exc.strerror or exc}") from exc
    script = ScriptFile(calls=[Call("*", "forwards", (options.upstream,), recorded)])
    script.places["*"] = Place(1, 1)
    return script


def load_recording(path: str) -> Recording:
    """Read a recording.

    Raises:
        CommandError: It cannot be read, or is invalid; then ``problems`` has the lines.
    """
    from runagent_testing._recording.reading import RecordingError, read_recording

    return read_checked(path, read_recording, RecordingError)
