"""vcrpy: cassettes of whole answers, recorded from a server that streams and replayed without one."""

# mypy: ignore-errors
# A separate environment runs this, which has the double; that of the project does not.

from __future__ import annotations

import contextlib
import json
import socketserver
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import vcr
from trials import main, situation

SECRET = "sk-test-4f9a8b7c6d5e"
GAP = 0.2  # seconds between two chunks of the service


class Service(BaseHTTPRequestHandler):
    """Three chunks with pauses, a cut behind the first one, or one status after the other."""

    protocol_version = "HTTP/1.1"
    statuses = iter([503, 200])

    def do_GET(self):
        if self.path == "/statuses":
            self.send_response(next(self.statuses))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(3):
            self.wfile.write(b"1\r\n%d\r\n" % number)
            if self.path == "/cut":
                self.close_connection = True
                return
            time.sleep(GAP)
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextlib.contextmanager
def service():
    with Server(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def read(url, **options):
    """Read a stream; return its pieces with their times, and the error."""
    came, began = [], time.monotonic()
    try:
        with httpx.stream("GET", url, headers={"Authorization": f"Bearer {SECRET}"}, **options) as response:
            came.extend((piece, time.monotonic() - began) for piece in response.iter_raw())
    except httpx.HTTPError as error:
        return came, error
    return came, None


def recorded_and_replayed(path, serializer="yaml", **options):
    """Record a stream, then read it again without the service; return what came then, and the cassette."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cassette"
        cassette = {"path": str(file), "serializer": serializer, "filter_headers": ["authorization"]}
        with service() as url, vcr.use_cassette(**cassette):
            read(url + path)
        with vcr.use_cassette(**cassette, record_mode="none"):
            return read(url + path, **options), file.read_text()


@situation(8, "yes")
def chunks_come_at_the_recorded_speed():
    (came, _), _ = recorded_and_replayed("/stream")
    return len(came) == 3 and came[-1][1] > GAP


@situation(10, "partly")  # if the service did so while it was recorded
def the_first_answer_fails_and_the_next_is_good():
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/cassette"
        with service() as url, vcr.use_cassette(file):
            recorded = [httpx.get(f"{url}/statuses").status_code for _ in range(2)]
        with vcr.use_cassette(file, record_mode="none"):
            return recorded == [httpx.get(f"{url}/statuses").status_code for _ in range(2)] == [503, 200]


@situation(11, "partly")  # by what was recorded, and nothing for the rest
def answers_by_body():
    with tempfile.TemporaryDirectory() as folder:
        cassette = {"path": f"{folder}/cassette", "match_on": ["uri", "body"]}
        with service() as url, vcr.use_cassette(**cassette):
            for text in ("rain", "sun"):
                httpx.post(url, content=text)
        with vcr.use_cassette(**cassette, record_mode="none"):
            return [httpx.post(url, content=text).text for text in ("sun", "rain")] == ["sun", "rain"]


@situation(20, "partly")  # the body, without its chunks and their times
def a_stream_is_recorded_and_replayed_without_secrets():
    (came, error), cassette = recorded_and_replayed("/stream")
    assert len(came) == 1
    return (came[0][0], error) == (b"012", None) and SECRET not in cassette


@situation(28, "yes")
def no_secret_is_in_the_file():
    return SECRET not in recorded_and_replayed("/stream")[1]


@situation(29, "partly")  # a cassette as JSON, and no HAR
def the_recording_is_json():
    _, cassette = recorded_and_replayed("/stream", serializer="json")
    return json.loads(cassette)["interactions"][0]["request"]["method"] == "GET"


@situation(43, "yes")
def the_time_limit_of_the_client_is_met():
    (_, error), _ = recorded_and_replayed("/stream", timeout=httpx.Timeout(5, read=GAP / 2))
    return isinstance(error, httpx.ReadTimeout)


@situation(44, "yes")
def a_stream_that_is_cut_off_shows_as_cut_off():
    try:
        (_, error), _ = recorded_and_replayed("/cut")
    except (vcr.errors.CannotOverwriteExistingCassetteException, FileNotFoundError):
        return False  # nothing was recorded
    return isinstance(error, httpx.RemoteProtocolError)


if __name__ == "__main__":
    main("vcrpy")
