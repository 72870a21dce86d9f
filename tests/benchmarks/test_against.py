"""The comparison with another commit in short: all of it runs, with bounds that a busy machine keeps."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.benchmarks.against import ROOT, Row, compare_first_chunks, compare_runs, main, unpack
from tests.benchmarks.race import origins


@pytest.fixture(scope="module")
def origin():
    with origins() as (plain, _):
        yield plain


@pytest.fixture
def same(tmp_path):
    """The package of this checkout, in another folder."""
    (tmp_path / "runagent").symlink_to(ROOT / "runagent", target_is_directory=True)
    return tmp_path


def test_a_start_costs_what_the_same_start_costs(origin, same):
    rows = compare_first_chunks(origin, same, rounds=3)
    assert ["sse", "chunked", "websocket"] == [row.what.partition(":")[0].split()[-1] for row in rows]
    assert all(0.3 < row.ratio < 3 for row in rows)


@pytest.mark.parametrize("chunks", [9, 2000])
def test_a_run_costs_what_the_same_run_costs(chunks, origin, same):
    (row,) = compare_runs(origin, same, "sse", chunks, rounds=3, styles=["sync"])
    assert 3 == len(row.this) == len(row.that)
    assert 0.3 < row.ratio < 3


def test_each_side_has_its_own_package(origin, tmp_path):
    (tmp_path / "runagent").mkdir()
    (tmp_path / "runagent" / "__init__.py").write_text("raise SystemExit(5)", encoding="ascii")
    with pytest.raises(RuntimeError, match="failed with status"):
        compare_first_chunks(origin, tmp_path, rounds=1)


def test_the_package_of_a_commit_is_unpacked_whole(tmp_path):
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("no checkout")
    unpack("HEAD", tmp_path)
    assert (tmp_path / "runagent" / "__init__.py").is_file()
    assert ["runagent"] == [path.name for path in tmp_path.iterdir()]


def test_an_unknown_commit_is_named():
    with pytest.raises(SystemExit, match="git has no package of 'no-such-commit'"):
        main(["no-such-commit"])


def test_the_ratio_is_of_the_same_round():
    assert 2.0 == Row("a", [2.0, 20.0, 400.0], [1.0, 10.0, 100.0]).ratio


@pytest.mark.parametrize("module", ["against", "fake_against"])
def test_a_comparison_needs_no_code_that_other_commits_lack(module: str) -> None:
    program = f"import sys, tests.benchmarks.{module}; assert 'runagent_testing._timeline' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
