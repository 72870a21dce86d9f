"""Credentials are removed before a byte reaches the disk, also if they are cut over several reads."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runagent_testing._internal.redaction import Secrets
from runagent_testing._recording.scrubbing import Ids, Scrubber

KEY = "sk-live-4f9a8b7c6d5e"
NAMED = "p4ssw0rd-of-somebody"


def scrubbed(reads, *values, whole=False, ids=None):
    scrubber = Scrubber(Secrets(values=values), ids=ids)
    for read in reads:
        scrubber.add(read, is_whole=whole)
    scrubber.finish()
    return list(scrubber.ready), scrubber


def cut(data, *places):
    return [data[a:b] for a, b in itertools.pairwise([0, *sorted(places), len(data)])]


@pytest.mark.parametrize("at", range(len(KEY) + 1))
def test_a_known_credential_is_found_at_every_cut(at):
    data = f"data: x {KEY} y\n\ndata: z\n\n".encode()
    reads, scrubber = scrubbed(cut(data, 8 + at), KEY)
    assert [len(read) for read in reads] == [8 + at, len(data) - 8 - at]
    assert b"".join(reads) == data.replace(KEY.encode(), b"*" * len(KEY))
    assert scrubber.count == 1


@pytest.mark.parametrize(
    "line",
    [
        f'data: {{"client_secret": "{NAMED}"}}\n\n',
        f'{{"a": [{{"api_key":"{NAMED}"}}]}}\n',
        f"Authorization: Bearer {NAMED}\n",
        f"see https://somebody:{NAMED}@example.com/\n",
        f"GET /?api_key={NAMED}&a=1\n",
    ],
)
def test_a_credential_that_only_its_name_shows_is_found_at_every_cut(line):
    data = line.encode()
    for at in range(len(data) + 1):
        reads, _ = scrubbed(cut(data, at))
        assert NAMED.encode() not in b"".join(reads), at
        assert b"".join(reads).count(b"*") >= len(NAMED)
        assert [len(read) for read in reads] == [at, len(data) - at]


def test_what_cannot_be_a_credential_is_finished_at_once():
    scrubber = Scrubber(Secrets(values=[KEY]))
    scrubber.add(b"data: hello\n\n")
    assert [*scrubber.ready] == [b"data: hello\n\n"]
    scrubber.add(b"data: sk-")  # the line may go on, and the key too
    assert len(scrubber.ready) == 1
    scrubber.add(b"lim\n")
    assert [*scrubber.ready][1:] == [b"data: sk-", b"lim\n"]


def test_a_line_that_does_not_end_is_finished_all_the_same():
    scrubber = Scrubber(Secrets(values=[KEY]))
    for _ in range(20):
        scrubber.add(b"x" * 10_000)
    assert len(scrubber.ready) >= 13
    scrubber.add(KEY.encode())
    scrubber.finish()
    assert b"".join(scrubber.ready) == b"x" * 200_000 + b"*" * len(KEY)


def test_a_message_is_whole_and_yet_a_credential_may_be_cut_over_two():
    scrubber = Scrubber(Secrets(values=[KEY]))
    scrubber.add(b'{"text": "hello"}', is_whole=True)
    assert len(scrubber.ready) == 1
    scrubber.add(KEY[:5].encode(), is_whole=True)
    assert len(scrubber.ready) == 1
    scrubber.add(KEY[5:].encode(), is_whole=True)
    assert [*scrubber.ready][1:] == [b"*" * 5, b"*" * (len(KEY) - 5)]


def test_a_credential_that_comes_later_is_hidden_from_then_on():
    scrubber = Scrubber(Secrets())
    scrubber.add(b"a\n")
    scrubber.secrets = scrubber.secrets.with_values([KEY])
    scrubber.add(f"{KEY}\n".encode())
    assert [*scrubber.ready] == [b"a\n", b"*" * len(KEY) + b"\n"]


@pytest.mark.parametrize(
    "written", [KEY, json.dumps("sl/ä-" + KEY)[1:-1], "sl%2F%C3%A4-" + KEY, "sl/ä-" + KEY]
)
def test_a_credential_is_found_in_every_form(written):
    reads, _ = scrubbed([f"x {written} y\n".encode()], KEY, "sl/ä-" + KEY)
    assert reads == [b"x " + b"*" * len(written.encode()) + b" y\n"]


@given(st.lists(st.sampled_from([KEY, "sk-", "\n", "data: ", '"', "é", NAMED, "x"])), st.data())
def test_any_cut_gives_the_same_bytes_in_reads_of_the_same_sizes(pieces, data):
    body = "".join(pieces).encode()
    places = data.draw(st.lists(st.integers(0, len(body)), max_size=6))
    reads, scrubber = scrubbed(cut(body, *places), KEY, NAMED)
    assert [len(read) for read in reads] == [len(read) for read in cut(body, *places)]
    assert b"".join(reads) == scrubber.secrets.masked(body)
    assert KEY.encode() not in b"".join(reads)


# Ids

RUN = "2f1c8a34-9d2b-4c1e-8a77-0123456789ab"


@pytest.mark.parametrize("at", range(len(RUN) + 1))
def test_an_id_becomes_a_placeholder_at_every_cut(at):
    data = f'data: {{"id":"{RUN}"}}\ndata: {{"id":"chatcmpl-A1b2C3d4E5f6G7h8I9"}}\ndata: "{RUN}"\n'.encode()
    reads, _ = scrubbed(cut(data, 13 + at), ids=Ids())
    assert len(reads) == 2
    assert b"".join(reads) == b'data: {"id":"<id:1>"}\ndata: {"id":"<id:2>"}\ndata: "<id:1>"\n'


def test_a_credential_is_no_id():
    secret = "key_4f9a8b7c6d5e4f9a8b7c6d5e"
    reads, _ = scrubbed([f"x {secret} y\n".encode()], secret, ids=Ids())
    assert reads == [b"x " + b"*" * len(secret) + b" y\n"]
