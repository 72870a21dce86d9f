"""Test runs in separate processes, with the plugin."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "runagent_testing.pytest_plugin"
USE = """
import pytest
from runagent import RunAgentClient

def asked(host, agent="fake-agent", **options):
    with RunAgentClient(agent, base_url=host.url, max_retries=0, **options) as client:
        return client.run_generic_stream("tell me").text()
"""


def run(project, source, *arguments):
    project.makepyfile(USE + source)
    return project.runpytest_subprocess("-p", PLUGIN, *arguments)
