from __future__ import annotations

import logging
import os
import socket

import pytest

from runagent._config.settings import file_exposures
from runagent._errors import ConfigurationError
from tests.config.loading import SECRET, load, refusal


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            {"retry_config": {"max_retry": 3}},
            ": retry_config.max_retry: unknown key; did you mean max_retries?",
        ),
        ({"max_retries": 3}, ": max_retries: unknown key; did you mean retry_config.max_retries?"),
        ({"retry_confg": {}}, ": retry_confg: unknown key; did you mean retry_config?"),
        ({"timout": 3}, ": timout: unknown key; did you mean timeout?"),
        ({"base_url": "http://x"}, ": base_url: unknown key; did you mean api_url?"),
        ({"apikey": SECRET}, ": apikey: unknown key; did you mean api_key?"),
        ({"retry_config.max_retries": 3}, ": retry_config.max_retries: unknown key; write an object inside"),
        ({"zzz": SECRET}, ": zzz: unknown key; known: api_key, api_url, "),
        ({"retry_config": {"timeout": 3}}, ": retry_config.timeout: unknown key; known: max_retries, "),
        ({"retry_config": {"retry_config": {}}}, ": retry_config.retry_config: unknown key"),
        ({"retry_config": 3}, ": retry_config: expected an object, found 3"),
        ({"retry_config": {"max_retries": "3"}}, ": retry_config.max_retries: expected a whole number"),
        ({"timeout": "5"}, ": timeout: expected a finite number of seconds above 0, found the text '5'"),
        ({"timeout": True}, ": timeout: expected a finite number of seconds above 0, found True"),
        ('{"timeout": NaN}', ": timeout: expected a finite number of seconds above 0, found nan"),
        ({"api_key": [SECRET]}, ": api_key: expected the API key as text, found a value of type list"),
        ({"api_key": f"{SECRET} {SECRET}"}, ": api_key: the API key may hold only visible ASCII"),
        ({"api_key": " "}, ": api_key: the API key is empty"),
        ({"api_url": f"http://u:{SECRET}@x"}, ": api_url: user name and password are not allowed"),
        ({"proxy": f"https://u:{SECRET}@x"}, ": proxy: only plain http:// proxies"),
        ({"transport_options": "x"}, ": transport_options: expected an object"),
        ({"log_level": 5}, ": log_level: expected the name of a log level, found 5"),
        (
            f'{{"api_key": "{SECRET}"\n "timeout": 5}}',
            ": not valid JSON: Expecting ',' delimiter (line 2, column 2)",
        ),
        (
            f'{{"api_key": "{SECRET}", "timeout": 1, "timeout": 2}}',
            ": not usable JSON: duplicate key 'timeout'",
        ),
        ("", ": not valid JSON: Expecting value (line 1, column 1)"),
        pytest.param("[" * 200_000, ": not usable JSON: nested too deeply", id="deep"),
        pytest.param('{"timeout": ' + "9" * 5000 + "}", ": not usable JSON: ", id="beyond-int"),
        ([SECRET], ": expected a JSON object, found a value of type list"),
        ("null", ": expected a JSON object, found a value of type NoneType"),
        (SECRET.encode() + b"\xff", ": not valid utf-8 text at byte 10"),
        pytest.param(b" " * (1024 * 1024 + 1), ": cannot read the file: larger than 1048576 bytes", id="big"),
    ],
)
def test_bad_file_is_one_error_that_names_it(config_file, content, problem):
    path = config_file(content)
    message = refusal()
    assert message.startswith(str(path))
    assert problem in message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_file_may_begin_with_a_byte_order_mark(config_file, encoding):
    config_file('{"api_url": "http://bücher.example"}'.encode(encoding))
    assert "http://xn--bcher-kva.example" == str(load().base_url)


def test_error_of_a_bad_file_does_not_carry_its_text(config_file):
    config_file(f'{{"api_key": "{SECRET}"')
    with pytest.raises(ConfigurationError) as caught:
        load()
    chain: list[BaseException] = [caught.value]
    while chain[-1].__context__ is not None:
        chain.append(chain[-1].__context__)
    assert SECRET not in "".join(f"{error!r} {vars(error)}" for error in chain)


def test_runagent_config_names_another_file(config_file, home):
    config_file({"timeout": 1})
    other = home / "other.json"
    other.write_text('{"timeout": 2}')
    for named in (str(other), "~/other.json", f" {other} "):
        settings = load(environ={"RUNAGENT_CONFIG": named})
        assert (2.0, str(other)) == (settings.timeout, settings.sources["timeout"])
    assert 1.0 == load(environ={"RUNAGENT_CONFIG": ""}).timeout


@pytest.mark.parametrize("name", ["missing.json", "file/below.json", "dangling"])
def test_named_file_must_exist(home, name):
    (home / "file").write_text("{}")
    (home / "dangling").symlink_to(home / "nowhere")
    path = home / name
    expected = f"{path}: the file that RUNAGENT_CONFIG names does not exist"
    assert expected == refusal(environ={"RUNAGENT_CONFIG": str(path)})


def test_directory_is_no_file(home):
    (home / ".runagent" / "config.json").mkdir(parents=True)
    expected = f"{home / '.runagent' / 'config.json'}: cannot read the file: Is a directory; "
    assert refusal().startswith(expected)


def test_unreadable_file_is_refused(config_file, monkeypatch):
    path = config_file({})

    def refuse(path, mode, **options):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("runagent._config.file.open", refuse, raising=False)  # modes do not stop a superuser
    assert f"{path}: cannot read the file: Permission denied; RUNAGENT_CONFIG can name another" == refusal()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working directory whose owner would like to have the key."""
    for folder in ("~", ".", "sub"):
        place = tmp_path / "elsewhere" / folder / ".runagent"
        place.mkdir(parents=True)
        (place / "config.json").write_text('{"api_url": "http://evil.example"}')
    monkeypatch.chdir(tmp_path / "elsewhere")


@pytest.mark.parametrize("value", [None, ".", "", "sub", "~"])
@pytest.mark.usefixtures("elsewhere")
def test_file_of_the_working_directory_is_never_read(monkeypatch, value):
    if value is None:
        monkeypatch.delenv("HOME")
        monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])  # no entry
    else:
        monkeypatch.setenv("HOME", value)
    assert {"default"} == set(load().sources.values())


@pytest.mark.parametrize(
    "named", [".runagent/config.json", "./sub/.runagent/config.json", "~nobody-here/x.json"]
)
@pytest.mark.usefixtures("elsewhere")
def test_named_file_must_be_absolute(named):
    message = refusal(environ={"RUNAGENT_CONFIG": named})
    assert message.startswith("environment variable RUNAGENT_CONFIG: ")
    assert f"found the text {named!r}" in message


def make_fifo(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def make_link_to_device(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [make_fifo, make_socket, make_link_to_device])
@pytest.mark.parametrize("named", [False, True])
def test_only_a_regular_file_is_read(home, make, named):
    path = home / ".runagent" / "config.json"
    path.parent.mkdir()
    make(path)
    message = refusal(environ={"RUNAGENT_CONFIG": str(path)} if named else {})
    assert message.startswith(f"{path}: cannot read the file: it is not a regular file")


def test_fifo_that_takes_the_files_place_just_then_is_not_waited_for(config_file, monkeypatch):
    path = config_file({})
    look = os.stat

    def replaced(name, **options):
        about = look(name, **options)
        if str(name) == str(path):
            path.unlink()
            os.mkfifo(path)
        return about

    monkeypatch.setattr("runagent._config.file.os.stat", replaced)
    assert "it is not a regular file" in refusal()


@pytest.mark.parametrize(
    ("mode", "folder_mode", "problem"),
    [
        (0o602, 0o700, "can be changed by other users; run: chmod go-w {path}"),
        (0o620, 0o700, "can be changed by other users; run: chmod go-w {path}"),
        (0o666, 0o777, "can be changed by other users; run: chmod go-w {path}"),
        (0o600, 0o702, "can be replaced by other users; run: chmod go-w {path.parent}"),
        (0o600, 0o720, "can be replaced by other users; run: chmod go-w {path.parent}"),
        (0o600, 0o1777, None),
        (0o644, 0o755, None),
    ],
)
def test_file_that_others_can_write_is_warned_of_once(config_file, caplog, mode, folder_mode, problem):
    path = config_file({"api_url": "https://agents.example"})
    path.chmod(mode)
    path.parent.chmod(folder_mode)
    load()
    load()
    expected = [] if problem is None else [f"{path} {problem.format(path=path)}"]
    assert expected == caplog.messages
    assert expected == file_exposures({})
    assert {logging.WARNING} >= {record.levelno for record in caplog.records}


@pytest.mark.parametrize("of", ["file", "folder"])
def test_file_of_another_user_is_warned_of(config_file, caplog, monkeypatch, of):
    path = config_file({})
    name = "fstat" if of == "file" else "stat"
    look = getattr(os, name)

    def look_again(*args, **options):
        about = look(*args, **options)
        uid = 4711 if of == "file" or args[0] == str(path.parent) else about.st_uid
        return os.stat_result([*about[:4], uid, *about[5:]])

    monkeypatch.setattr(f"runagent._config.file.os.{name}", look_again)
    load()
    (message,) = caplog.messages
    assert "belongs to another user" in message


def test_default_file_may_be_missing_in_every_way(home, monkeypatch):
    (home / ".runagent").write_text("not a directory")
    assert {"default"} == set(load().sources.values())
    monkeypatch.setenv("HOME", str(home / "nowhere"))
    assert {"default"} == set(load().sources.values())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_exposed_key_is_warned_of_once(config_file, caplog, mode):
    path = config_file({"api_key": SECRET})
    path.chmod(mode)
    load()
    load()
    records = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert ["runagent.config"] == [record.name for record in records]
    assert str(path) in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(("content", "mode"), [({"api_key": SECRET}, 0o600), ({"timeout": 5}, 0o644)])
def test_file_that_exposes_no_key_is_not_warned_of(config_file, caplog, content, mode):
    config_file(content).chmod(mode)
    load()
    assert [] == caplog.records
