"""Redirects and proxies, which all transports share, whole and byte by byte."""

from __future__ import annotations

import pytest

from runagent import NetworkError, ProtocolError
from runagent._address.proxy import Proxy
from runagent.transports._base import Wants
from tests.support.peer import http
from tests.support.sessions import WAYS, feed, open_session, refused


@pytest.mark.parametrize("way", WAYS[1:3])
@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/v2/x?a=b#f", "/v2/x?a=b"),
        ("y", "{parent}/y"),
        ("?q", "{path}?q"),
        ("http://agent.test/z", "/z"),
        ("http://AGENT.test:80/z", "/z"),
        ("//agent.test/z", "/z"),
        ("http://agent.test", "/"),
    ],
)
def test_a_redirect_at_home_is_followed_with_the_same_request(
    way: tuple[str, str], status: int, location: str, target: str, step: int
) -> None:
    session = open_session(way[0], mode=way[1], api_key="secret")
    seen = feed(session, http(status, "moved", location=location), step=step)
    assert (Wants.RECONNECT, None) == (session.wants, session.error)
    (line, rest), (again, rest_again) = (
        data.split(b"\r\n", 1) for data in (seen.request, session.data_to_send())
    )
    path = line.decode().split(" ")[1]
    assert target.format(path=path, parent=path.rpartition("/")[0]) == again.decode().split(" ")[1]
    assert rest == rest_again
    assert (Wants.READ, False) == (session.wants, session.answered)


@pytest.mark.parametrize(
    "base_url", ["https://agent.test", "https://agent.test:443", "http+unix://%2Frun%2Fa.sock"]
)
def test_every_origin_has_a_home(base_url: str) -> None:
    session = open_session("sse", base_url=base_url)
    home = "http://localhost" if "unix" in base_url else "https://agent.test:443"
    for location in ("/x", f"{home}/x"):
        assert Wants.RECONNECT is feed(session, http(307, location=location)).session.wants
        assert session.data_to_send().startswith(b"POST /x HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("status", "location", "shown"),
    [
        (301, "/x", '"/x"'),
        (302, "/x", '"/x"'),
        (303, "/x", '"/x"'),
        (300, "/x", '"/x"'),
        (307, "https://agent.test/x", "https://agent.test/x"),
        (307, "http://agent.test:81/x", "http://agent.test:81/x"),
        (307, "http://elsewhere/x", "http://elsewhere/x"),
        (307, "http://u:p@agent.test/x", "http://agent.test/x"),
        (307, "http://u:p@elsewhere/x", "http://elsewhere/x"),
        (307, "", '""'),
        (307, "http://[bad", "http://[bad"),
        (307, "http://agent.test:x/", "http://agent.test:x/"),
        (307, "/a b", "/a b"),
        (307, "/\xe4", "/\xe4"),
        (307, "/\\elsewhere/x", "elsewhere/x"),  # browsers read it as another origin
        (307, "http:///x", "http:///x"),
        (307, "http:x", "http:x"),
        (307, "///x", "///x"),
        (308, "javascript:alert(1)", "javascript:alert(1)"),
    ],
)
@pytest.mark.parametrize("way", WAYS[1:3])
def test_any_other_redirect_is_an_error_that_names_the_place(
    way: tuple[str, str], status: int, location: str, shown: str, step: int
) -> None:
    answer = f"HTTP/1.1 {status} x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
    error = refused(way, answer, step).error
    assert type(error) is ProtocolError
    assert shown in str(error)
    assert "base_url" in str(error)
    assert "u:p" not in str(error)


@pytest.mark.parametrize(
    "location",
    [
        "http://user:{}@elsewhere/x",
        "//user:{}@elsewhere/x",
        "http://{}@elsewhere",
        "http:\\\\user:{}@elsewhere/x",
        "http:/user:{}@elsewhere/x",
        "HTTP://a@b:{}@elsewhere/x",
        "http://user:pa/{}@elsewhere/x",
        "ftp+x://user:{}@elsewhere/x",
        "///user:{}@elsewhere/x",
        "http://elsewhere/x?key={}",
        "/x?api_key={}",
        "/x#access_token={}",
        "?{}",
        "http://elsewhere?{}",
    ],
)
@pytest.mark.parametrize("way", WAYS[1:3])
def test_a_shown_place_has_no_secret_in_it(way: tuple[str, str], location: str, step: int) -> None:
    place = location.format("s3cret-key-0123456789")
    answer = f"HTTP/1.1 302 x\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
    error = refused(way, answer, step).error
    assert "s3cret" not in repr(error)
    assert "elsewhere" in str(error) or "elsewhere" not in location


def test_redirects_are_counted() -> None:
    session = open_session("sse")
    for number in range(5):
        feed(session, http(307, location=f"/{number}"))
    seen = feed(session, http(307, location="/loop"))
    assert type(seen.error) is ProtocolError
    assert "max_redirects" in str(seen.error)


def test_a_proxy_that_reads_the_request_gets_the_absolute_form_and_its_key() -> None:
    session = open_session("sse", proxy=Proxy("proxy", 3128, "Basic dTpw"), base_url="http://agent.test:8080")
    seen = feed(session, http(307, location="/x"))
    for request, path in ((seen.request, "/v1/agents/a/stream"), (session.data_to_send(), "/x")):
        assert request.startswith(
            f"POST http://agent.test:8080{path} HTTP/1.1\r\nHost: agent.test:8080\r\n".encode()
        )
        assert b"\r\nProxy-Authorization: Basic dTpw\r\n" in request


def test_a_proxy_that_wants_a_password_is_a_network_matter(step: int) -> None:
    error = refused(("sse", "stream"), http(407, "who?"), step).error
    assert (NetworkError, "PROXY_407") == (type(error), error.code)
    assert "user name and a password" in str(error)
