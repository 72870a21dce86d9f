from __future__ import annotations

import pytest

from runagent._address.fields import validate_headers
from runagent._address.paths import agent_path, validate_agent_id
from runagent._address.proxy import parse_proxy
from runagent._address.route import Address
from runagent._address.url import BaseURL, Origin, parse_base_url
from runagent._call import AgentCall
from runagent._errors import ConfigurationError
from runagent._net.faults import connect_error
from runagent._net.tunnel import Tunnel


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://api.run-agent.ai", "https://api.run-agent.ai"),
        ("http://localhost:8450", "http://localhost:8450"),
        ("ws://localhost:8450", "http://localhost:8450"),
        ("wss://agents.example", "https://agents.example"),
        ("HTTPS://Agents.EXAMPLE:443", "https://agents.example"),
        ("http://agents.example:80/", "http://agents.example"),
        ("http://agents.example:443", "http://agents.example:443"),
        ("https://agents.example:00443", "https://agents.example"),
        ("http://a_b-c.example.", "http://a_b-c.example."),
        ("http://[2001:DB8:0::1]:8080/x", "http://[2001:db8::1]:8080/x"),
        ("http://[::1]", "http://[::1]"),
        ("http://bücher.example/", "http://xn--bcher-kva.example"),
        ("http://１２７.0.0.1", "http://127.0.0.1"),
    ],
)
def test_base_url_takes_its_normal_form(text, expected):
    assert expected == str(parse_base_url(text))


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("", ""),
        ("/", ""),
        ("//", ""),
        ("/v1", ""),
        ("/v1/", ""),
        ("/api/v1", ""),
        ("/api/v1//", ""),
        ("/api", "/api"),
        ("/gate", "/gate"),
        ("/gate//v1/", "/gate"),
        ("/gate/api/v1", "/gate"),
        ("/myapi/v1", "/myapi"),
        ("/xv1", "/xv1"),
        ("/v1/v1", "/v1"),
        ("/v1/x", "/v1/x"),
        ("/a%2Fb", "/a%2Fb"),
        ("/ü/a+b", "/%C3%BC/a+b"),
    ],
)
def test_base_url_keeps_the_prefix_before_the_version(path, prefix):
    base = parse_base_url("https://agents.example" + path)
    assert (Origin("https", "agents.example", 443), prefix) == (base.origin, base.prefix)
    assert f"https://agents.example{prefix}" == str(base)


@pytest.mark.parametrize(
    ("path", "template", "expected"),
    [
        ("", "", "/"),
        ("/", "", "/"),
        ("/agents/a", "", "/agents/a"),
        ("/agents/a/", "", "/agents/a/"),
        ("/gate//v1/", "", "/gate//v1/"),
        ("/api/v1", "", "/api/v1"),
        ("/api/v1/", "/{agent_id}", "/api/v1/b%2Fc"),
        ("/ü/{agent_id}/v1", "", "/%C3%BC/%7Bagent_id%7D/v1"),
    ],
)
def test_an_exact_path_keeps_the_whole_path_of_the_base_url(path, template, expected):
    call = AgentCall(agent_id="b/c", base=parse_base_url("https://agents.example" + path))
    assert expected == call.path(template, "stream_path", exact=True)
    assert "/own" == call.replace(options={"stream_path": "/own"}).path(template, "stream_path", exact=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "did you forget https://?"),
        ("agents.example/v1", "did you forget https://?"),
        ("localhost:8450", "did you forget https://?"),
        ("https:/agents.example", "did you forget https://?"),
        ("ftp://agents.example", "unknown scheme 'ftp' (http, https, ws, wss and http+unix work)"),
        ("http://", "host is missing"),
        ("http://:8080", "host is missing"),
        ("http:///path", "host is missing"),
        ("http://user@agents.example", "user name and password are not allowed"),
        ("http://@agents.example", "user name and password are not allowed"),
        ("http://agents.example?a=b", "query or fragment"),
        ("http://agents.example/#a", "query or fragment"),
        ("http://agents.example?", "query or fragment"),
        ("http://agents.example:0", "port must be"),
        ("http://agents.example:65536", "port must be"),
        ("http://agents.example:", "port must be"),
        ("http://agents.example:8x", "port must be"),
        ("http://agents.example:８０", "port must be"),
        ("http://agents.example:-1", "port must be"),
        pytest.param("http://agents.example:" + "9" * 5000, "port must be", id="long-port"),
        (" http://agents.example", "whitespace or control"),
        ("http://agents.example\r\nX: y", "whitespace or control"),
        ("http://agents.example/\x00", "whitespace or control"),
        ("http://agents.example/\x7f", "whitespace or control"),
        ("http://agents.example/\u2028", "whitespace or control"),
        ("http://agents.example/\ud800", "whitespace or control"),
        ("http://agents.example/100%", "two hexadecimal digits"),
        ("http://a%2Fb.example", "host name is not valid"),
        ("http://a\\b.example", "host name is not valid"),
        ("http://a..b", "host name is not valid"),
        ("http://" + "a" * 64 + ".example", "host name is not valid"),
        ("http://127.1", "IPv4 address is not valid"),
        ("http://0x7f000001", "IPv4 address is not valid"),
        ("http://1.2.3.256", "IPv4 address is not valid"),
        ("http://::1", "IPv6 address needs [brackets]"),
        ("http://[::1", "IPv6 address needs [brackets]"),
        ("http://[::g]", "IPv6 address is not valid"),
        ("http://faß.example", "xn-- form"),
        ("http://℀.example", "host name is not valid"),
        ("http://" + "ü" * 80 + ".example", "no IDNA form"),
        ("http+unix:///run/agent.sock", "http+unix://%2Frun%2Fagent.sock"),
        ("http+unix://agent.sock", "percent-encoded absolute path"),
        ("http+unix://%2Frun%00", "percent-encoded absolute path"),
        ("http+unix://%2Frun%", "percent-encoded absolute path"),
        (b"http://agents.example", "a value of type bytes"),
        (None, "found None"),
    ],
)
def test_unusable_base_url_is_refused_with_its_source(text, problem):
    with pytest.raises(ConfigurationError) as caught:
        parse_base_url(text, "environment variable RUNAGENT_API_URL")
    assert caught.value.message.startswith("environment variable RUNAGENT_API_URL: ")
    assert problem in caught.value.message
    assert caught.value.message.isprintable()
    assert "INVALID_BASE_URL" == caught.value.code


@pytest.mark.parametrize(
    "text",
    [
        "https://user:s3cret@agents.example",
        "https://s3cret@agents.example",
        "https://user:pa/s3cret@agents.example",
        "https://user:pa?s3cret@agents.example:x",
        "https://user:s3cret",
        "https://user:pa:s3cret/x",
        "https://user:s3cret%40agents.example",
        "user:s3cret@agents.example",
        "user:s3cret@agents.example://x",
        "user:s3cret",
        "https://agents.example/?api_key=s3cret",
        "https://agents.example?api_key=s3cret&x=@",
        "https://agents.example/#s3cret",
        "ftp://user:s3cret@agents.example",
        "https://user:s3cret @agents.example",
    ],
)
def test_refused_base_url_never_shows_what_may_be_secret(text):
    with pytest.raises(ConfigurationError) as caught:
        parse_base_url(text)
    assert "s3cret" not in f"{caught.value!r} {caught.value} {caught.value.details}"


def test_a_unix_socket_is_a_separate_origin():
    url = parse_base_url("http+unix://%2Frun%2Fagent.sock/prefix/v1/")
    assert BaseURL(Origin("http", "localhost", 0, "/run/agent.sock"), "/prefix", "/v1/") == url
    assert "localhost" == url.origin.netloc
    assert url.origin.is_loopback
    assert not url.origin.secure
    assert "http+unix://%2Frun%2Fagent.sock/prefix" == str(url)


def test_unix_socket_path_survives_bytes_that_are_not_utf8():
    origin = parse_base_url("http+unix://%2Ftmp%2F%FF").origin
    assert "/tmp/\udcff" == origin.unix_path
    assert "http+unix://%2Ftmp%2F%FF" == str(origin)


@pytest.mark.parametrize("zone", ["%25eth0", "%eth0"])
def test_zone_of_an_ipv6_address_is_for_connecting_only(zone):
    origin = parse_base_url(f"http://[fe80::1{zone}]:8080").origin
    assert ("fe80::1%eth0", "[fe80::1]:8080") == (origin.host, origin.netloc)


def test_zone_of_an_ipv6_address_is_in_messages_and_in_nothing_that_is_sent():
    origin = parse_base_url("https://[fe80::1%25eth0]:8080").origin
    assert "https://[fe80::1%25eth0]:8080" == str(origin)
    assert origin == parse_base_url(str(origin)).origin
    proxy = parse_proxy("http://[fe80::2%25eth1]:3128")
    assert "http://[fe80::2%25eth1]:3128" == str(proxy)
    tunnel = Tunnel(Address(origin, proxy, tunnel=True))
    assert b"CONNECT [fe80::1]:8080 HTTP/1.1" in tunnel.request
    assert b"%" not in tunnel.request
    refused = connect_error(ConnectionRefusedError(), Address(origin))
    assert "could not connect to https://[fe80::1%25eth0]:8080: " in str(refused)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("agent.localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("127.0.0.1.", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.2]", True),
        ("localhost.example", False),
        ("notlocalhost", False),
        ("128.0.0.1", False),
        ("[::2]", False),
        ("[::ffff:10.0.0.1]", False),
    ],
)
def test_loopback_is_recognised_by_its_name(host, expected):
    assert expected is parse_base_url(f"http://{host}").origin.is_loopback


@pytest.mark.parametrize(
    ("agent_id", "segment"),
    [
        ("my-agent_1.0~x", "my-agent_1.0~x"),
        ("a/b", "a%2Fb"),
        ("a?b#c%d", "a%3Fb%23c%25d"),
        ("../v1", "..%2Fv1"),
        ("é 😀", "%C3%A9%20%F0%9F%98%80"),
        ("{agent_id}", "%7Bagent_id%7D"),
        ("a:b@c;d&e=f+g", "a%3Ab%40c%3Bd%26e%3Df%2Bg"),
        ("...", "..."),
        ("\u2028", "%E2%80%A8"),
    ],
)
def test_agent_id_is_one_segment_of_the_path(agent_id, segment):
    assert f"/v1/agents/{segment}/stream" == agent_path("/v1/agents/{agent_id}/stream", agent_id)


@pytest.mark.parametrize(
    "agent_id",
    ["", ".", "..", "a\r\nb", "a\nb", "a\x00", "\x7f", "\x85", "\ud800", "a\udfff", None, 5, b"agent"],
)
def test_unusable_agent_id_is_refused(agent_id):
    for check in (validate_agent_id, lambda given: agent_path("/{agent_id}", given)):
        with pytest.raises(ConfigurationError, match=r"^agent_id: .*an agent id is .*such as") as caught:
            check(agent_id)
        assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/run/{agent_id}", "/run/a%2Fb"),
        ("/fixed", "/fixed"),
        ("/x/{agent_id}/{agent_id}?mode=a&b", "/x/a%2Fb/a%2Fb?mode=a&b"),
        ("/ü%20{agent_id}", "/%C3%BC%20a%2Fb"),
    ],
)
def test_template_of_the_path_is_made_safe(template, path):
    assert path == agent_path(template, "a/b")


@pytest.mark.parametrize(
    "template",
    ["", "x/{agent_id}", "https://x/{agent_id}", "/a b", "/a\r\nHost: x", "/{agent}", "/{", "/a#b", "/%", 5],
)
def test_unusable_template_is_refused(template):
    with pytest.raises(ConfigurationError, match=r"^agent path: "):
        agent_path(template, "a")


def test_headers_come_back_in_order_and_stripped():
    given = {"X-A": " one\ttwo \t", "Authorization": "Basic x", "x-b": "", "X-C": "caf\xe9"}
    expected = (("X-A", "one\ttwo"), ("Authorization", "Basic x"), ("x-b", ""), ("X-C", "caf\xe9"))
    assert expected == validate_headers(given)
    assert () == validate_headers(None)
    assert () == validate_headers({})


@pytest.mark.parametrize("name", ["", "X A", "X:A", "X\r\nA", "X\x00", "é", "X(", " X", "X ", 5, None, b"X"])
def test_header_name_must_be_a_token(name):
    with pytest.raises(ConfigurationError, match=r"^per-call headers: .*RFC 9110 token") as caught:
        validate_headers({name: "s3cret"}, "per-call headers")
    assert "s3cret" not in str(caught.value)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "value",
    [
        "s3cret\r\nX: y",
        "s3cret\n",
        "\rs3cret",
        "s3cret\x00",
        "s3cret\x7f",
        "s3cret\x1b",
        "s3cret✓",
        b"s3cret",
        5,
    ],
)
def test_bad_header_value_is_refused_and_never_shown(value):
    with pytest.raises(ConfigurationError, match=r"^headers: X-Token: the value ") as caught:
        validate_headers({"X-Token": value})
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__context__ is None
    assert ("percent-encode" in str(caught.value)) is (value == "s3cret✓")


def test_value_that_slipped_into_the_name_is_not_shown():
    with pytest.raises(ConfigurationError) as caught:
        validate_headers({"Authorization: Bearer s3cret": ""})
    assert "s3cret" not in str(caught.value)
    assert "'Authorization'" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "CONTENT-LENGTH",
        "Transfer-Encoding",
        "Connection",
        "Upgrade",
        "Expect",
        "TE",
        "Trailer",
        "Keep-Alive",
        "Proxy-Authorization",
        "Sec-WebSocket-Key",
        "sec-websocket-anything",
    ],
)
def test_header_of_the_transport_is_refused_with_a_reason(name):
    with pytest.raises(ConfigurationError, match=f"^headers: {name} cannot be set: [a-z]") as caught:
        validate_headers({name: "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_header_given_twice_is_refused():
    with pytest.raises(ConfigurationError, match="x-token is given twice"):
        validate_headers({"X-Token": "1", "x-token": "2"})


@pytest.mark.parametrize("headers", [[("X", "s3cret")], "X: s3cret", 5])
def test_headers_must_be_a_mapping(headers):
    with pytest.raises(ConfigurationError, match="expected a mapping"):
        validate_headers(headers)


@pytest.mark.parametrize("text", ['"https://agents.example"', "'http://agents.example'", '"agents.example"'])
def test_a_url_in_quotes_is_refused_for_them(text):
    with pytest.raises(ConfigurationError, match="the URL is in quotes"):
        parse_base_url(text)
