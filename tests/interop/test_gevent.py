"""Under gevent, a library of asyncio runs in threads of the operating system, and one of trio is refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.docs.pages import ROOT
from tests.interop.programs import environment, needs_environment

pytestmark = needs_environment("gevent")


def test_greenlets_read_what_a_library_of_asyncio_hands_over() -> None:
    command = [str(environment("gevent")), str(Path(__file__).with_name("agents") / "greenlets.py")]
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (ran.returncode, ran.stderr)
    seen = json.loads(ran.stdout)
    assert 5 <= seen.pop("threads")
    refused = "the transport 'library' needs trio, which does not run where gevent has patched select"
    failed = "the transport 'library' failed: RuntimeError('broken before it began')"
    assert ["ConfigurationError", refused, True] == seen.pop("trio")
    assert ["PluginError", failed, True] == seen.pop("early")
    assert {"texts": ["ab"] * 5, "own thread": False, "killed": "GreenletExit()", "cancelled": 1} == seen
