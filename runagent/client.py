"""The two clients: the same methods, for synchronous code and for asyncio and trio."""

from __future__ import annotations

import difflib
import logging
import os
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, Self

from runagent.call import AgentCall
from runagent.config import ApiKey, Resume, Settings, Timeouts, load_settings, parse_timeout, validate_api_key
from runagent.errors import ConfigurationError, ProtocolError, RunAgentError
from runagent.events import RunResult
from runagent.jsoninput import copy_input, copy_input_object
from runagent.limits import Limits, read_limits
from runagent.locks import ForkSafeLock
from runagent.net.address import Origin, agent_path, validate_agent_id, validate_headers
from runagent.net.base import Address, AsyncConnection, Connection, Network
from runagent.net.blocking import BlockingNetwork
from runagent.net.pool import Pool
from runagent.net.proxy import proxy_for
from runagent.plugins import BUILT_IN, default_registry
from runagent.policy import RetryPolicy
from runagent.pump import AsyncPump, Pump
from runagent.readahead import AsyncReadAhead, ReadAhead
from runagent.run import Run, RunSpec, Verdicts
from runagent.stream import AsyncStream, Stream

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from runagent.net.loops import EventLoop

__all__ = ["AsyncRunAgentClient", "RunAgentClient"]

_LOCAL_HOST, _LOCAL_PORT = "127.0.0.1", 8450
_INVOKE_SECONDS = 600.0
_OPTIONS = (
    "invoke_path",
    "persistent_memory",
    "stream_path",
    "user_id",
    *(limit.name for limit in fields(Limits)),
)

_logger = logging.getLogger("runagent.client")
_warned_origins: set[Origin] = set()

Input = Mapping[str, Any] | str
Timeout = float | Timeouts | None


class _Client:
    """What both clients have in common: the settings, and how a call comes of them."""

    def __init__(
        self,
        agent_id: str,
        *,
        api_key: ApiKey | None = None,
        base_url: str | None = None,
        transport: str | Sequence[str] | None = None,
        transport_options: Mapping[str, Any] | None = None,
        entrypoint_tag: str | None = None,
        timeout: Timeout = None,
        max_retries: int | None = None,
        retry_delay: float | None = None,
        retry_backoff: float | None = None,
        max_retry_wait: float | None = None,
        retry_unsafe: bool | None = None,
        resume: Resume | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        client_cert: str | Sequence[str] | None = None,
        local: bool = False,
        host: str | None = None,
        port: int | None = None,
        network: Any = None,
    ) -> None:
        """Make a client. Nothing is read or connected before the first call.

        What is None is looked up at the first call: in the environment (``RUNAGENT_API_KEY``,
        ``RUNAGENT_API_URL``, …), then in the configuration file, then there are defaults.

        Args:
            agent_id: The agent.
            api_key: The key, or a function that gives it, asked for each attempt.
            base_url: Where the service is; default ``https://api.run-agent.ai``.
            transport: ``sse`` (default), ``chunked``, ``websocket``, a plugin's name, an ordered
                choice of them, or ``auto``.
            transport_options: Limits, paths and what a transport defines.
            entrypoint_tag: The agent's entry point on the WebSocket surface; default ``generic``
                for plain runs and ``generic_stream`` for streams.
            timeout: Seconds, or one limit for each phase. As a number it is the limit of each of
                connect, first_event and idle for a stream, and of the whole for a plain run.
            max_retries: How often a failed attempt is tried again; default 3.
            retry_delay: Upper bound of the first wait in seconds; default 1.
            retry_backoff: Factor from one wait's bound to the next; default 2.
            max_retry_wait: The longest wait in seconds; default 60.
            retry_unsafe: Also try again what the agent may have begun.
            resume: Go on with a broken stream where the agent proves the place (default), or not
                at all (False), or wherever the agent says (``trust``).
            headers: Header fields for every request.
            proxy: URL of an HTTP proxy; "" for none, whatever the environment says.
            ssl_context: What checks certificates; default the system's trust store.
            client_cert: Certificate file, or certificate file, key file and password.
            local: Talk to a local server: ``http://127.0.0.1:8450`` over its WebSocket surface.
            host: Host of the local server.
            port: Port of the local server.
            network: What connects and tells the time, instead of the operating system: a
                `Network` for the synchronous client, an `AsyncNetwork` for the other one. For tests.

        Raises:
            ConfigurationError: An argument that needs no looking up is not usable.
        """
        self.agent_id = validate_agent_id(agent_id)
        if not local and (host is not None or port is not None):
            raise ConfigurationError("host and port go with local=True; otherwise use base_url")
        if local and base_url is not None:
            raise ConfigurationError("local=True has host and port; base_url goes without it")
        if local:
            base_url = f"http://{host or _LOCAL_HOST}:{port or _LOCAL_PORT}"
            transport = transport or "websocket"
        if ssl_context is not None and client_cert is not None:
            raise ConfigurationError(
                "load the client certificate into your ssl_context, or give only client_cert"
            )
        self._headers = validate_headers(headers)
        self._entrypoint_tag = entrypoint_tag
        self._ssl_context = ssl_context
        self._client_cert = _read_client_cert(client_cert)
        self._arguments: dict[str, Any] = {
            "api_key": api_key,
            "base_url": base_url,
            "transport": transport,
            "transport_options": transport_options,
            "timeout": timeout,
            "max_retries": max_retries,
            "retry_delay": retry_delay,
            "retry_backoff": retry_backoff,
            "max_retry_wait": max_retry_wait,
            "retry_unsafe": retry_unsafe,
            "resume": resume,
            "proxy": proxy,
        }
        self._settings: Settings | None = None
        self._limits = Limits()
        self._lock = ForkSafeLock()
        self._verdicts = Verdicts()
        self._closed = False
        self._given_network = network
        self._prepare()

    def _prepare(self) -> None:
        """Make what a colour needs of its own."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} agent_id={self.agent_id!r}>"

    @property
    def settings(self) -> Settings:
        """The settings in force and where each came from; resolved at the first look.

        Raises:
            ConfigurationError: One of them is not usable; the message says where it came from.
        """
        with self._lock:
            if self._settings is None:
                settings = load_settings(self._arguments)
                default_registry().check(settings.transport)
                self._limits = _read_options(settings, self.agent_id)
                _configure_logging(settings.log_level)
                _warn_of_plain_key(settings)
                self._settings = settings
            return self._settings

    def _new_run(
        self,
        mode: Literal["stream", "invoke"],
        input_data: Any,
        *,
        timeout: Timeout,
        headers: Mapping[str, str] | None,
        args: tuple[Any, ...] = (),
        transports: Sequence[str] = (),
    ) -> Run:
        """Check everything that can be checked without the network, and make a run of it."""
        if self._closed:
            raise RuntimeError("the client is closed; make a new one")
        settings = self.settings
        timeouts = _timeouts(
            mode, settings.timeout if timeout is None else parse_timeout(timeout, "argument timeout")
        )
        call = AgentCall(
            agent_id=self.agent_id,
            base=settings.base_url,
            mode=mode,
            input=copy_input_object(input_data, "input_data"),
            args=tuple(copy_input(args, "args")),
            entrypoint_tag=self._entrypoint_tag,
            headers=_merge_headers(self._headers, validate_headers(headers)),
            options=settings.transport_options,
            limits=self._limits,
            timeout_seconds=timeouts.total,
        )
        return Run(
            RunSpec(
                call=call,
                transports=transports or settings.transport,
                find=default_registry().get,
                address=self._address,
                api_key=self._current_key,
                clock=time.time,
                policy=_policy(settings),
                timeouts=timeouts,
                verdicts=self._verdicts,
            )
        )

    def _current_key(self) -> str | None:
        key = self.settings.api_key
        return validate_api_key(key(), "what api_key() returned") if callable(key) else key

    def _address(self, tunnels: bool) -> Address:
        settings = self.settings
        origin = settings.base_url.origin
        proxy = proxy_for(origin, settings.proxy, os.environ)
        context = self._ssl_context
        if origin.secure and context is None:
            from runagent.net.tls import default_context  # plain http does without ssl

            context = default_context(self._client_cert)
        tunnel = proxy is not None and (tunnels or origin.secure)
        return Address(origin, proxy, tunnel, context if origin.secure else None)


class RunAgentClient(_Client):
    """Runs an agent from synchronous code.

    May be a module global: threads share it, and a fork's child goes on with connections of its own.
    """

    def _prepare(self) -> None:
        self._network: Network = self._given_network or BlockingNetwork()
        self._pool: Pool[Connection] = Pool(self._network.now)

    def run_generic_stream(
        self, input_data: Input, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> Stream:
        """Run the agent and stream its answer.

        Args:
            input_data: The input object; a text stands for ``{"query": text}``.
            timeout: Instead of the client's.
            headers: Beside the client's, before which they go.

        Returns:
            A stream to iterate once; nothing is sent before its first ``next`` or ``with``.

        Raises:
            ConfigurationError: A setting is not usable.
            ValidationError: JSON cannot carry the input.
        """
        return self._stream(self._new_run("stream", input_data, timeout=timeout, headers=headers))

    def run_generic(
        self, input_data: Input, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Run the agent and return its result; see `run_generic_with_metadata`."""
        return self.run_generic_with_metadata(input_data, timeout=timeout, headers=headers).result

    def run_generic_with_metadata(
        self, input_data: Input, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> RunResult:
        """Run the agent and return its result with what the service tells of the run.

        Args:
            input_data: The input object; a text stands for ``{"query": text}``.
            timeout: Instead of the client's; as a number, seconds for the whole run.
            headers: Beside the client's, before which they go.

        Raises:
            ConfigurationError: A setting is not usable.
            ValidationError: JSON cannot carry the input, or the agent does not take it.
            AgentError: The service said no.
            TransportError: The agent could not be reached or understood.
            RunTimeoutError: The answer did not come in time.
        """
        return self._result(self._new_run("invoke", input_data, timeout=timeout, headers=headers))

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run the entry point of a published server with these arguments and return its result."""
        run = self._new_run(
            "invoke", kwargs, args=args, timeout=None, headers=None, transports=("websocket",)
        )
        return self._result(run).result

    def run_stream(self, *args: Any, **kwargs: Any) -> Stream:
        """Run the streaming entry point of a published server with these arguments."""
        run = self._new_run(
            "stream", kwargs, args=args, timeout=None, headers=None, transports=("websocket",)
        )
        return self._stream(run)

    def close(self) -> None:
        """Close the idle connections; streams that are being read go on to their end."""
        self._closed = True
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stream(self, run: Run) -> Stream:
        pump = Pump(run, self._network, self._pool)
        ahead = self._limits.read_ahead_bytes
        source: Pump | ReadAhead = ReadAhead(pump, ahead) if ahead else pump
        return Stream(source, run.report)

    def _result(self, run: Run) -> RunResult:
        with self._stream(run) as stream:
            for event in stream.events():
                if isinstance(event, RunResult):
                    return event
        raise _no_result()


class AsyncRunAgentClient(_Client):
    """Runs an agent from asyncio or trio.

    May be a module global: tasks share it, and one event loop after another.
    """

    def _prepare(self) -> None:
        self._pools: weakref.WeakKeyDictionary[EventLoop, Pool[AsyncConnection]] = weakref.WeakKeyDictionary()

    def run_generic_stream(
        self, input_data: Input, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> AsyncStream:
        """Run the agent and stream its answer.

        Args:
            input_data: The input object; a text stands for ``{"query": text}``.
            timeout: Instead of the client's.
            headers: Beside the client's, before which they go.

        Returns:
            A stream to iterate once; nothing is sent before its first ``anext`` or ``async with``.

        Raises:
            ConfigurationError: A setting is not usable.
            ValidationError: JSON cannot carry the input.
        """
        return self._stream(self._new_run("stream", input_data, timeout=timeout, headers=headers))

    async def run_generic(
        self, input_data: Input, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Run the agent and return its result; see `run_generic_with_metadata`."""
        return (await self.run_generic_with_metadata(input_data, timeout=timeout, headers=headers)).result

    async def run_generic_with_metadata(
        self, input_data: Input, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> RunResult:
        """Run the agent and return its result with what the service tells of the run.

        Cancelling it leaves the run: its connection is dropped, which the agent notices.

        Args:
            input_data: The input object; a text stands for ``{"query": text}``.
            timeout: Instead of the client's; as a number, seconds for the whole run.
            headers: Beside the client's, before which they go.

        Raises:
            ConfigurationError: A setting is not usable.
            ValidationError: JSON cannot carry the input, or the agent does not take it.
            AgentError: The service said no.
            TransportError: The agent could not be reached or understood.
            RunTimeoutError: The answer did not come in time.
        """
        return await self._result(self._new_run("invoke", input_data, timeout=timeout, headers=headers))

    async def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run the entry point of a published server with these arguments and return its result."""
        run = self._new_run(
            "invoke", kwargs, args=args, timeout=None, headers=None, transports=("websocket",)
        )
        return (await self._result(run)).result

    def run_stream(self, *args: Any, **kwargs: Any) -> AsyncStream:
        """Run the streaming entry point of a published server with these arguments."""
        run = self._new_run(
            "stream", kwargs, args=args, timeout=None, headers=None, transports=("websocket",)
        )
        return self._stream(run)

    async def aclose(self) -> None:
        """Close the idle connections, of every event loop; streams that are being read go on to their end."""
        self._closed = True
        for pool in list(self._pools.values()):
            pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _stream(self, run: Run) -> AsyncStream:
        pump = AsyncPump(run, self._pool_of, self._given_network)
        ahead = self._limits.read_ahead_bytes
        source: AsyncPump | AsyncReadAhead = AsyncReadAhead(pump, ahead) if ahead else pump
        return AsyncStream(source, run.report)

    async def _result(self, run: Run) -> RunResult:
        async with self._stream(run) as stream:
            async for event in stream.events():
                if isinstance(event, RunResult):
                    return event
        raise _no_result()

    def _pool_of(self, loop: EventLoop) -> Pool[AsyncConnection]:
        pool = self._pools.get(loop)
        if pool is None:
            pool = self._pools[loop] = loop.new_pool(self._given_network)
        return pool


def _read_client_cert(client_cert: str | Sequence[str] | None) -> tuple[str, ...]:
    given = (client_cert,) if isinstance(client_cert, str) else client_cert
    if given is None:
        return ()
    if not 1 <= len(given) <= 3 or not all(isinstance(part, str) for part in given):
        expected = "a certificate's file, or also the key's file and its password, as text"
        raise ConfigurationError(f"client_cert: expected {expected}")
    return tuple(given)


def _no_result() -> RunAgentError:
    return ProtocolError("the transport ended the run without a result")


def _timeouts(mode: str, timeout: Timeout) -> Timeouts:
    """Say what a timeout means: limits of the phases for a stream, of the whole for a plain run."""
    if isinstance(timeout, Timeouts):
        return timeout
    if mode == "invoke":
        connect = Timeouts().connect if timeout is None else timeout
        return Timeouts(connect=connect, first_event=None, idle=None, total=timeout or _INVOKE_SECONDS)
    return Timeouts() if timeout is None else Timeouts.from_seconds(timeout)


def _policy(settings: Settings) -> RetryPolicy:
    return RetryPolicy(
        max_retries=settings.max_retries,
        delay=settings.retry_delay,
        backoff=settings.retry_backoff,
        max_wait=settings.max_retry_wait,
        unsafe=settings.retry_unsafe,
        resume=settings.resume,
    )


def _merge_headers(
    ours: tuple[tuple[str, str], ...], calls: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Put a call's header fields in place of the client's of the same name."""
    replaced = {name.lower() for name, _ in calls}
    return (*(field for field in ours if field[0].lower() not in replaced), *calls)


def _read_options(settings: Settings, agent_id: str) -> Limits:
    """Check ``transport_options``, as far as they are ours: a plugin may define more."""
    options = settings.transport_options
    if set(settings.transport) <= set(BUILT_IN):
        for name in options.keys() - set(_OPTIONS):
            near = difflib.get_close_matches(name, _OPTIONS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(_OPTIONS))}"
            raise ConfigurationError(f"transport_options: unknown option {name!r}; {hint}")
    for name in ("stream_path", "invoke_path"):
        if name in options:
            agent_path(options[name], agent_id)
    return read_limits(options)


def _warn_of_plain_key(settings: Settings) -> None:
    """Warn, once per process and origin, of a key that anyone on the way can read."""
    origin = settings.base_url.origin
    if settings.api_key is None or origin.secure or origin.is_loopback or origin in _warned_origins:
        return
    _warned_origins.add(origin)
    _logger.warning("the API key goes to %s unencrypted; use an https:// base_url", origin)


def _configure_logging(level: str | None) -> None:
    """Make ``RUNAGENT_LOG_LEVEL`` show something also where the program has not set up logging."""
    if level is None:
        return
    logger = logging.getLogger("runagent")
    logger.setLevel(level)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
