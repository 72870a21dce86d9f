"""What each event of a stream means, also forms that the fake agent does not write by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    Chunk,
    Completed,
    Custom,
    ProtocolError,
    RunAgentClient,
    Started,
    StreamError,
    StreamTruncatedError,
)
from runagent_testing import MemoryNetwork, custom, done, ending, head, heartbeat, raw, status

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., Any]

RPC: dict[str, str] = {}
OLD = {"a2a_version": "0.3"}
FILE = {"raw": "UE5H", "mediaType": "image/png", "filename": "a.png"}
FILE_0_3 = {"bytes": "UE5H", "mimeType": "image/png", "name": "a.png"}


def sse(*results: Any, **outer: Any) -> Any:
    """Write events of a stream in place of the fake agent's."""
    return raw(b"".join(f"data: {json.dumps(outer | {'result': each})}\n\n".encode() for each in results))


def update(**artifact: Any) -> dict[str, Any]:
    append = artifact.pop("append", None)
    ids = {"taskId": "t", "contextId": "c"}
    return {"artifactUpdate": {**ids, "artifact": artifact, **({} if append is None else {"append": append})}}


def state(word: str, **fields: Any) -> dict[str, Any]:
    about = {name: fields.pop(name) for name in ("metadata",) if name in fields}
    return {"statusUpdate": {"taskId": "t", "contextId": "c", "status": {"state": word, **fields}, **about}}


OVER = state("TASK_STATE_COMPLETED")


def contents(events: list[Any]) -> list[Any]:
    return [event.content for event in events if isinstance(event, Chunk)]


def customs(events: list[Any], *names: str) -> list[Any]:
    return [event.value for event in events if isinstance(event, Custom) and event.name in names]


def test_a_run_begins_with_its_task(run_a2a: Run, memory: MemoryNetwork, spoken: dict[str, Any]) -> None:
    memory.agent("writer").reply("Once")
    started, task, status_, chunk_, completed = run_a2a()
    assert isinstance(started, Started)
    assert f"c-{str(started.invocation_id)[:12]}" == started.session_id
    assert ("task", started.invocation_id) == (task.name, task.value["id"])
    assert "artifacts" not in task.value
    old = "a2a_version" in spoken
    assert ("status", {"state": "working" if old else "TASK_STATE_WORKING"}) == (status_.name, status_.value)
    assert ("Once", isinstance(completed, Completed)) == (chunk_.content, True)


def test_files_statuses_and_metadata_are_custom_events(run_a2a: Run, memory: MemoryNetwork) -> None:
    said = {"messageId": "m", "parts": [{"text": "looking"}]}
    memory.agent("writer").reply(
        "See: ",
        custom("file", FILE),
        custom("status", {"message": said}),
        custom("urn:step", {"n": 1}),
        heartbeat(),
    )
    events = run_a2a()
    assert (["See: "], [FILE], [{"n": 1}]) == (
        contents(events),
        customs(events, "file"),
        customs(events, "urn:step"),
    )
    assert said == customs(events, "status")[-1]["message"]


def test_the_end_has_message_and_metadata(run_a2a: Run, memory: MemoryNetwork) -> None:
    memory.agent("writer").reply("Once", done("that was it", metadata={"page": 1}))
    last = run_a2a()[-1]
    assert ("that was it", {"page": 1}, []) == (last.message, last.metadata, last.interrupts)


@pytest.mark.parametrize(("reason", "expected"), [(None, "INPUT_REQUIRED"), ("auth", "AUTH_REQUIRED")])
def test_a_task_that_waits_ends_the_run_with_an_interrupt(
    run_a2a: Run, memory: MemoryNetwork, reason: str | None, expected: str
) -> None:
    memory.agent("writer").reply("Well", done("Which?", interrupts=[{"form": "f"}], stop_reason=reason))
    started, *_, last = run_a2a()
    [waits] = last.interrupts
    assert started.invocation_id == waits["id"]
    assert waits["state"] == last.stop_reason
    assert last.stop_reason.upper().replace("-", "_").endswith(expected)
    assert {"form": "f"} in [part.get("data") for part in waits["message"]["parts"]]


# Forms of JSON-RPC 1.0 that no step of a script makes.


@pytest.mark.parametrize("spoken", [RPC], indirect=False)
class TestForms:
    def test_a_lone_message_is_the_whole_answer(self, run_a2a: Run, memory: MemoryNetwork) -> None:
        parts = [{"text": "Once"}, {"data": None}, {"text": " upon"}]
        message = {"messageId": "m", "contextId": "c", "role": "ROLE_AGENT", "parts": parts}
        memory.agent("writer").reply(head(start=False), sse({"message": message}), ending("no-done"))
        started, *chunks, last = run_a2a()
        assert ("c", ["Once", None, " upon"]) == (started.session_id, contents(chunks))
        assert isinstance(last, Completed)

    def test_a_message_within_a_task_is_none(self, run_a2a: Run, memory: MemoryNetwork) -> None:
        message = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "hm"}]}
        memory.agent("writer").reply("Once", sse({"message": message}))
        events = run_a2a()
        assert (["Once"], [message]) == (contents(events), customs(events, "message"))

    def test_an_artifact_of_several_parts_with_a_name(self, run_a2a: Run, memory: MemoryNetwork) -> None:
        parts = [{"text": "a"}, {"data": [1]}, {"raw": "UE5H"}, {"text": ""}, {"text": "b"}]
        about = {"artifactId": "x", "name": "pages"}
        memory.agent("writer").reply(sse(update(**about, parts=parts)))
        events = run_a2a()
        assert (["a", [1], "b"], [about]) == (contents(events), customs(events, "artifact"))
        assert [{"raw": "UE5H"}] == customs(events, "file")

    def test_an_artifact_that_replaces_another_one_is_announced(
        self, run_a2a: Run, memory: MemoryNetwork
    ) -> None:
        first, again = (
            update(artifactId="x", parts=[{"text": "draft"}]),
            update(artifactId="x", parts=[{"text": "final"}]),
        )
        memory.agent("writer").reply(
            sse(first, again, update(artifactId="x", parts=[{"text": "!"}], append=True))
        )
        events = run_a2a()
        assert (["draft", "final", "!"], [{"artifactId": "x"}]) == (
            contents(events),
            customs(events, "artifact"),
        )

    def test_a_stream_is_not_resumed_behind_a_replaced_artifact(
        self, run_a2a: Run, memory: MemoryNetwork
    ) -> None:
        texts = [update(artifactId="x", parts=[{"text": text}]) for text in ("draft", "final")]
        memory.agent("writer").reply(sse(*texts), ending("cut"))
        with pytest.raises(StreamTruncatedError):
            run_a2a(max_retries=2)
        assert 1 == len(memory.requests)

    def test_the_last_message_is_handed_out_if_it_is_more_than_text(
        self, run_a2a: Run, memory: MemoryNetwork
    ) -> None:
        said = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "see "}, {"data": 1}]}
        memory.agent("writer").reply(sse(state("TASK_STATE_COMPLETED", message=said)), ending("no-done"))
        events = run_a2a()
        assert ([said], "see ") == (customs(events, "message"), events[-1].message)

    def test_what_is_unknown_is_left_out_and_counted(self, run_a2a: Run, memory: MemoryNetwork) -> None:
        odd = {"task": {"id": "t", "status": {"state": "W"}}, "artifact": {"parts": [{"text": "a"}]}}
        memory.agent("writer").reply(
            sse({"later": {"a": 1}}, odd), "Once", sse(update(artifactId="x", parts=[]))
        )
        with RunAgentClient(
            "writer", base_url=f"{memory.url}/a2a/writer", transport="a2a", network=memory.blocking
        ) as client:
            stream = client.run_generic_stream("hi")
            assert "Once" == stream.text()
        assert {"later in an event": 1, "artifact in an event": 1} == stream.report.ignored

    @pytest.mark.parametrize(
        "event",
        [
            raw(b"data: <p>\n\n"),
            raw(b"data: []\n\n"),
            raw(b'data: {"jsonrpc": "2.0"}\n\n'),
            sse([]),
            sse({"artifactUpdate": 7}),
            sse({"artifactUpdate": {"taskId": "t", "artifact": {"artifactId": "x"}}}),
            sse(update(artifactId=["x"], parts=[{"text": "a"}])),
            sse(update(artifactId="x", parts=["text"])),
            sse({"statusUpdate": {"taskId": "t"}}),
            sse(state(7)),  # type: ignore[arg-type]
            sse({"task": {"id": "t", "artifacts": 7}}),
        ],
    )
    def test_what_cannot_be_understood_is_a_protocol_error(
        self, run_a2a: Run, memory: MemoryNetwork, event: Any
    ) -> None:
        memory.agent("writer").reply("Once", event)
        with pytest.raises(ProtocolError, match="an event "):
            run_a2a()

    def test_a_service_that_does_not_stream_answers_as_a_whole(
        self, run_a2a: Run, memory: MemoryNetwork
    ) -> None:
        task = {"id": "t", "status": {"state": "TASK_STATE_COMPLETED"}}
        whole = {"task": {**task, "artifacts": [{"artifactId": "x", "parts": [{"text": "Once"}]}]}}
        memory.agent("writer").reply(status(200, body={"jsonrpc": "2.0", "id": 1, "result": whole}))
        assert ["Once"] == contents(run_a2a())

    def test_a_turn_goes_on_in_a_task_whose_state_and_artifacts_are_of_the_turn_before(
        self, run_a2a: Run, memory: MemoryNetwork
    ) -> None:
        def task(word: str, *texts: str) -> dict[str, Any]:
            artifact = {"artifactId": "answer", "parts": [{"text": text} for text in texts]}
            about = {"id": waiting["id"], "contextId": "c", "status": {"state": word}}
            return {"task": {**about, "artifacts": [artifact]}}

        agent = memory.agent("writer")
        agent.reply("Well. ", done(interrupts=[{}]))
        [waiting] = run_a2a()[-1].interrupts
        old, rest = (
            task("TASK_STATE_INPUT_REQUIRED", "Well. "),
            task("TASK_STATE_WORKING", "Well. Rain", " in Oslo"),
        )
        live = update(artifactId="answer", parts=[{"text": "Rain"}], append=True)
        agent.reply(head(start=False), sse(old, live), ending("cut"))
        agent.reply(head(start=False), sse(rest))
        answered = {"resume": [{"id": waiting["id"], "payload": "Oslo"}]}
        assert ["Rain", " in Oslo"] == contents(run_a2a(answered, max_retries=2))


@pytest.mark.parametrize("spoken", [OLD], indirect=False)
class TestFormsOf03:
    def test_data_that_is_no_object_has_a_mark(self, run_a2a: Run, memory: MemoryNetwork) -> None:
        parts = [
            {"kind": "data", "data": {"value": [1]}, "metadata": {"data_part_compat": True}},
            {"kind": "data", "data": {"value": [1]}},
            {"kind": "file", "file": FILE_0_3, "metadata": {"a": 1}},
        ]
        own = {"kind": "artifact-update", "taskId": "t", "artifact": {"artifactId": "x", "parts": parts}}
        memory.agent("writer").reply(sse(own))
        events = run_a2a()
        assert ([[1], {"value": [1]}], [FILE | {"metadata": {"a": 1}}]) == (
            contents(events),
            customs(events, "file"),
        )

    def test_an_event_of_an_unknown_kind_is_left_out(self, run_a2a: Run, memory: MemoryNetwork) -> None:
        memory.agent("writer").reply(sse({"kind": "later", "a": 1}, {"kind": ["task"]}, {}), "Once")
        assert ["Once"] == contents(run_a2a())

    def test_a_refusal_in_place_of_the_first_event(self, run_a2a: Run, memory: MemoryNetwork) -> None:
        refusal = {"error": {"code": -32602, "message": "no such city", "data": None}, "id": 1}
        memory.agent("writer").reply(head(start=False), raw(f"data: {json.dumps(refusal)}\n\n".encode()))
        with pytest.raises(Exception, match="no such city") as caught:
            run_a2a()
        assert not isinstance(caught.value, StreamError)
        assert "-32602" == caught.value.code  # type: ignore[attr-defined]


@pytest.mark.parametrize("spoken", [RPC], indirect=False)
@pytest.mark.parametrize(
    ("snapshot", "live", "expected"),
    [
        (["a", "b"], [["c"]], ["a", "b", "c"]),  # nothing was repeated
        (["a", "b", "c"], [["c"], ["d"]], ["a", "b", "c", "d"]),  # the service had listened first
        (["a", "bc"], [["c"], ["d"]], ["a", "bc", "d"]),  # and has joined the parts
        (["a", "b"], [["b"], ["c"]], ["a", "b", "c"]),
        (["a", "b", "c"], [["b"], ["c"], ["d"]], ["a", "b", "c", "d"]),
        (["a", "b", "c"], [["b"], ["d"]], ["a", "b", "c", "b", "d"]),  # this is new: "c" does not follow
        (["a", "b", "c"], [["a", "b"], ["a"]], ["a", "b", "c", "a", "b", "a"]),
    ],
)
def test_an_update_that_may_be_in_the_snapshot_is_not_handed_out_before_another_snapshot(
    run_a2a: Run, memory: MemoryNetwork, snapshot: list[str], live: list[list[str]], expected: list[str]
) -> None:
    """The last case is an agent that repeats itself: the second snapshot has what came in between."""

    def task(*texts: str) -> Any:
        artifact = {"artifactId": "answer", "parts": [{"text": text} for text in texts]}
        return {"task": {"id": "t", "contextId": "c", "status": {"state": "W"}, "artifacts": [artifact]}}

    def updates(*texts: list[str]) -> list[Any]:
        return [
            update(artifactId="answer", parts=[{"text": text} for text in each], append=True)
            for each in texts
        ]

    agent = memory.agent("writer")
    agent.reply(sse(update(artifactId="answer", parts=[{"text": "a"}])), ending("cut"))
    agent.reply(head(start=False), sse(task(*snapshot), *updates(*live)), ending("cut"))
    agent.reply(head(start=False), sse(task(*expected)))
    events = run_a2a(max_retries=3)
    assert "".join(expected) == "".join(contents(events))
    assert 1 == [type(event) for event in events].count(Started)
