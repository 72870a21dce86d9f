"""An empty home, and the configuration file in it."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty home, so that nobody's own configuration takes part."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


@pytest.fixture
def config_file(home):
    """Write the default configuration file, readable by its owner only."""

    def write(content):
        path = home / ".runagent" / "config.json"
        path.parent.mkdir(exist_ok=True)
        data = content if isinstance(content, bytes | str) else json.dumps(content)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        path.chmod(0o600)
        return path

    return write
