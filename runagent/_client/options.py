"""What settings and arguments come to: limits, time limits, retries, header fields, logging."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from runagent._address.paths import agent_path
from runagent._address.url import parse_base_url
from runagent._call import ResumePoint
from runagent._config.parsers import parse_count, parse_index, parse_resume
from runagent._config.timeouts import Timeouts
from runagent._errors import ConfigurationError, ValidationError
from runagent._internal.jsoninput import copy_input
from runagent._internal.suggestions import misspelt, nearest
from runagent._limits import Limits, read_limits
from runagent._plugins.registry import BUILT_IN
from runagent._redact import describe
from runagent._run.policy import RetryPolicy

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from runagent._address.route import SocketOption
    from runagent._address.url import Origin
    from runagent._call import AgentCall
    from runagent._config.settings import Resume, Settings

__all__ = [
    "OPTIONS",
    "call_policy",
    "call_timeouts",
    "check_network",
    "check_ssl_context",
    "configure_logging",
    "key_risk",
    "read_client_cert",
    "read_options",
    "read_origins",
    "read_socket_options",
    "resume_point",
    "retry_policy",
    "warn_of_key_risk",
]

_INVOKE_SECONDS = 600.0
_SENT = ("persistent_memory", "user_id")  # as they are
OPTIONS = (
    "invoke_path",
    "stream_path",
    *_SENT,
    *Limits.__struct_fields__,
)

_logger = logging.getLogger("runagent.client")
_warned_origins: set[tuple[Origin, str]] = set()

Timeout = float | Timeouts | None


def read_client_cert(client_cert: str | Sequence[str] | None) -> tuple[str, ...]:
    given = (client_cert,) if isinstance(client_cert, str) else client_cert
    if given is None:
        return ()
    whole = isinstance(given, list | tuple) and 1 <= len(given) <= 3
    if not whole or not all(isinstance(part, str) for part in given):
        expected = "a certificate's file, or also the key's file and its password, as text"
        raise ConfigurationError(f"client_cert: expected {expected}")
    return tuple(given)


def read_socket_options(options: Any) -> tuple[SocketOption, ...] | None:
    """Return the options as they are kept; whether the system takes them shows when a socket is made."""
    if options is None:
        return None
    given: list[Any] = list(options) if isinstance(options, Iterable) else [options]
    if not all(map(_is_socket_option, given)):
        raise ConfigurationError(
            "socket_options: expected (level, option, value) of each, as setsockopt takes them, such as"
            f" (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1); found {describe(options)}"
        )
    return tuple((level, option, value) for level, option, value in given)


def read_origins(origins: Iterable[str]) -> tuple[Origin, ...]:
    """Return the origins that a caller allows besides the base URL's."""
    if not origins:
        return ()
    if isinstance(origins, str) or not isinstance(origins, Iterable):
        raise ConfigurationError(f"allowed_origins: expected a list of origins, found {describe(origins)}")
    bases = [parse_base_url(text, "allowed_origins") for text in origins]
    for base in bases:
        if base.prefix:
            raise ConfigurationError(f"allowed_origins: {base} has a path; give only {base.origin}")
    return tuple(base.origin for base in bases)


def _is_socket_option(option: object) -> bool:
    if not isinstance(option, tuple | list) or len(option) != 3:
        return False
    return all(isinstance(part, int) for part in option[:2]) and isinstance(option[2], int | bytes)


def check_network(network: object, *, asynchronous: bool) -> None:
    """Refuse a network of the other client's: it would fail at its first use, with a strange message."""
    if network is None:
        return
    import inspect  # only tests have one

    connect = getattr(network, "connect", None)
    if not callable(connect) or inspect.iscoroutinefunction(connect) is not asynchronous:
        client, wanted, known = (
            ("AsyncRunAgentClient", "an AsyncNetwork", "memory.aio and memory.trio are")
            if asynchronous
            else ("RunAgentClient", "a Network", "memory.blocking is one")
        )
        raise ConfigurationError(
            f"network: {client} takes {wanted}, not {describe(network)}; of a MemoryNetwork, {known}"
        )


def check_ssl_context(context: object) -> None:
    """Reject values that other libraries accept as a context: a file's name, or False to check nothing."""
    if context is None:
        return
    import ssl  # a caller that has a context has imported it

    found = describe(context)
    if isinstance(context, ssl.SSLContext):
        if context.protocol != ssl.PROTOCOL_TLS_SERVER:
            return
        found = "one for servers"
    raise ConfigurationError(
        f"ssl_context: expected an ssl.SSLContext for clients, found {found}; for a private authority,"
        " make one by ssl.create_default_context(cafile=...)"
    )


@functools.lru_cache(maxsize=64)  # most runs of a client have the same
def call_timeouts(mode: str, timeout: Timeout) -> Timeouts:
    """Describe what a timeout means: limits of the phases for a stream, of the whole for a plain run."""
    if isinstance(timeout, Timeouts):
        return timeout
    if mode == "invoke":
        connect = Timeouts().connect if timeout is None else timeout
        return Timeouts(connect=connect, first_event=None, idle=None, total=timeout or _INVOKE_SECONDS)
    return Timeouts() if timeout is None else Timeouts.from_seconds(timeout)


def retry_policy(settings: Settings) -> RetryPolicy:
    return RetryPolicy(
        max_retries=settings.max_retries,
        max_resumes=settings.max_resumes,
        delay=settings.retry_delay,
        backoff=settings.retry_backoff,
        max_wait=settings.max_retry_wait,
        unsafe=settings.retry_unsafe,
        resume=settings.resume,
    )


def call_policy(policy: RetryPolicy, *, resume: Resume | None, **counts: int | None) -> RetryPolicy:
    """Put what a call sets of retries and resumptions in place of the client's."""
    given: dict[str, Any] = {}
    for name, count in counts.items():
        if count is not None:
            given[name] = parse_count(count, f"argument {name}")
    if resume is not None:
        given["resume"] = parse_resume(resume, "argument resume")
    return msgspec.structs.replace(policy, **given) if given else policy


def resume_point(resume_after: int | None) -> ResumePoint | None:
    """Return where a call asks to go on behind a chunk that its caller has, or None."""
    if resume_after is None:
        return None
    return ResumePoint(parse_index(resume_after, "argument resume_after") + 1, proof="index")


def read_options(settings: Settings, agent_id: str, *, others: bool) -> Limits:
    """Check ``transport_options``: any transport that is not built in may define more.

    Args:
        settings: What was given.
        agent_id: Means itself in a path.
        others: Some of the chosen transports are not built in, whatever their names are.
    """
    options = settings.transport_options
    all_built_in = not others and set(settings.transport) <= set(BUILT_IN)
    for name in options.keys() - set(OPTIONS):
        if all_built_in or misspelt(name, OPTIONS):
            hint = nearest(name, {each: repr(each) for each in OPTIONS})
            raise ConfigurationError(f"transport_options: unknown option {name!r}{hint}")
    for name in ("stream_path", "invoke_path"):
        if name in options:
            agent_path(options[name], agent_id)
    for name in _SENT:
        try:
            copy_input(options.get(name), f"transport_options[{name!r}]")
        except ValidationError as exc:
            raise ConfigurationError(exc.message, details=exc.details) from None
    return read_limits(options)


def key_risk(origin: Origin, context: ssl.SSLContext | None) -> str:
    """Describe who can read a key on its way to an origin; "" if only the service can."""
    if origin.is_loopback:
        return ""
    if not origin.secure:
        return "unencrypted; use an https:// base_url"
    if context is None:
        return ""
    import ssl  # a caller that has a context has imported it

    if context.verify_mode == ssl.CERT_NONE:
        return "and ssl_context checks no certificate: it goes to any server there; trust the right authority"
    if not context.check_hostname:
        return "and ssl_context checks no host name: any certificate that it trusts will do"
    return ""


def warn_of_key_risk(settings: Settings, call: AgentCall, origin: Origin, risk: str) -> None:
    """Warn, once per process and origin, of a key that others than the service can read."""
    if (origin, risk) in _warned_origins or (settings.api_key is None and not any(call.secrets)):
        return
    _warned_origins.add((origin, risk))
    _logger.warning("the API key goes to %s %s", origin, risk)


def configure_logging(level: str | None) -> None:
    """Make ``RUNAGENT_LOG_LEVEL`` show something even if the program has not set up logging."""
    if level is None:
        return
    logger = logging.getLogger("runagent")
    logger.setLevel(level)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
