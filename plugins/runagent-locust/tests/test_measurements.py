"""A master adds up the measures of its workers, and writes tables and files; events are as Locust's."""

from __future__ import annotations

import csv
import json
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from runagent_locust import Measurements, Measures, measure
from runagent_locust.measures import Names
from runagent_locust.tables import gaps_csv, html_part, streams_csv, text_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Event:
    """As an event of Locust: listeners are called with keywords."""

    def __init__(self) -> None:
        self.listeners: list[Callable[..., None]] = []

    def add_listener(self, listener: Callable[..., None]) -> None:
        self.listeners.append(listener)

    def fire(self, **facts: Any) -> None:
        for listener in self.listeners:
            listener(**facts)


class Events(defaultdict[str, Event]):
    """The events, by name; one that nobody listens to does nothing."""

    def __init__(self) -> None:
        super().__init__(Event)

    def __getattr__(self, name: str) -> Event:
        return self[name]


class Options:
    """What the options of the command line come to."""

    def __init__(self, csv_prefix: str | None = None, html_file: str | None = None) -> None:
        self.csv_prefix, self.html_file = csv_prefix, html_file


class Process:
    """One process of a test: its environment, and what it measures."""

    def __init__(self, options: Options | None = None, *, reset_stats: bool = False) -> None:
        self.events = Events()
        self.reset_stats = reset_stats
        self.parsed_options = options
        self.measurements: Measurements = measure(self)

    def reports(self, client_id: str, *masters: Process) -> None:
        """Send a report, through JSON, as a worker does."""
        data: dict[str, Any] = {"stats": []}
        self.events.report_to_master.fire(client_id=client_id, data=data)
        for master in masters:
            master.events.worker_report.fire(client_id=client_id, data=json.loads(json.dumps(data)))


def note(process: Process, name: str, *gaps: int, error: str | None = None) -> None:
    """Count a stream with these gaps in milliseconds."""
    measures = process.measurements.new[name]
    measures.started += 1
    measures.chunks += len(gaps) + 1
    measures.first.record(12_300)
    for gap in gaps:
        measures.gap.record(gap * 1000)
    if error is not None:
        measures.note_error(error)
        return
    measures.completed += 1
    measures.stream.record(100_000)
    measures.rate.record(25_000)


def test_the_master_has_the_sum_of_its_workers_whenever_they_report() -> None:
    master, workers = Process(), [Process(), Process()]
    for round_ in range(5):
        for at, worker in enumerate(workers):
            note(worker, "story", round_, at, 7)
            if round_ % 2:
                note(worker, f"only {at}", 300, error="StreamError")
            if at or round_ == 3:
                worker.reports(f"worker-{at}", master)
    for at, worker in enumerate(workers):
        worker.reports(f"worker-{at}", master)
    whole = Names()
    for worker in workers:
        whole.add(worker.measurements.all)
    assert whole.as_data() == master.measurements.all.as_data()
    assert {"story", "only 0", "only 1"} == master.measurements.all.keys()
    assert 30 == master.measurements.all["story"].gap.count


def test_a_copy_of_everything_changes_nothing() -> None:
    local = Process()
    note(local, "story", 5)
    local.measurements.all["story"].gap.record(1)
    assert 1 == local.measurements.all["story"].gap.count


def test_a_new_test_begins_at_zero() -> None:
    local = Process()
    note(local, "story")
    local.events.test_start.fire(environment=local)
    assert {} == local.measurements.all


def test_the_button_of_the_web_interface_resets() -> None:
    local = Process()
    note(local, "story")
    local.events.reset_stats.fire()
    assert {} == local.measurements.all


@pytest.mark.parametrize("reset", [False, True])
def test_the_option_resets_once_all_users_are_there(reset: bool) -> None:
    local = Process(reset_stats=reset)
    note(local, "story")
    local.events.spawning_complete.fire(user_count=1)
    assert reset is not bool(local.measurements.all)


def test_an_environment_is_measured_once() -> None:
    process = Process()
    assert process.measurements is measure(process)
    assert 1 == len(process.events.test_start.listeners)


def test_a_report_of_a_worker_without_agents_is_left_alone() -> None:
    master = Process()
    master.events.worker_report.fire(client_id="worker-1", data={"stats": []})
    assert {} == master.measurements.all


def test_the_table_names_workers_whose_last_report_is_missing() -> None:
    master, workers = Process(), [Process(), Process()]
    for at, worker in enumerate(workers):
        worker.events.test_start.fire(environment=worker)
        note(worker, "story")
        worker.reports(f"worker-{at}", master)
    assert ["", "Missing: the last report of 2 of the workers."] == master.measurements.table()[-2:]
    for at, worker in enumerate(workers):
        worker.events.test_stop.fire(environment=worker)
        worker.reports(f"worker-{at}", master)
        assert 1 - at == master.measurements.unfinished
    assert not any("Missing" in line for line in master.measurements.table())


def printed_at_the_end(process: Process, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.INFO, "locust.stats_logger"):
        process.events.quit.fire(exit_code=0)
    return caplog.messages


def test_the_end_prints_the_table_and_writes_what_options_ask_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = tmp_path / "report.html"
    report.write_text("<html><body>é</body></html>", encoding="utf-8")
    local = Process(Options(f"{tmp_path}/load", str(report)))
    note(local, "a <story>", 20, error="StreamError")
    assert local.measurements.table() == printed_at_the_end(local, caplog)
    page = report.read_text(encoding="utf-8")
    assert page.startswith('<html><body>é<section id="runagent"')
    assert page.endswith("</section>\n</body></html>")
    assert streams_csv(local.measurements.all) == (tmp_path / "load_streams.csv").read_bytes().decode()
    assert gaps_csv(local.measurements.all) == (tmp_path / "load_gaps.csv").read_bytes().decode()


def test_a_worker_prints_and_writes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    worker = Process(Options(f"{tmp_path}/load"))
    note(worker, "story")
    worker.reports("worker-1")
    assert [] == printed_at_the_end(worker, caplog)
    assert [] == list(tmp_path.iterdir())


def test_a_test_without_a_stream_prints_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert [] == printed_at_the_end(Process(Options()), caplog)


def names() -> Names:
    process = Process()
    note(process, "story", 20, 20, 21)
    note(process, "<long>", 20, error="AgentServerError 503")
    return process.measurements.all


def test_the_table_has_counts_distributions_and_errors() -> None:
    shown = """\
Streams  started  completed  failed  closed  retries  chunks
<long>         1          0       1       0        0       2
story          1          1       0       0        0       4

Distributions                   count   mean    50%    90%    95%    99%  99.9%    max
<long>         first chunk, ms      1   12.3   12.3   12.3   12.3   12.3   12.3   12.3
<long>         gap, ms              1   20.0   20.0   20.0   20.0   20.0   20.0   20.0
story          first chunk, ms      1   12.3   12.3   12.3   12.3   12.3   12.3   12.3
story          gap, ms              3   20.3   20.1   21.0   21.0   21.0   21.0   21.0
story          stream, ms           1  100.0  100.0  100.0  100.0  100.0  100.0  100.0
story          chunks/s             1   25.0   25.0   25.0   25.0   25.0   25.0   25.0

Errors                        streams
<long>  AgentServerError 503        1"""
    assert shown.splitlines() == text_table(names())


def test_the_csv_of_streams_has_a_row_for_each_name() -> None:
    long, story = csv.DictReader(streams_csv(names()).splitlines())
    assert ("<long>", "1", "0", "1") == tuple(long[key] for key in ("name", "started", "completed", "failed"))
    assert ("3", "20.333", "20.095", "21.000") == tuple(
        story[f"gap {key}"] for key in ("count", "mean", "50%", "max")
    )


def test_the_csv_of_gaps_has_the_whole_histogram() -> None:
    rows = list(csv.reader(gaps_csv(names()).splitlines()))
    assert ["name", "from ms", "to ms", "count"] == rows[0]
    assert ["story", "19.968", "20.095", "2"] in rows
    assert 4 == sum(int(count) for *_, count in rows[1:])


def test_the_part_of_the_page_is_escaped() -> None:
    part = html_part(names())
    assert '<td align="left">&lt;long&gt;</td><td>1</td>' in part
    assert "<long>" not in part
    assert part.count("<table") == part.count("</table>") == 3


def test_errors_come_with_the_most_frequent_first() -> None:
    measures = Measures()
    for label in ("B", "A", "C", "C"):
        measures.note_error(label)
    *_, first, second, third = text_table(Names(story=measures))
    assert ["C", "A", "B"] == [line.split()[1] for line in (first, second, third)]
