"""What the machine lacks at the moment passes as what it is, and is forgotten: no verdict is made of it."""

from __future__ import annotations

import errno
import itertools
import os
import ssl
import subprocess
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from typing import TYPE_CHECKING, Any

import pytest

from runagent import ConfigurationError, PluginError, RunAgentClient
from runagent._internal.foreign import is_passing
from runagent._net import tls, trust
from runagent._plugins.installed import Installed
from runagent._plugins.observers import Observers
from runagent._plugins.registry import TransportRegistry
from tests.docs.pages import ROOT
from tests.support.descriptors import no_descriptor
from tests.support.distributions import install, transport_module

if TYPE_CHECKING:
    from pathlib import Path

numbers = itertools.count()


LACKS = [
    OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    OSError(errno.EIO, os.strerror(errno.EIO)),
    OSError("no number"),
    MemoryError("no room"),
    ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens"),
]


@pytest.mark.parametrize("error", [*LACKS, ImportError(f"lib.so: {os.strerror(errno.EMFILE)}")], ids=repr)
def test_what_passes(error: Exception) -> None:
    assert is_passing(error)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "x"),
        PermissionError(errno.EACCES, "x"),
        IsADirectoryError(errno.EISDIR, "x"),
        ImportError("no module"),
        ValueError("x"),
    ],
    ids=repr,
)
def test_what_is_a_fact(error: Exception) -> None:
    assert not is_passing(error)


def once(raised: str) -> str:
    """Write what fails at the first import of a module, and not at the second."""
    name = f"tried_{next(numbers)}"
    return f"import sys, errno\nif not hasattr(sys, {name!r}):\n    sys.{name} = True\n    raise {raised}\n"


RAISED = ["OSError(errno.EMFILE, 'too many')", "MemoryError('no room')", "OSError(errno.EIO, 'bad disk')"]


@pytest.mark.parametrize("raised", [*RAISED, "FileNotFoundError(errno.ENOENT, 'missing yet')"])
def test_a_transport_whose_import_lacked_something_is_imported_again(
    raised: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"lacking_{next(numbers)}"
    install(
        tmp_path,
        "runagent-lacking",
        transport_module("lacking", once(raised)),
        transports=("lacking",),
        module=module,
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = TransportRegistry(Installed())
    with pytest.raises((OSError, MemoryError)) as caught:
        registry.get("lacking")
    assert ["while the transport 'lacking' of runagent-lacking 1.2 was loaded"] == caught.value.__notes__
    assert "lacking" == registry.get("lacking").name


OBSERVER = """
from runagent import hookimpl

@hookimpl
def runagent_observe_call(call): ...
"""


@pytest.mark.parametrize("raised", RAISED)
def test_an_observer_whose_import_lacked_something_is_imported_again(
    raised: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, source in (("a", OBSERVER), ("b", once(raised) + OBSERVER)):
        module = f"watching_{next(numbers)}"
        install(tmp_path, f"runagent-{name}", source, observers=(name,), module=module)
    monkeypatch.syspath_prepend(str(tmp_path))
    observers = Observers(Installed())
    with pytest.raises((OSError, MemoryError)):
        observers.loaded()
    assert observers.loaded() is observers
    assert 2 == len(observers._sources)


def test_a_contract_that_is_broken_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = f"broken_{next(numbers)}"
    install(tmp_path, "runagent-broken", once("ImportError('x')"), transports=("broken",), module=module)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = TransportRegistry(Installed())
    for _ in range(2):
        with pytest.raises(PluginError, match="ImportError"):
            registry.get("broken")


class Finder(PathFinder):
    """A finder of distributions that a program has added; like Python's, it skips what it cannot read."""


@pytest.mark.parametrize("finders", [(), (Finder,)], ids=["Python's finders", "and another one"])
def test_installed_plugins_are_found_once_there_are_descriptors(
    finders: tuple[type, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", [BuiltinImporter, FrozenImporter, PathFinder, *finders])
    install(tmp_path, "runagent-later", "", transports=("later",))
    plugins = Installed({}, [str(tmp_path)])
    with no_descriptor(), pytest.raises(OSError, match="Too many open files"):
        plugins.all_of("runagent.transports")
    assert ["later"] == [plugin.name for plugin in plugins.all_of("runagent.transports")]


def test_a_folder_that_cannot_be_read_is_skipped(tmp_path: Path) -> None:
    install(tmp_path / "site", "runagent-there", "", transports=("there",))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = [str(tmp_path / name) for name in ("missing", "loop", "x" * 300, "site")]
    assert ["there"] == [plugin.name for plugin in Installed({}, path).all_of("runagent.transports")]


def test_a_configuration_file_that_lacked_a_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"timeout": 7}')
    monkeypatch.setenv("RUNAGENT_CONFIG", str(file))
    client = RunAgentClient("a")
    with no_descriptor(), pytest.raises(OSError, match="Too many open files") as caught:
        client.run_generic_stream("q")
    assert not isinstance(caught.value, ConfigurationError)
    assert 7 == client.settings.timeout


def test_a_trust_store_that_lacked_a_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL does not mention it: the context would trust nobody for the life of the process."""
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)  # a named file raises by itself
    if ssl.get_default_verify_paths().cafile is None:
        pytest.skip("OpenSSL knows of no bundle here")
    tls.shared_trust.cache_clear()
    with no_descriptor(), pytest.raises(OSError, match="Too many open files"):
        tls.default_context()
    assert tls.default_context().cert_store_stats()["x509"] > 0


def test_named_certificates_that_lacked_a_descriptor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with no_descriptor(), pytest.raises(OSError, match="Too many open files"):
        trust.load_named_trust(context)
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        trust.load_named_trust(context)


def test_a_client_certificate_that_lacked_a_descriptor(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    file.write_text("no certificate")
    with no_descriptor(), pytest.raises(OSError, match="Too many open files"):
        tls.default_context((str(file),))
    with pytest.raises(ConfigurationError, match="client_cert"):
        tls.default_context((str(file),))


FIRST_CALLS = """
import resource, os
from runagent import RunAgentClient
from runagent_testing import FakeAgentServer

with FakeAgentServer() as server:
    server.agent("a").always("hello")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    first = RunAgentClient("a", base_url=server.url, transport={transport!r})
    try:
        first.run_generic_stream("q").text()
    except Exception as exc:
        kind = type(exc)
    for descriptor in taken:
        os.close(descriptor)
    print(kind.__name__, first.run_generic_stream("q").text())
    print(RunAgentClient("a", base_url=server.url, transport={transport!r}).run_generic_stream("q").text())
"""


def test_a_first_call_without_a_descriptor(transport: str) -> None:
    program = FIRST_CALLS.format(transport=transport)
    environ: dict[str, Any] = {name: v for name, v in os.environ.items() if not name.startswith("RUNAGENT_")}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env=environ,
        check=False,
    )
    assert (0, "") == (ran.returncode, ran.stderr)
    assert ["OSError hello", "hello"] == ran.stdout.splitlines()
