from __future__ import annotations

import copy
import logging
import os
import pickle
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from runagent._config.parsers import validate_api_key
from runagent._config.settings import Settings, load_settings
from runagent._config.timeouts import Timeouts
from runagent._errors import ConfigurationError
from tests.config.loading import SECRET, load, refusal
from tests.support.tracing import environment_without_tracer


def test_defaults_need_nothing():
    settings = load()
    assert Settings(sources=settings.sources) == settings
    assert "https://api.run-agent.ai" == str(settings.base_url)
    retries = (settings.max_retries, settings.retry_delay, settings.retry_backoff, settings.max_retry_wait)
    assert (3, 1.0, 2.0, 60.0) == retries
    assert (False, True, ("sse",)) == (settings.retry_unsafe, settings.resume, settings.transport)
    assert {None} == {settings.api_key, settings.timeout, settings.proxy, settings.log_level}
    assert {"default"} == set(settings.sources.values())


@pytest.mark.parametrize(
    ("name", "in_file", "argument", "variable", "expected"),
    [
        ("api_key", {"api_key": "f"}, "a", "e", ("a", "e", "f")),
        ("api_url", {"api_url": "http://f"}, "http://a", "http://e", ("http://a", "http://e", "http://f")),
        ("timeout", {"timeout": 3}, 1, "2.5", (1.0, 2.5, 3.0)),
        ("transport", {"transport": "f"}, ["a", "b"], "e, f", (("a", "b"), ("e", "f"), ("f",))),
        ("transport_options", {"transport_options": {}}, {"x": 1}, '{"x": 2}', ({"x": 1}, {"x": 2}, {})),
        ("max_retries", {"retry_config": {"max_retries": 7}}, 0, "5", (0, 5, 7)),
        ("retry_delay", {"retry_config": {"retry_delay": 0.5}}, 0, "1e-1", (0.0, 0.1, 0.5)),
        ("retry_backoff", {"retry_config": {"retry_backoff": 3}}, 1, " 4 ", (1.0, 4.0, 3.0)),
        ("proxy", {"proxy": "http://f:1"}, "", "http://e:1", ("", "http://e:1", "http://f:1")),
        ("log_level", {"log_level": "ERROR"}, "debug", "Info", ("DEBUG", "INFO", "ERROR")),
    ],
)
def test_argument_beats_environment_beats_file(config_file, name, in_file, argument, variable, expected):
    path = config_file(in_file)
    attribute = "base_url" if name == "api_url" else name
    variable_name = f"RUNAGENT_{name.upper()}"
    cases = [
        (load({attribute: argument}, {variable_name: variable}), f"argument {attribute}"),
        (load({attribute: None}, {variable_name: variable}), f"environment variable {variable_name}"),
        (load({attribute: None}, {variable_name: "  "}), str(path)),
    ]
    for (settings, source), value in zip(cases, expected, strict=True):
        found = getattr(settings, attribute)
        assert value == (str(found) if name == "api_url" else found)
        assert source == settings.sources[name]
        assert {"default"} == set(settings.sources.values()) - {source}


@pytest.mark.parametrize(
    ("name", "value"), [("max_retry_wait", 5), ("retry_unsafe", True), ("resume", "trust")]
)
def test_settings_without_a_variable_come_as_arguments(name, value):
    settings = load({name: value})
    assert value == getattr(settings, name)
    assert f"argument {name}" == settings.sources[name]


@pytest.mark.parametrize("value", [False, True, "trust"])
def test_resume_may_come_from_the_file(config_file, value):
    config_file({"resume": value})
    assert value is load().resume or value == "trust" == load().resume


def test_null_in_the_file_counts_as_not_given(config_file):
    config_file({"api_key": None, "timeout": None, "proxy": None, "retry_config": None})
    assert {"default"} == set(load().sources.values())


def test_process_environment_is_the_default(monkeypatch):
    for name in [name for name in os.environ if name.startswith("RUNAGENT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RUNAGENT_MAX_RETRIES", "9")
    assert 9 == load_settings({}).max_retries


def test_broken_value_that_is_overridden_does_not_matter(config_file):
    config_file({"timeout": "soon"})
    assert 5.0 == load({"timeout": 5}, {"RUNAGENT_TIMEOUT": "later"}).timeout


def test_unknown_argument_names_the_nearest():
    assert "argument timout: unknown argument; did you mean timeout?" == refusal({"timout": 5})
    assert "; known: api_key, base_url, " in refusal({"zzz": 5})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("auto", ("sse", "chunked", "websocket")),
        (["websocket", "auto"], ("websocket", "sse", "chunked")),
        (("sse", "sse"), ("sse",)),
        ("websocket,sse", ("websocket", "sse")),
        (" sse ", ("sse",)),
        ("my-plugin:made-up", ("my-plugin:made-up",)),
    ],
)
def test_transport_is_an_ordered_choice(value, expected):
    assert expected == load({"transport": value}).transport


@pytest.mark.parametrize(
    ("argument", "value", "problem"),
    [
        ("timeout", 0, "expected a finite number of seconds above 0, found 0"),
        ("timeout", -1, "found -1"),
        ("timeout", True, "found True"),
        ("timeout", "5", "found the text '5'"),
        ("timeout", float("nan"), "found nan"),
        ("timeout", float("inf"), "found inf"),
        pytest.param("timeout", 10**400, "found 1000", id="beyond-float"),
        pytest.param("timeout", 10**5000, "found a huge number", id="beyond-text"),
        ("timeout", {"idle": 5}, "found a value of type dict"),
        ("max_retries", -1, "expected a whole number, 0 or more, found -1"),
        ("max_retries", 3.0, "found 3.0"),
        ("max_retries", True, "found True"),
        ("max_retries", "3", "found the text '3'"),
        ("retry_delay", -0.1, "0 or more, found -0.1"),
        ("retry_backoff", 0.9, "1 or more, found 0.9"),
        ("max_retry_wait", float("inf"), "0 or more, found inf"),
        ("retry_unsafe", 1, "expected true or false, found 1"),
        ("retry_unsafe", "trust", "expected true or false"),
        ("resume", "yes", "expected true, false or \"trust\", found the text 'yes'"),
        ("resume", 1, "found 1"),
        ("resume", [], "found a value of type list"),
        ("transport", "", "a transport's name that is not empty"),
        ("transport", [], "a transport's name or a list of names"),
        ("transport", ["sse", " "], "not empty, found the text ' '"),
        ("transport", ["sse", 5], "not empty, found 5"),
        ("transport", "sse,,chunked", "not empty, found the text ''"),
        ("transport", 5, "found 5"),
        ("transport_options", [SECRET], "expected an object"),
        ("transport_options", {5: SECRET}, "text as keys"),
        ("transport_options", SECRET, "expected an object"),
        ("log_level", "DEBUGG", "found the text 'DEBUGG'; did you mean DEBUG?"),
        ("log_level", 10, "expected the name of a log level, found 10; known: "),
        ("proxy", f"https://user:{SECRET}@proxy:1", "only plain http:// proxies"),
        ("proxy", 5, "must be text"),
        ("base_url", f"https://user:{SECRET}@agents.example", "user name and password are not allowed"),
        ("base_url", "agents.example", "did you forget https://?"),
        ("base_url", 5, "found 5"),
        ("api_key", "", "the API key is empty"),
        ("api_key", " \n", "the API key is empty"),
        ("api_key", f"{SECRET}\r\nX: y", "visible ASCII"),
        ("api_key", f"{SECRET}\n{SECRET}", "visible ASCII"),
        ("api_key", f"Bearer {SECRET}", "such as Bearer"),
        ("api_key", f"{SECRET}é", "visible ASCII"),
        ("api_key", f"{SECRET}\x7f", "visible ASCII"),
        ("api_key", SECRET.encode(), "found a value of type bytes"),
        ("api_key", 5, "found a value of type int"),
    ],
)
def test_bad_argument_is_refused_by_name(argument, value, problem):
    message = refusal({argument: value})
    assert message.startswith(f"argument {argument}: ")
    assert problem in message


@pytest.mark.parametrize(
    ("variable", "text", "problem"),
    [
        ("RUNAGENT_TIMEOUT", "soon", "expected a finite number of seconds above 0, found the text 'soon'"),
        ("RUNAGENT_TIMEOUT", "nan", "found nan"),
        ("RUNAGENT_TIMEOUT", "true", "found the text 'true'"),
        pytest.param("RUNAGENT_TIMEOUT", "9" * 5000, "found inf", id="beyond-float"),
        ("RUNAGENT_MAX_RETRIES", "3.5", "expected a whole number, 0 or more, found 3.5"),
        ("RUNAGENT_MAX_RETRIES", "many", "found the text 'many'"),
        ("RUNAGENT_TRANSPORT", "sse,", "not empty"),
        ("RUNAGENT_TRANSPORT_OPTIONS", '{"a": 1,}', "not valid JSON: "),
        ("RUNAGENT_TRANSPORT_OPTIONS", f'{{"a": "{SECRET}"', "(line 1, column 19)"),
        ("RUNAGENT_TRANSPORT_OPTIONS", f'"{SECRET}"', "expected an object"),
        ("RUNAGENT_TRANSPORT_OPTIONS", '{"a": 1, "b": 2, "a": 3}', "duplicate key 'a'"),
        ("RUNAGENT_API_URL", f"http://u:{SECRET}@x", "user name and password"),
        ("RUNAGENT_API_KEY", f"{SECRET}\n{SECRET}", "visible ASCII"),
        ("RUNAGENT_PROXY", f"socks5://u:{SECRET}@x", "not socks5://"),
        ("RUNAGENT_LOG_LEVEL", "loud", "found the text 'loud'"),
    ],
)
def test_bad_variable_is_refused_by_name(variable, text, problem):
    message = refusal(environ={variable: text})
    assert message.startswith(f"environment variable {variable}: ")
    assert problem in message


@pytest.fixture(params=["argument", "environment", "file", "function"])
def load_key(request, config_file):
    """Take a key from each of its places in turn."""

    def take(key):
        if request.param == "argument":
            return load({"api_key": key}).api_key
        if request.param == "environment":
            return load(environ={"RUNAGENT_API_KEY": key}).api_key
        if request.param == "function":
            return validate_api_key(key, "what api_key() returned")
        config_file({"api_key": key})
        return load().api_key

    return take


@pytest.mark.parametrize("key", [SECRET, f"{SECRET}\n", f" {SECRET}\r\n", f"\t{SECRET} "])
def test_key_loses_its_outer_whitespace_wherever_it_is_from(load_key, key):
    assert SECRET == load_key(key)


@pytest.mark.parametrize("form", ['"{}"', "'{}'", '"{}', "{}'", ' "{}"\n', "`{}`"])
def test_key_in_quotes_is_refused_wherever_it_is_from(load_key, form):
    with pytest.raises(ConfigurationError, match="the API key is in quotes") as caught:
        load_key(form.format(SECRET))
    assert SECRET not in repr(caught.value)


def test_key_may_be_a_callable_that_is_not_called():
    def key():
        raise AssertionError

    assert key is load({"api_key": key}).api_key


def test_key_of_a_callable_can_be_checked_later():
    assert SECRET == validate_api_key(SECRET, "api_key()")
    with pytest.raises(ConfigurationError, match=r"^api_key\(\): expected the API key as text"):
        validate_api_key(None, "api_key()")


def test_options_are_a_copy_that_cannot_be_changed():
    given = {"a": 1}
    settings = load({"transport_options": given})
    given["a"] = 2
    assert {"a": 1} == settings.transport_options
    with pytest.raises(TypeError):
        settings.transport_options["a"] = 3


def test_settings_show_no_secret():
    secrets = {"api_key": SECRET, "proxy": f"http://u:{SECRET}@proxy", "transport_options": {"a": SECRET}}
    settings = load(secrets)
    assert SECRET not in f"{settings!r} {settings}"
    assert "max_retries=3" in repr(settings)


def test_settings_are_frozen():
    with pytest.raises(AttributeError):
        load().max_retries = 5


def test_unknown_variables_are_ignored(caplog):
    caplog.set_level(logging.DEBUG, "runagent.config")
    environ = {
        "RUNAGENT_TIMEOT": SECRET,
        "RUNAGENT_MYPLUGIN_COLOR": "x",
        "RUNAGENT_CONFIG": "",
        "RUNAGENT_DISABLE_PLUGINS": "all",
        "OTHER_TIMEOUT": "x",
    }
    assert {"default"} == set(load(environ=environ).sources.values())
    expected = "environment variable RUNAGENT_TIMEOT is unknown; did you mean RUNAGENT_TIMEOUT?"
    assert [(logging.DEBUG, expected)] == [(record.levelno, record.getMessage()) for record in caplog.records]


def test_unnamed_timeouts_keep_their_defaults():
    expected = {"connect": 30.0, "first_event": 60.0, "idle": 5.0, "progress": None, "total": None}
    assert expected == msgspec.structs.asdict(Timeouts(idle=5))
    assert None is Timeouts(connect=None).connect


def test_one_number_sets_three_timeouts():
    expected = Timeouts(connect=7, first_event=7, idle=7, progress=None, total=None)
    assert expected == Timeouts.from_seconds(7)
    assert 7.0 == load({"timeout": 7}).timeout
    assert Timeouts(idle=5) == load({"timeout": Timeouts(idle=5)}).timeout


@pytest.mark.parametrize(
    ("arguments", "limits", "complaint"),
    [
        ((5,), {}, r"takes limits by their names: connect=, first_event=, idle=, progress=, total=$"),
        ((), {"firstevent": 5}, r"has no limit 'firstevent'; did you mean first_event=\?$"),
        (
            (),
            {"read": 5, "idle": 1},
            r"has no limit 'read'; known: connect=, first_event=, idle=, ",
        ),
    ],
)
def test_a_wrong_limit_names_the_class_and_the_limits(
    arguments: tuple[Any, ...], limits: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(TypeError, match=rf"^Timeouts\(\) {complaint}"):
        Timeouts(*arguments, **limits)


@pytest.mark.parametrize("name", Timeouts.__struct_fields__)
@pytest.mark.parametrize("value", [0, -1, True, "5", float("nan"), float("inf"), [5]])
def test_bad_timeout_names_its_field(name, value):
    with pytest.raises(ConfigurationError, match=rf"^Timeouts\.{name}: expected a finite number of seconds"):
        Timeouts(**{name: value})


def test_timeouts_are_values():
    timeouts = Timeouts(total=9)
    assert timeouts == pickle.loads(pickle.dumps(timeouts)) == copy.deepcopy(timeouts)
    assert hash(timeouts) == hash(Timeouts(total=9.0))
    with pytest.raises(TypeError):
        Timeouts(5)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        timeouts.total = 1  # type: ignore[misc]


def test_module_imports_nothing_that_is_slow():
    slow = "{'urllib.request', 'asyncio', 'ssl', 'socket', 'difflib', 'pydantic'}"
    code = f"import sys, runagent._config.settings; print({slow} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment_without_tracer(),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert "set()" == done.stdout.strip()
