"""``runagent doctor``: what it reports, what it hides, and what it considers a fault."""

from __future__ import annotations

import json
import platform
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from runagent._cli import main
from runagent._version import __version__
from tests.support.distributions import install, transport_module

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "sk-3f9a1c"


def examine(capfd: pytest.CaptureFixture[str], code: int) -> dict[str, Any]:
    """Run the command, whose exit code has to be this one, and return what it found."""
    assert code == main(["doctor", "--json"])
    facts: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert bool(facts["problems"]) == bool(code)
    return facts


def plugin(facts: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (plugin for plugin in facts["plugins"] if plugin["name"] == name)
    return dict(found)


def setting(facts: dict[str, Any], name: str) -> tuple[Any, str]:
    ((value, source),) = ((s["value"], s["source"]) for s in facts["settings"] if s["name"] == name)
    return value, source


def test_a_sound_installation(capfd: pytest.CaptureFixture[str]) -> None:
    facts = examine(capfd, 0)
    assert (platform.python_version(), sys.executable) == (
        facts["python"]["version"],
        facts["python"]["executable"],
    )
    assert platform.platform() == facts["platform"]
    assert all(facts["libraries"].values())
    assert facts["tls"]["library"].startswith("OpenSSL")
    assert ("https://api.run-agent.ai", "default") == setting(facts, "api_url")
    sse = plugin(facts, "sse")
    assert ("transport", "built-in", 1, None) == (
        sse["kind"],
        sse["status"],
        sse["api_version"],
        sse["error"],
    )
    assert 0 <= sse["import_seconds"] < 60


def test_it_can_be_read(capfd: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["doctor"])
    lines = capfd.readouterr().out.splitlines()
    assert "nothing is wrong" == lines[-1]
    assert any(line.split()[:4] == ["transport", "sse", "runagent", __version__] for line in lines)
    assert any(line.split() == ["max_retries", "3", "(default)"] for line in lines)


def test_settings_have_sources_and_hide_secrets(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"timeout": 20, "transport_options": {"user_id": SECRET}}))
    file.chmod(0o600)
    monkeypatch.setenv("RUNAGENT_CONFIG", str(file))
    monkeypatch.setenv("RUNAGENT_API_KEY", SECRET)
    monkeypatch.setenv("RUNAGENT_PROXY", f"http://user:{SECRET}@proxy.example:3128")
    assert 0 == main(["doctor"])
    assert SECRET not in "".join(capfd.readouterr())
    facts = examine(capfd, 0)
    assert SECRET not in json.dumps(facts)
    assert (20.0, str(file)) == setting(facts, "timeout")
    assert ("set (hidden)", "environment variable RUNAGENT_API_KEY") == setting(facts, "api_key")
    assert ["user_id"] == setting(facts, "transport_options")[0]
    assert "http://***@proxy.example:3128" == setting(facts, "proxy")[0]
    assert ("proxy.example:3128", True) == (facts["proxy"]["through"], facts["proxy"]["authenticated"])


@pytest.mark.parametrize(
    ("mode", "problem"), [(0o666, "can be changed by other users"), (0o644, "can be read by other users")]
)
def test_a_configuration_file_that_others_can_write_or_read(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, mode: int, problem: str
) -> None:
    file = tmp_path / ".runagent" / "config.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"api_key": SECRET}))
    file.chmod(mode)
    facts = examine(capfd, 1)
    assert any(problem in shown and str(file) in shown for shown in facts["problems"])
    assert SECRET not in json.dumps(facts)


def test_certificates_to_trust_that_others_can_write(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    file.chmod(0o666)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    problem = f"TLS: SSL_CERT_FILE names {file}, which can be changed by other users; run: chmod go-w {file}"
    assert [problem] == examine(capfd, 1)["problems"]


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("RUNAGENT_TIMEOUT", "soon", "RUNAGENT_TIMEOUT"),
        ("RUNAGENT_TRANSPORT", "sse,webscoket", "did you mean 'websocket'"),
        ("RUNAGENT_CONFIG", "/nowhere.json", "does not exist"),
        ("HTTPS_PROXY", "socks5://proxy:1", "only plain http://"),
        ("SSL_CERT_FILE", "/nowhere.pem", "No such file or directory"),
    ],
)
def test_what_is_wrong_with_the_surroundings(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    problem: str,
) -> None:
    monkeypatch.setenv(variable, value)
    assert problem in "\n".join(examine(capfd, 1)["problems"])
    assert 1 == main(["doctor"])
    assert problem in capfd.readouterr().out


def test_each_plugin_is_looked_at_for_itself(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    print_first = "print('printed at the import')\n"
    modules = {
        "sound": transport_module("sound", print_first),
        "broken": "import no_such_module",
        "exits": "raise SystemExit(7)",
        "boastful": transport_module("boastful"),
        "old": "",
        "off": "raise RuntimeError('imported')",
        "sse": transport_module("sse"),
    }
    declared = {"boastful": "v1.invoke", "old": "v0"}
    for name, source in modules.items():
        install(
            tmp_path,
            f"doctored-{name}",
            source,
            transports=(name,),
            declares=declared.get(name),
            module=f"doctored_{name}",
        )
    for number in ("one", "two"):
        install(tmp_path, f"doctored-{number}", transport_module("twin"), transports=("twin",))
    install(tmp_path, "doctored-watch", "import no_such_module", observers=("watch",))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("RUNAGENT_DISABLE_PLUGINS", "off")
    facts = examine(capfd, 1)
    status = {p["distribution"]: p["status"] for p in facts["plugins"] if p["distribution"] != "runagent"}
    assert {
        "doctored-sound": "ok",
        "doctored-broken": "broken",
        "doctored-exits": "broken",
        "doctored-boastful": "misdeclared",
        "doctored-old": "incompatible",
        "doctored-off": "disabled",
        "doctored-sse": "reserved",
        "doctored-one": "clash",
        "doctored-two": "clash",
        "doctored-watch": "broken",
    }.items() <= status.items()
    problems = "\n".join(facts["problems"])
    for problem in (
        "ModuleNotFoundError",
        "SystemExit(7)",
        "runagent.capabilities:v1.",
        "version 0 of the transport API",
    ):
        assert problem in problems
    for quiet in ("doctored-sound", "doctored-off"):
        assert quiet not in problems
    assert ("observer", "watch") == (plugin(facts, "watch")["kind"], plugin(facts, "watch")["name"])
    assert plugin(facts, "off")["import_seconds"] is None


def test_it_lists_misspelt_variables_without_their_values(capfd, monkeypatch) -> None:
    monkeypatch.setenv("RUNAGENT_APIKEY", SECRET)
    problems = examine(capfd, 1)["problems"]
    meant = "did you mean RUNAGENT_API_KEY?"
    assert [f"environment: RUNAGENT_APIKEY is not a variable of runagent; {meant}"] == problems
