"""Settings: arguments, then the environment, then a JSON file, then defaults.

Every value remembers where it came from, and every error about a value names that place. A value that a
stronger source overrides is not checked; the file as a whole must always be valid.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from runagent._address.url import BaseURL, parse_base_url
from runagent._config.file import ConfigFile, find_config_file, read_config_file
from runagent._config.parsers import (
    ApiKey,
    Parser,
    invalid,
    one_of,
    parse_api_key,
    parse_count,
    parse_factor,
    parse_log_level,
    parse_options,
    parse_proxy_setting,
    parse_resume,
    parse_seconds,
    parse_transport,
    read_json,
    read_number,
    unexpected,
)
from runagent._config.timeouts import Timeouts, parse_timeout
from runagent._internal.foreign import is_passing
from runagent._internal.suggestions import most_like, nearest
from runagent._internal.tracebacks import without_traceback
from runagent._public import publish
from runagent._redact import describe, escape_controls

__all__ = ["Resume", "Settings", "file_exposures", "load_settings", "misspelt_variables"]

DEFAULT_BASE_URL = "https://api.run-agent.ai"

Resume = Literal[True, False, "trust"]
_Places = tuple[Mapping[str, Any], Mapping[str, str], str, Mapping[str, Any]]

_logger = logging.getLogger("runagent.config")
_warned: set[tuple[str, str]] = set()


class _Option(msgspec.Struct, frozen=True):
    """One setting and its name in each source; None if that source cannot give it.

    ``read`` converts the text of an environment variable. It returns text that it cannot convert unchanged,
    so that ``parse`` rejects it.
    """

    name: str
    environment: str | None
    file_key: str | None
    parse: Parser
    read: Parser = lambda text, _source: text
    argument_name: str | None = None
    other_environment: str | None = None  # read if the variable is unset

    @property
    def argument(self) -> str:
        return self.argument_name or self.name


_OPTIONS = (
    _Option("api_key", "RUNAGENT_API_KEY", "api_key", parse_api_key),
    _Option(
        "api_url",
        "RUNAGENT_API_URL",
        "api_url",
        parse_base_url,
        argument_name="base_url",
        other_environment="RUNAGENT_BASE_URL",  # its name in the published package
    ),
    _Option("timeout", "RUNAGENT_TIMEOUT", "timeout", parse_timeout, read_number),
    _Option("transport", "RUNAGENT_TRANSPORT", "transport", parse_transport),
    _Option("transport_options", "RUNAGENT_TRANSPORT_OPTIONS", "transport_options", parse_options, read_json),
    _Option("max_retries", "RUNAGENT_MAX_RETRIES", "retry_config.max_retries", parse_count, read_number),
    _Option("max_resumes", None, None, parse_count),
    _Option("retry_delay", "RUNAGENT_RETRY_DELAY", "retry_config.retry_delay", parse_seconds, read_number),
    _Option(
        "retry_backoff", "RUNAGENT_RETRY_BACKOFF", "retry_config.retry_backoff", parse_factor, read_number
    ),
    _Option("max_retry_wait", None, None, parse_seconds),
    _Option("retry_unsafe", None, None, one_of("true or false", True, False)),
    _Option("resume", None, "resume", parse_resume),
    _Option("proxy", "RUNAGENT_PROXY", "proxy", parse_proxy_setting),
    _Option("log_level", "RUNAGENT_LOG_LEVEL", "log_level", parse_log_level),
)
_FILE_KEYS = tuple(option.file_key for option in _OPTIONS if option.file_key)
_SECTIONS = {section: section for key in _FILE_KEYS if (section := key.rpartition(".")[0])}
_MEANT = {name: o.file_key for o in _OPTIONS if o.file_key for name in (o.name, o.argument)} | _SECTIONS
_OTHER_VARIABLES = ("RUNAGENT_CONFIG", "RUNAGENT_DISABLE_PLUGINS", "RUNAGENT_STRICT_PLUGINS")
_SECRETIVE = ("api_key", "proxy", "transport_options")  # may hold a secret
_VARIABLES = (
    *_OTHER_VARIABLES,
    *filter(None, (name for o in _OPTIONS for name in (o.environment, o.other_environment))),
)
_PREFIXES = ("RUNAGENT_", "RUN_AGENT_", "RUNAGENT")
_SHORT = {"KEY": "RUNAGENT_API_KEY", "TOKEN": "RUNAGENT_API_KEY", "URL": "RUNAGENT_API_URL"}
_WITHOUT_VARIABLE = {o.name.upper(): f"the argument {o.argument}=" for o in _OPTIONS if not o.environment}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The resolved settings of a client; its repr leaves out those that may hold a secret.

    Attributes:
        timeout: Seconds, one limit for each phase, or None for the defaults.
        transport: Names in order of preference, ``auto`` already expanded.
        retry_delay: Seconds before the first retry; each further wait is ``retry_backoff`` times as long.
        max_retry_wait: The longest ``Retry-After``, in seconds, that the client waits for.
        proxy: A proxy's URL; an empty text means no proxy, None leaves the choice to the environment.
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


@without_traceback
def load_settings(arguments: Mapping[str, Any], *, environ: Mapping[str, str] = os.environ) -> Settings:
    """Resolve every setting: argument, environment variable, file, default.

    Args:
        arguments: By argument name; one that is None counts as not given, as does an empty variable.
        environ: The environment, which also names the file: ``RUNAGENT_CONFIG``, otherwise
            ``~/.runagent/config.json`` if it exists.

    Raises:
        ConfigurationError: A value or the file is not usable; the message names the source.
    """
    known = {option.argument: option.argument for option in _OPTIONS}
    for name in sorted(arguments.keys() - known):
        raise invalid(f"argument {name}", "unknown argument" + nearest(name, known))
    _note_misspelt_variables(environ)
    places = (arguments, environ, *_load_file(environ.get("RUNAGENT_CONFIG", "").strip()))
    sources = {option.name: "default" for option in _OPTIONS}
    values: dict[str, Any] = {}
    for option in _OPTIONS:
        if found := next(_findings(option, places), None):
            value, where, sources[option.name] = found
            values[option.argument] = option.parse(value, where)
    return Settings(**values, sources=MappingProxyType(sources))


def _findings(option: _Option, places: _Places) -> Iterator[tuple[Any, str, str]]:
    """Yield (value, its place for an error message, its entry in `Settings.sources`), the strongest first."""
    arguments, environ, path, content = places
    if (value := arguments.get(option.argument)) is not None:
        yield value, f"argument {option.argument}", f"argument {option.argument}"
    if variable := _variable(option, environ):
        source = f"environment variable {variable}"
        yield option.read(environ[variable].strip(), source), source, source
    if option.file_key and (value := content.get(option.file_key)) is not None:
        yield value.strip() if isinstance(value, str) else value, f"{path}: {option.file_key}", path


def _variable(option: _Option, environ: Mapping[str, str]) -> str:
    """Return the name of the variable that gives a setting, or "" if none does.

    Raises:
        ConfigurationError: Both variables of the setting are set, to different values.
    """
    names = (option.environment, option.other_environment)
    found = [name for name in names if name and environ.get(name, "").strip()]
    if len(found) > 1:
        values = [option.parse(environ[name].strip(), f"environment variable {name}") for name in found]
        if values[0] != values[1]:
            raise invalid(f"environment variables {' and '.join(found)}", "they differ; unset one of them")
    if found and found[0] != option.environment:
        _logger.info("%s is used, as %s is unset", found[0], option.environment)
    return found[0] if found else ""


def misspelt_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that look like a misspelt one of runagent, each with the name that was meant.

    For a setting that has no variable, the argument was meant.
    """
    known = {name.removeprefix("RUNAGENT_"): name for name in _VARIABLES} | _SHORT | _WITHOUT_VARIABLE
    found = {}
    for name in sorted(set(environ).difference(_VARIABLES)):
        prefix = next((each for each in _PREFIXES if name.upper().startswith(each)), None)
        if prefix is not None and (meant := _meant(name[len(prefix) :].upper(), known)):
            found[name] = meant
    return found


def _meant(name: str, known: Mapping[str, str]) -> str:
    close = most_like(name, known)
    return "" if close is None else known[close]


def _note_misspelt_variables(environ: Mapping[str, str]) -> None:
    if not _logger.isEnabledFor(logging.DEBUG):
        return
    for name, meant in misspelt_variables(environ).items():
        _logger.debug("environment variable %s is unknown; did you mean %s?", escape_controls(name), meant)


def _load_file(named: str) -> tuple[str, dict[str, Any]]:
    """Return the file's path and its values by dotted key; both are empty if there is no file to read."""
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
            raise invalid(path, "the file that RUNAGENT_CONFIG names does not exist") from None
        return None
    except (OSError, ValueError) as error:
        if is_passing(error):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise invalid(path, f"cannot read the file: {reason}; RUNAGENT_CONFIG can name another") from error


def _find_file(named: str) -> str:
    try:
        return find_config_file(named)
    except ValueError as error:
        source = "environment variable RUNAGENT_CONFIG"
        raise invalid(source, f"{error}, found {describe(named)}") from None


def _content(file: ConfigFile) -> dict[str, Any]:
    document = read_json(file.data, file.path)
    if not isinstance(document, dict):
        raise invalid(file.path, f"expected a JSON object, found a value of type {type(document).__name__}")
    return dict(_flatten(document, file.path))


def _exposures(file: ConfigFile, content: Mapping[str, Any]) -> list[str]:
    path = file.path
    found = [f"{path} {file.writable}"] if file.writable else []
    if file.readable and content.get("api_key") is not None:
        found.append(f"{path} holds an API key and can be read by other users; run: chmod 600 {path}")
    return found


def file_exposures(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Describe what other users can do to the configuration file in use, but should not be able to.

    Raises:
        ConfigurationError: The file is not usable.
    """
    file = _read_file(environ.get("RUNAGENT_CONFIG", "").strip())
    return [] if file is None else _exposures(file, _content(file))


def _flatten(document: dict[str, Any], path: str, section: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        key = section + name
        if "." in name:
            raise invalid(f"{path}: {key}", "unknown key; write an object inside the object instead of a dot")
        if key in _FILE_KEYS:
            yield key, value
        elif key not in _SECTIONS:
            known = {
                meant: full[len(section) :] for meant, full in _MEANT.items() if full.startswith(section)
            }
            raise invalid(f"{path}: {key}", "unknown key" + nearest(name, known))
        elif isinstance(value, dict):
            yield from _flatten(value, path, f"{key}.")
        elif value is not None:
            raise unexpected(f"{path}: {key}", "an object", value)


def _warn_once(path: str, problem: str) -> None:
    if (path, problem) not in _warned:
        _warned.add((path, problem))
        _logger.warning("%s", escape_controls(problem))


publish(Settings)
