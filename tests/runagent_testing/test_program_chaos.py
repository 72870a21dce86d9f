"""``runagent-fake serve --chaos``: faults by chance in every scope."""

from __future__ import annotations

from urllib.request import Request, urlopen

import pytest

from runagent import RunAgentClient, RunAgentError
from tests.runagent_testing.program import serve_here
from tests.runagent_testing.raw_client import PATIENCE


def test_chaos_is_in_every_scope_and_survives_a_reset(tmp_path, capfd):
    path = tmp_path / "s.yaml"
    path.write_text("agents: {a: {always: [word]}}\nchaos: 0.0\n", encoding="utf-8")
    failures = []

    def run(url):
        for scope in (url, f"{url}/_scope/one"):
            for _ in range(2):
                client = RunAgentClient("a", base_url=scope, max_retries=0, timeout=PATIENCE)
                with client, pytest.raises(RunAgentError) as failed:
                    client.run_generic_stream("q").text()
                failures.append(failed.type)
                urlopen(Request(f"{scope}/_fake/reset", method="POST"), timeout=PATIENCE).close()

    arguments = (path, "--port", 0, "--chaos", 1, "--seed", 7)
    assert 0 == serve_here(tmp_path, run, *arguments)
    assert 4 == len(failures)
    log = capfd.readouterr().err
    assert log.startswith("some runs meet a fault of the catalogue: --chaos 1.0 --seed 7\n")
    assert 4 == log.count(", fault sse/")
