"""The benchmark in short: everything in it runs, with bounds that a busy machine keeps, too."""

from __future__ import annotations

import sys

import pytest

from tests.benchmarks.baselines import BASELINE, TASK
from tests.benchmarks.bench import MEASURED
from tests.benchmarks.contenders import Origin, load_all
from tests.benchmarks.ours import NAME
from tests.benchmarks.race import origins, race, workers
from tests.benchmarks.starts import imports
from tests.benchmarks.tables import Goal, Table
from tests.docs.pictures.charts import bars


@pytest.fixture(scope="module")
def origin():
    with origins() as (plain, _):
        yield plain


@pytest.mark.parametrize("wire", ["sse", "plain"])
def test_a_burst_costs_little_more_than_the_baseline(wire, origin):
    with workers([f"{BASELINE}/sync/{wire}", f"{NAME}/sync/{wire}"], origin) as racers:
        baseline, ours = race(racers, lambda wire: f"{wire}-burst-2000", rounds=3).values()
    assert ours.ratio(baseline, "cpu") < 8


def test_one_event_in_each_write_is_measured_from_its_writing(origin):
    with workers([f"{NAME}/asyncio/ndjson"], origin) as racers:
        (ours,) = race(racers, lambda wire: f"{wire}-paced-50", rounds=1, times=lambda _: 1).values()
    assert [50] == ours.values("count")
    assert ours.median("latency") > 0


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not for Windows")
def test_asyncio_on_uvloop_is_measured(origin):
    with workers([f"{BASELINE}/uvloop/sse", f"{TASK}/uvloop/sse", f"{NAME}/uvloop/sse"], origin) as racers:
        results = race(racers, lambda wire: f"{wire}-burst-500", rounds=1, times=lambda _: 1).values()
    assert [[500]] * 3 == [result.values("count") for result in results]


def test_the_import_costs_about_what_its_parts_do():
    bare, ours = imports(rounds=3).values()
    assert ours / bare < 4


def test_a_race_that_reads_different_texts_is_void(origin):
    with workers([f"{BASELINE}/sync/sse", f"{NAME}/sync/sse"], origin) as racers:
        sizes = iter([10, 20, 30, 40])
        with pytest.raises(AssertionError, match="different texts"):
            race(racers, lambda wire: f"{wire}-burst-{next(sizes)}", rounds=1, times=lambda _: 1)


def test_contenders_are_entered_by_what_they_read():
    assert set(MEASURED) == {c.style for c in load_all().values() if c.name == NAME}
    missing = workers(["nobody/sync/sse"], Origin(0))
    with pytest.raises(ValueError, match="no such contenders: nobody/sync/sse"), missing:
        pass


def test_a_goal_that_is_missed_is_called_short():
    table = str(Table.of_goals([Goal("a", 1.2, 1.25), Goal("b", 2.0, 2.5, at_least=True)]))
    assert "| a | 1.2x | at most 1.25x | pass |" in table
    assert "| b | 2x | at least 2.5x | **short** |" in table


def test_the_chart_has_a_bar_for_each():
    values = [("them <1>", 100.0), ("runagent", 1.0), ("baseline", 0.9)]
    drawn = bars("Costs", values, is_logarithmic=True)
    assert 4 == drawn.count("<rect")
    assert "them &lt;1&gt;" in drawn
    assert (
        drawn.index("baseline</text>") < drawn.index("runagent</text>") < drawn.index("them &lt;1&gt;</text>")
    )
