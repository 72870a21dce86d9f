"""Settings: arguments, then the environment, then a JSON file, then defaults.

Every value remembers where it came from, and every complaint about one says so. A value that something
stronger replaces is not looked at; the file as a whole must always be sound.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from runagent._address.proxy import parse_proxy
from runagent._address.url import BaseURL, parse_base_url
from runagent._config.file import ConfigFile, find_config_file, read_config_file
from runagent._errors import ConfigurationError
from runagent._internal.foreign import is_passing
from runagent._internal.tracebacks import conceal
from runagent._redact import describe, escape_controls, lone_surrogate, parse_json, redact_url

__all__ = [
    "Settings",
    "Timeouts",
    "file_exposures",
    "load_settings",
    "parse_count",
    "parse_timeout",
    "validate_api_key",
]

DEFAULT_BASE_URL = "https://api.run-agent.ai"
TRANSPORT_GROUPS = {"auto": ("sse", "chunked", "websocket")}

ApiKey = str | Callable[[], str | Awaitable[str]]
Resume = Literal[True, False, "trust"]
Parser = Callable[[Any, str], Any]
_Places = tuple[Mapping[str, Any], Mapping[str, str], str, Mapping[str, Any]]

_QUOTES = ('"', "'", "`")

_logger = logging.getLogger("runagent.config")
_warned: set[tuple[str, str]] = set()


def _invalid(source: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f"{source}: {problem}", code="INVALID_SETTING", details={"source": source})


def _expected(source: str, expected: str, value: object) -> ConfigurationError:
    return _invalid(source, f"expected {expected}, found {describe(value)}")


def _number(expected: str, accepts: Callable[[float], bool], kind: type[int | float] = float) -> Parser:
    def parse(value: Any, source: str) -> Any:
        if isinstance(value, (int, kind)) and not isinstance(value, bool):
            with contextlib.suppress(OverflowError):
                if math.isfinite(value) and accepts(value):
                    return kind(value)
        raise _expected(source, expected, value)

    return parse


_positive_seconds = _number("a finite number of seconds above 0", lambda number: number > 0)
_seconds = _number("a finite number of seconds, 0 or more", lambda number: number >= 0)
_factor = _number("a finite number, 1 or more", lambda number: number >= 1)
parse_count = _number("a whole number, 0 or more", lambda number: number >= 0, kind=int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Limits of the phases of a run: finite seconds above 0, or None for no limit.

    Attributes:
        connect: Until the connection stands: name look-up, all addresses, proxy and TLS together.
        first_event: From then until the agent's first event.
        idle: Between two reads of any bytes, heartbeats included.
        progress: Between two events.
        total: The whole run, by wall clock.
    """

    connect: float | None = 30.0
    first_event: float | None = 60.0
    idle: float | None = 60.0
    progress: float | None = None
    total: float | None = None

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value is not None:
                object.__setattr__(self, limit.name, _positive_seconds(value, f"Timeouts.{limit.name}"))

    @classmethod
    def from_seconds(cls, seconds: float | None) -> Timeouts:
        """Allow ``seconds`` for each of connect, first_event and idle, and leave the others without limit."""
        return cls(connect=seconds, first_event=seconds, idle=seconds)


def parse_timeout(value: Any, source: str) -> float | Timeouts:
    """Check a ``timeout``: seconds above 0, or `Timeouts`.

    Raises:
        ConfigurationError: It is neither.
    """
    return value if isinstance(value, Timeouts) else _positive_seconds(value, source)


def _one_of(expected: str, *choices: bool | str) -> Parser:
    def parse(value: Any, source: str) -> Any:
        if not isinstance(value, bool | str) or value not in choices:
            raise _expected(source, expected, value)
        return value

    return parse


def validate_api_key(value: object, source: str) -> str:
    """Return an API key that fits into a header, wherever it came from; blanks around it are left out.

    Raises:
        ConfigurationError: It is no text, empty, in quotes, or not visible ASCII; the key is not shown.
    """
    if not isinstance(value, str):
        raise _invalid(source, f"expected the API key as text, found a value of type {type(value).__name__}")
    value = value.strip()
    if value[:1] in _QUOTES or value[-1:] in _QUOTES:
        raise _invalid(source, "the API key is in quotes, which would be sent with it; leave them out")
    if not value:
        raise _invalid(source, "the API key is empty; leave it out to send none")
    if not all("!" <= character <= "~" for character in value):
        hint = "give the bare key, without quotes, line breaks or a word such as Bearer before it"
        raise _invalid(source, f"the API key may hold only visible ASCII characters; {hint}")
    return value


def _api_key(value: Any, source: str) -> ApiKey:
    return value if callable(value) else validate_api_key(value, source)


def _transport(value: Any, source: str) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        raise _expected(source, "a transport's name or a list of names", value)
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise _expected(source, "a transport's name that is not empty", name)
        if "://" in name:
            raise _invalid(
                source, f"expected a transport's name, found {redact_url(name)}; put a URL into base_url"
            )
    stripped = [name.strip() for name in names]
    return tuple(dict.fromkeys(one for name in stripped for one in TRANSPORT_GROUPS.get(name, (name,))))


def _options(value: Any, source: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise _invalid(source, f"expected an object with text as keys, found a {type(value).__name__}")
    try:
        _check_texts(value, source)
    except RecursionError:
        raise _invalid(source, "nested too deeply") from None
    return MappingProxyType(dict(value))


def _check_texts(value: Any, path: str) -> None:
    """Refuse half characters, which nothing can send; all but text is left to the transport."""
    if isinstance(value, str) and (at := lone_surrogate(value)) is not None:
        raise _invalid(path, f"the text holds a lone surrogate at position {at}")
    if isinstance(value, Mapping):
        for name, item in value.items():
            _check_texts(name, f"{path} (a key)")
            _check_texts(item, f"{path}[{name!r}]")
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            _check_texts(item, f"{path}[{place}]")


def _proxy(value: Any, source: str) -> str:
    if value != "":  # an empty text means: no proxy, whatever the environment says
        parse_proxy(value, source)
    return value  # type: ignore[no-any-return]


def _log_level(value: Any, source: str) -> str:
    known = {name: name for name in logging.getLevelNamesMapping()}
    if isinstance(value, str) and value.upper() in known:
        return value.upper()
    problem = f"expected the name of a log level, found {describe(value)}"
    raise _invalid(source, problem + _nearest(str(value).upper(), known))


def _read_number(text: str, _source: str) -> Any:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _read_json(text: str | bytes, source: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise _invalid(source, str(error)) from None


class _Option(msgspec.Struct, frozen=True):
    """One setting, and how each place calls it; None where it cannot be given.

    ``read`` takes environment text; what it cannot read it hands on as text, so that ``parse`` complains.
    """

    name: str
    environment: str | None
    file_key: str | None
    parse: Parser
    read: Parser = lambda text, _source: text
    argument_name: str | None = None

    @property
    def argument(self) -> str:
        return self.argument_name or self.name


_OPTIONS = (
    _Option("api_key", "RUNAGENT_API_KEY", "api_key", _api_key),
    _Option("api_url", "RUNAGENT_API_URL", "api_url", parse_base_url, argument_name="base_url"),
    _Option("timeout", "RUNAGENT_TIMEOUT", "timeout", parse_timeout, _read_number),
    _Option("transport", "RUNAGENT_TRANSPORT", "transport", _transport),
    _Option("transport_options", "RUNAGENT_TRANSPORT_OPTIONS", "transport_options", _options, _read_json),
    _Option("max_retries", "RUNAGENT_MAX_RETRIES", "retry_config.max_retries", parse_count, _read_number),
    _Option("max_resumes", None, None, parse_count),
    _Option("retry_delay", "RUNAGENT_RETRY_DELAY", "retry_config.retry_delay", _seconds, _read_number),
    _Option("retry_backoff", "RUNAGENT_RETRY_BACKOFF", "retry_config.retry_backoff", _factor, _read_number),
    _Option("max_retry_wait", None, None, _seconds),
    _Option("retry_unsafe", None, None, _one_of("true or false", True, False)),
    _Option("resume", None, "resume", _one_of('true, false or "trust"', True, False, "trust")),
    _Option("proxy", "RUNAGENT_PROXY", "proxy", _proxy),
    _Option("log_level", "RUNAGENT_LOG_LEVEL", "log_level", _log_level),
)
_FILE_KEYS = tuple(option.file_key for option in _OPTIONS if option.file_key)
_SECTIONS = {section: section for key in _FILE_KEYS if (section := key.rpartition(".")[0])}
_MEANT = {name: o.file_key for o in _OPTIONS if o.file_key for name in (o.name, o.argument)} | _SECTIONS
_OTHER_VARIABLES = ("RUNAGENT_CONFIG", "RUNAGENT_DISABLE_PLUGINS", "RUNAGENT_STRICT_PLUGINS")
_SECRETIVE = ("api_key", "proxy", "transport_options")  # what may hold a secret
_VARIABLES = (*_OTHER_VARIABLES, *(option.environment for option in _OPTIONS if option.environment))


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a client was told to do; what may hold a secret is left out of its repr.

    Attributes:
        timeout: Seconds, one limit for each phase, or None for the defaults.
        transport: Names in order of preference, ``auto`` already expanded.
        retry_delay: Seconds before the first retry; each further wait is ``retry_backoff`` times as long.
        max_retry_wait: The longest ``Retry-After`` in seconds that is waited for.
        proxy: A proxy's URL; an empty text means none at all, None leaves it to the environment.
        sources: Where each setting came from, by its name in the configuration file.
    """

    api_key: ApiKey | None = None
    base_url: BaseURL = msgspec.field(default_factory=lambda: parse_base_url(DEFAULT_BASE_URL))
    timeout: float | Timeouts | None = None
    transport: tuple[str, ...] = ("sse",)
    transport_options: Mapping[str, Any] = msgspec.field(default_factory=lambda: MappingProxyType({}))
    max_retries: int = 3
    max_resumes: int = 10
    retry_delay: float = 1.0
    retry_backoff: float = 2.0
    max_retry_wait: float = 60.0
    retry_unsafe: bool = False
    resume: Resume = True
    proxy: str | None = None
    log_level: str | None = None
    sources: Mapping[str, str] = msgspec.field(default_factory=lambda: MappingProxyType({}))

    def __repr__(self) -> str:
        shown = (name for name in self.__struct_fields__ if name not in _SECRETIVE)
        return f"Settings({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


@conceal
def load_settings(arguments: Mapping[str, Any], *, environ: Mapping[str, str] = os.environ) -> Settings:
    """Resolve every setting: argument, environment variable, file, default.

    Args:
        arguments: By argument name; one that is None counts as not given, as does an empty variable.
        environ: Also names the file: ``RUNAGENT_CONFIG``, otherwise ``~/.runagent/config.json`` if it exists.

    Raises:
        ConfigurationError: A value or the file is not usable; the message names where it came from.
    """
    known = {option.argument: option.argument for option in _OPTIONS}
    for name in sorted(arguments.keys() - known):
        raise _invalid(f"argument {name}", "unknown argument" + _nearest(name, known))
    _note_strange_variables(environ)
    places = (arguments, environ, *_load_file(environ.get("RUNAGENT_CONFIG", "").strip()))
    sources = {option.name: "default" for option in _OPTIONS}
    values: dict[str, Any] = {}
    for option in _OPTIONS:
        if found := next(_findings(option, places), None):
            value, where, sources[option.name] = found
            values[option.argument] = option.parse(value, where)
    return Settings(**values, sources=MappingProxyType(sources))


def _findings(option: _Option, places: _Places) -> Iterator[tuple[Any, str, str]]:
    """Yield (value, what an error calls its place, what `Settings.sources` says), the strongest first."""
    arguments, environ, path, content = places
    if (value := arguments.get(option.argument)) is not None:
        yield value, f"argument {option.argument}", f"argument {option.argument}"
    if option.environment and (text := environ.get(option.environment, "").strip()):
        source = f"environment variable {option.environment}"
        yield option.read(text, source), source, source
    if option.file_key and (value := content.get(option.file_key)) is not None:
        yield value.strip() if isinstance(value, str) else value, f"{path}: {option.file_key}", path


def _note_strange_variables(environ: Mapping[str, str]) -> None:
    strange = {name for name in environ if name.startswith("RUNAGENT_")}.difference(_VARIABLES)
    known = {name.removeprefix("RUNAGENT_"): name for name in _VARIABLES}
    for name in sorted(strange if _logger.isEnabledFor(logging.DEBUG) else ()):
        if hint := _nearest(name.removeprefix("RUNAGENT_"), known, otherwise=""):
            _logger.debug(
                "environment variable %s is not one of runagent's own%s", escape_controls(name), hint
            )


def _nearest(name: str, known: Mapping[str, str], otherwise: str | None = None) -> str:
    """Say which of the names in ``known`` was meant: its value there, or else the whole list."""
    import difflib

    if close := difflib.get_close_matches(name, known, n=1, cutoff=0.7):
        return f"; did you mean {known[close[0]]}?"
    return f"; known: {', '.join(sorted(set(known.values())))}" if otherwise is None else otherwise


def _load_file(named: str) -> tuple[str, dict[str, Any]]:
    """Return the file's path and its values by dotted key: none if no file was named and there is none."""
    file = _read_file(named)
    if file is None:
        return "", {}
    content = _content(file)
    for problem in _exposures(file, content):
        _warn_once(file.path, problem)
    return file.path, content


def _read_file(named: str) -> ConfigFile | None:
    path = _find_file(named)
    try:
        return read_config_file(path) if path else None
    except (FileNotFoundError, NotADirectoryError):
        if named:
            raise _invalid(path, "the file that RUNAGENT_CONFIG names does not exist") from None
        return None
    except (OSError, ValueError) as error:
        if is_passing(error):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise _invalid(path, f"cannot read the file: {reason}; RUNAGENT_CONFIG can name another") from error


def _find_file(named: str) -> str:
    try:
        return find_config_file(named)
    except ValueError as error:
        source = "environment variable RUNAGENT_CONFIG"
        raise _invalid(source, f"{error}, found {describe(named)}") from None


def _content(file: ConfigFile) -> dict[str, Any]:
    document = _read_json(file.data, file.path)
    if not isinstance(document, dict):
        raise _invalid(file.path, f"expected a JSON object, found a value of type {type(document).__name__}")
    return dict(_flatten(document, file.path))


def _exposures(file: ConfigFile, content: Mapping[str, Any]) -> list[str]:
    path = file.path
    found = [f"{path} {file.writable}"] if file.writable else []
    if file.readable and content.get("api_key") is not None:
        found.append(f"{path} holds an API key and can be read by other users; run: chmod 600 {path}")
    return found


def file_exposures(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return what other users can do with the configuration file in force and should not.

    Raises:
        ConfigurationError: The file is not usable.
    """
    file = _read_file(environ.get("RUNAGENT_CONFIG", "").strip())
    return [] if file is None else _exposures(file, _content(file))


def _flatten(document: dict[str, Any], path: str, section: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        key = section + name
        if "." in name:
            raise _invalid(
                f"{path}: {key}", "unknown key; write an object inside the object instead of a dot"
            )
        if key in _FILE_KEYS:
            yield key, value
        elif key not in _SECTIONS:
            known = {
                meant: full[len(section) :] for meant, full in _MEANT.items() if full.startswith(section)
            }
            raise _invalid(f"{path}: {key}", "unknown key" + _nearest(name, known))
        elif isinstance(value, dict):
            yield from _flatten(value, path, f"{key}.")
        elif value is not None:
            raise _expected(f"{path}: {key}", "an object", value)


def _warn_once(path: str, problem: str) -> None:
    if (path, problem) not in _warned:
        _warned.add((path, problem))
        _logger.warning("%s", escape_controls(problem))
