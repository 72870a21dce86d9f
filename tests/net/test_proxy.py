from __future__ import annotations

import base64
import subprocess
import sys

import pytest

from runagent._address.proxy import Proxy, parse_proxy, proxy_for
from runagent._address.url import parse_base_url
from runagent._errors import ConfigurationError

HTTP = parse_base_url("http://agents.example").origin
HTTPS = parse_base_url("https://agents.example").origin


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://proxy.example:3128", Proxy("proxy.example", 3128)),
        ("http://proxy.example:3128/", Proxy("proxy.example", 3128)),
        ("HTTP://Proxy.Example", Proxy("proxy.example", 80)),
        ("proxy.example:3128", Proxy("proxy.example", 3128)),
        ("proxy", Proxy("proxy", 80)),
        ("http://[::1]:3128", Proxy("::1", 3128)),
        ("http://user:pass@proxy:1", Proxy("proxy", 1, basic("user:pass"))),
        ("user:pass@proxy:1", Proxy("proxy", 1, basic("user:pass"))),
        ("http://user@proxy:1", Proxy("proxy", 1, basic("user:"))),
        ("http://us%40er:p%3A%2F%C3%BC@proxy:1", Proxy("proxy", 1, basic("us@er:p:/ü"))),
        ("http://user:a:b@c@proxy:1", Proxy("proxy", 1, basic("user:a:b@c"))),
    ],
)
def test_proxy_is_read(text, expected):
    assert expected == parse_proxy(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("https://user:s3cret@proxy:3128", "only plain http:// proxies are supported, not https://"),
        ("socks5://user:s3cret@proxy", "only plain http:// proxies are supported, not socks5://"),
        ("SOCKS4a://s3cret@proxy", "not socks4a://"),
        ("ws://s3cret@proxy", "only plain http:// proxies"),
        ("http://user:s3cret@", "host is missing"),
        ("", "host is missing"),
        ("http://user:s3cret@proxy:0", "port must be"),
        ("http://user:s3cret@proxy:port", "port must be"),
        ("http://user:s3cret", "port must be"),
        ("http://user:pa/s3cret@proxy:1", "percent-encode"),
        ("http://user:pa#s3cret@proxy:1", "percent-encode"),
        ("http://proxy:1/path", "path, query or fragment"),
        ("http://proxy:1?s3cret", "path, query or fragment"),
        ("http://user:s3cret @proxy:1", "whitespace or control"),
        ("http://user:s3cret@proxy:1\r\nX: y", "whitespace or control"),
        ("http://us%3Aer:s3cret@proxy:1", "must not hold a colon"),
        ("http://user:s3cret%0D%0A@proxy:1", "control characters"),
        (5, "must be text, not int"),
    ],
)
def test_unusable_proxy_is_refused_without_its_password(text, problem):
    with pytest.raises(ConfigurationError) as caught:
        parse_proxy(text, "environment variable HTTPS_PROXY")
    assert caught.value.message.startswith("environment variable HTTPS_PROXY: ")
    assert problem in caught.value.message
    assert "s3cret" not in f"{caught.value!r} {caught.value.details}"


def test_proxy_never_shows_its_credentials():
    proxy = parse_proxy("http://user:s3cret@proxy:3128")
    for text in (repr(proxy), str(proxy), f"{proxy}"):
        assert "proxy" in text
        for secret in ("s3cret", "user", basic("user:s3cret").removeprefix("Basic ")):
            assert secret not in text
    assert "http://[::1]:3128" == str(parse_proxy("[::1]:3128"))


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("https://agents.example", {}, None),
        ("https://agents.example", {"HTTPS_PROXY": "a:1", "HTTP_PROXY": "b:1", "ALL_PROXY": "c:1"}, "a"),
        ("wss://agents.example", {"HTTPS_PROXY": "a:1", "HTTP_PROXY": "b:1", "ALL_PROXY": "c:1"}, "a"),
        ("http://agents.example", {"HTTPS_PROXY": "a:1", "HTTP_PROXY": "b:1", "ALL_PROXY": "c:1"}, "b"),
        ("ws://agents.example", {"HTTPS_PROXY": "a:1", "HTTP_PROXY": "b:1", "ALL_PROXY": "c:1"}, "b"),
        ("http://agents.example", {"HTTPS_PROXY": "a:1", "ALL_PROXY": "c:1"}, "c"),
        ("https://agents.example", {"HTTP_PROXY": "b:1"}, None),
        ("https://agents.example", {"https_proxy": "low:1", "HTTPS_PROXY": "up:1"}, "low"),
        ("https://agents.example", {"HTTPS_PROXY": "up:1", "https_proxy": "low:1"}, "low"),
        ("https://agents.example", {"HTTPS_PROXY": "up:1", "https_proxy": ""}, None),
        ("https://agents.example", {"https_proxy": "", "ALL_PROXY": "c:1"}, "c"),
        ("https://agents.example", {"all_proxy": "c:1"}, "c"),
        ("https://agents.example", {"HTTPS_PROXY": "up:1", "Https_Proxy": ""}, "up"),
        ("https://agents.example", {"HTTPS_PROXY": "  "}, None),
        ("http://localhost:8450", {"HTTP_PROXY": "b:1", "ALL_PROXY": "c:1"}, None),
        ("http://[::1]", {"HTTP_PROXY": "b:1"}, None),
        ("http://127.9.9.9", {"http_proxy": "b:1"}, None),
        ("http+unix://%2Fx", {"http_proxy": "b:1"}, None),
        # CGI: "Proxy: evil" in a request becomes HTTP_PROXY.
        ("http://agents.example", {"REQUEST_METHOD": "GET", "HTTP_PROXY": "evil:1"}, None),
        ("http://agents.example", {"REQUEST_METHOD": "", "Http_Proxy": "evil:1"}, None),
        ("http://agents.example", {"REQUEST_METHOD": "GET", "HTTP_PROXY": "evil:1", "all_proxy": "c:1"}, "c"),
        (
            "http://agents.example",
            {"REQUEST_METHOD": "GET", "HTTP_PROXY": "evil:1", "http_proxy": "b:1"},
            "b",
        ),
        ("https://agents.example", {"REQUEST_METHOD": "GET", "HTTPS_PROXY": "a:1"}, "a"),
    ],
)
def test_proxy_comes_from_the_environment(url, environ, expected):
    found = proxy_for(parse_base_url(url).origin, None, environ)
    assert expected == (found.host if found else None)


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        ("https://agents.example", "*", True),
        ("https://agents.example", "other, *", True),
        ("https://agents.example", "agents.example", True),
        ("https://agents.example", "AGENTS.Example", True),
        ("https://agents.example.", "agents.example", True),
        ("https://agents.example", " other ,agents.example ", True),
        ("https://agents.example", "other agents.example", True),
        ("https://eu.agents.example", "agents.example", True),
        ("https://eu.agents.example", ".agents.example", True),
        ("https://eu.agents.example", "*.agents.example", True),
        ("https://agents.example", ".agents.example", True),
        ("https://myagents.example", "agents.example", False),
        ("https://myagents.example", "*.agents.example", False),
        ("https://agents.example", "eu.agents.example", False),
        ("https://agents.example", "", False),
        ("https://agents.example", ",", False),
        ("https://agents.example", ".", False),
        ("https://agents.example", "agents.example:443", True),
        ("https://agents.example:8443", "agents.example:443", False),
        ("https://agents.example:8443", "agents.example:8443", True),
        ("https://10.1.2.3", "10.1.2.3", True),
        ("https://10.1.2.3:8443", "10.1.2.3:8443", True),
        ("https://10.1.2.3:8443", "10.1.2.3:443", False),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://10.1.2.3", "10.9.9.9/8", True),
        ("https://11.1.2.3", "10.0.0.0/8", False),
        ("https://[::ffff:10.1.2.3]", "10.0.0.0/8", True),
        ("https://10.1.2.3", "2001:db8::/32", False),
        ("https://10.1.2.3", "10.0.0.0/99", False),
        ("https://10.1.2.3", "2.3", False),
        ("https://agents.example", "10.0.0.0/8", False),
        ("https://[2001:db8::1]", "2001:db8::/32", True),
        ("https://[2001:db8::1]", "2001:DB8:0::1", True),
        ("https://[2001:db8::1]", "[2001:db8::1]", True),
        ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443", True),
        ("https://[2001:db8::1]:8443", "[2001:db8::1]:443", False),
        ("https://[2001:db8::2]", "2001:db8::1", False),
    ],
)
def test_no_proxy_is_honoured(url, no_proxy, direct):
    environ = {"ALL_PROXY": "http://proxy:1", "NO_PROXY": no_proxy}
    assert direct is (proxy_for(parse_base_url(url).origin, None, environ) is None)


def test_lower_case_no_proxy_wins():
    environ = {"ALL_PROXY": "http://proxy:1", "NO_PROXY": "*", "no_proxy": "other.example"}
    assert Proxy("proxy", 1) == proxy_for(HTTPS, None, environ)


@pytest.mark.parametrize("url", ["https://agents.example", "http://localhost:8450"])
def test_explicit_proxy_wins_over_everything(url):
    environ = {"ALL_PROXY": "http://other:1", "NO_PROXY": "*", "REQUEST_METHOD": "GET"}
    found = proxy_for(parse_base_url(url).origin, "http://given:3128", environ)
    assert Proxy("given", 3128) == found


def test_empty_explicit_proxy_means_none():
    assert None is proxy_for(HTTPS, "", {"ALL_PROXY": "http://proxy:1"})


def test_unix_socket_never_has_a_proxy():
    origin = parse_base_url("http+unix://%2Frun%2Fagent.sock").origin
    assert None is proxy_for(origin, "http://given:3128", {})


def test_unusable_proxy_of_the_environment_names_its_variable():
    with pytest.raises(ConfigurationError, match=r"^environment variable all_proxy: only plain") as caught:
        proxy_for(HTTP, None, {"all_proxy": "socks5h://user:s3cret@proxy:1"})
    assert "s3cret" not in str(caught.value)


def test_proxy_that_does_not_apply_is_not_read():
    environ = {"ALL_PROXY": "socks5://proxy:1", "HTTPS_PROXY": "http://proxy:2", "NO_PROXY": "direct.example"}
    assert Proxy("proxy", 2) == proxy_for(HTTPS, None, environ)
    assert None is proxy_for(parse_base_url("http://direct.example").origin, None, environ)


def test_environment_of_the_process_is_the_default(monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert Proxy("proxy", 3128) == proxy_for(HTTPS, None)


def test_module_imports_nothing_that_is_slow():
    code = (
        "import sys, runagent._address.proxy\nprint({'urllib.request', 'asyncio', 'ssl'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert "set()" == done.stdout.strip()


@pytest.mark.parametrize("text", ['"http://proxy.example:3128"', "'proxy.example:3128'"])
def test_a_proxy_in_quotes_is_refused_for_them(text):
    with pytest.raises(ConfigurationError, match="the proxy's URL is in quotes"):
        parse_proxy(text)
