"""What both clients have in common: the settings, and how a call comes of them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, Protocol, TypeVar, cast

import msgspec

from runagent._address.fields import validate_headers
from runagent._address.paths import validate_agent_id
from runagent._call import AgentCall, RunIds, merge_headers, new_run_id, take_idempotency_key
from runagent._client.options import (
    Timeout,
    call_policy,
    call_timeouts,
    check_ssl_context,
    configure_logging,
    read_client_cert,
    read_options,
    read_origins,
    read_socket_options,
    resume_point,
    warn_of_key_risk,
)
from runagent._client.shared import ClientContext
from runagent._config.settings import Resume, Settings, load_settings
from runagent._config.timeouts import parse_timeout
from runagent._errors import ConfigurationError, ProtocolError, RunAgentError
from runagent._internal.agents import note_client
from runagent._internal.jsoninput import add_session_id, copy_input, copy_input_object, read_entrypoint_tag
from runagent._internal.locks import ForkSafeLock
from runagent._internal.suggestions import nearest
from runagent._internal.tracebacks import is_ours, misuse, without_traceback
from runagent._plugins.networks import registered, registered_network
from runagent._plugins.observers import default_observers
from runagent._plugins.registry import default_registry, has_other_meaning
from runagent._plugins.validation import as_transport
from runagent._run.run import Run
from runagent._run.spec import RunSpec

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from _typeshed import DataclassInstance

    from runagent._address.route import SocketOption
    from runagent._config.parsers import ApiKey
    from runagent._handle import Handle
    from runagent.transports._async_transport import AnyTransport
    from runagent.transports._base import Transport

    TransportChoice = str | AnyTransport

__all__ = ["ClientCore", "Input", "no_result"]

__tracebackhide__ = is_ours

_LOCAL_HOST, _LOCAL_PORT = "127.0.0.1", 8450

if TYPE_CHECKING:

    class _Model(Protocol):  # pydantic's
        def model_dump(self, *, mode: Literal["json"]) -> Any: ...

    Input = Mapping[str, Any] | str | DataclassInstance | msgspec.Struct | _Model
else:
    Input = Any  # what resolves annotations cannot import the type of dataclasses

N = TypeVar("N")
F = TypeVar("F", bound="Callable[..., Any]")  # not its parameters: some checkers would lose N in them


def _know_arguments(init: F) -> F:
    """Have a constructor name the public class, and the argument that was probably meant."""
    known = {name: f"{name}=" for name in ("agent_id", *(getattr(init, "__kwdefaults__", None) or ()))}

    @functools.wraps(init)
    def checked(self: ClientCore[Any], /, *args: Any, **kwargs: Any) -> None:
        client = type(self).__name__
        for name in kwargs.keys() - known.keys():
            meant = nearest(name, known, "")
            raise misuse(f"{client}() has no argument {name!r}{meant}")
        if not args and "agent_id" not in kwargs:
            raise misuse(f"{client}() needs the id of an agent: agent_id")
        if len(args) > 1:
            others = f"{known['entrypoint_tag']}, {known['base_url']}, ..."
            raise misuse(f"{client}() takes only agent_id without its name; name the others: {others}")
        init(self, *args, **kwargs)

    return cast("F", checked)


def _name_agent(method: F) -> F:
    """Have the errors of a client's method carry the id of its agent."""

    @functools.wraps(method)
    def named(self: ClientCore[Any], /, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except RunAgentError as exc:
            exc.agent_id = getattr(self, "agent_id", None)
            raise

    return cast("F", named)


class ClientCore(Generic[N]):
    """A client without a concurrency style."""

    _asynchronous = False

    @without_traceback
    @_name_agent
    @_know_arguments
    def __init__(
        self,
        agent_id: str,
        *,
        api_key: ApiKey | None = None,
        base_url: str | None = None,
        transport: TransportChoice | Sequence[TransportChoice] | None = None,
        transport_options: Mapping[str, Any] | None = None,
        entrypoint_tag: str | None = None,
        timeout: Timeout = None,
        max_retries: int | None = None,
        max_resumes: int | None = None,
        retry_delay: float | None = None,
        retry_backoff: float | None = None,
        max_retry_wait: float | None = None,
        retry_unsafe: bool | None = None,
        resume: Resume | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        client_cert: str | Sequence[str] | None = None,
        socket_options: Iterable[SocketOption] | None = None,
        allowed_origins: Iterable[str] = (),
        local: bool = False,
        host: str | None = None,
        port: int | None = None,
        network: N | None = None,
    ) -> None:
        """Make a client. Nothing is read or connected before the first call.

        What is None is looked up at the first call: in the environment (``RUNAGENT_API_KEY``,
        ``RUNAGENT_API_URL``, …), then in the configuration file, then there are defaults.

        Args:
            agent_id: The agent.
            api_key: The key, or a function that gives it, asked for each attempt; the asynchronous
                client also takes an async function, which it awaits within the limit of ``connect``.
            base_url: Where the service is; default ``https://api.run-agent.ai``.
            transport: ``sse`` (default), ``chunked`` (or ``ndjson``), ``websocket``, a plugin's name, an
                object that is a transport, an ordered choice of them, or ``auto``.
            transport_options: Limits, paths and what a transport defines.
            entrypoint_tag: The agent's entry point over WebSocket; default ``generic``
                for plain runs and ``generic_stream`` for streams.
            timeout: Seconds, or one limit for each phase. As a number it is the limit of each of
                connect, first_event and idle for a stream, and of the whole for a plain run.
            max_retries: How many failed attempts in a row are repeated, without a new chunk between
                them; default 3, and 0 for none.
            max_resumes: How often one run is resumed after its first chunk, at most; default 10.
            retry_delay: Upper bound of the first wait in seconds; default 1.
            retry_backoff: Factor from one wait's bound to the next; default 2.
            max_retry_wait: The longest wait in seconds; default 60.
            retry_unsafe: Also try again what the agent may have begun.
            resume: Resume a broken stream if the agent proves the place (default), or not
                at all (False), or always (``trust``).
            headers: Header fields for every request.
            proxy: URL of an HTTP proxy; "" for none, whatever the environment has.
            ssl_context: What checks certificates; default the system's trust store.
            client_cert: Certificate file, or certificate file, key file and password.
            socket_options: Level, option and value of each option that sockets have set, instead of
                all the defaults (no delay of small writes, keepalive).
            allowed_origins: Where requests may go besides the origin of the base URL, such as
                ``https://agents.example.com``: scheme, host and port. The key, the header fields and a client
                certificate go there, too.
            local: Talk to a local server: ``http://127.0.0.1:8450`` over WebSocket.
            host: Host of the local server.
            port: Port of the local server.
            network: What connects and has the time, instead of the operating system: a
                `Network` for the synchronous client, an `AsyncNetwork` for the other one. For tests.

        Raises:
            ConfigurationError: An argument that needs no looking up is not usable.
        """
        self.agent_id: str = validate_agent_id(agent_id)
        note_client(self)
        if not local and (host is not None or port is not None):
            raise ConfigurationError("host and port go with local=True; otherwise use base_url")
        if local and base_url is not None:
            raise ConfigurationError("local=True has host and port; base_url goes without it")
        if local:
            base_url = _local_url(host, port)
            transport = transport or "websocket"
        check_ssl_context(ssl_context)
        if ssl_context is not None and client_cert is not None:
            raise ConfigurationError(
                "load the client certificate into your ssl_context, or give only client_cert"
            )
        self._own_transports: dict[str, Transport] = {}
        self._headers = validate_headers(headers)
        self._entrypoint_tag = read_entrypoint_tag(entrypoint_tag)
        self._ssl_context = ssl_context
        self._client_cert = read_client_cert(client_cert)
        self._socket_options = read_socket_options(socket_options)
        self._allowed_origins = read_origins(allowed_origins)
        self._arguments: dict[str, Any] = {
            "api_key": api_key,
            "base_url": base_url,
            "transport": self._names_of(transport),
            "transport_options": transport_options,
            "timeout": timeout,
            "max_retries": max_retries,
            "max_resumes": max_resumes,
            "retry_delay": retry_delay,
            "retry_backoff": retry_backoff,
            "max_retry_wait": max_retry_wait,
            "retry_unsafe": retry_unsafe,
            "resume": resume,
            "proxy": proxy,
        }
        self._context: ClientContext | None = None
        self._lock = ForkSafeLock()
        self._closed = False
        self._given_network = network
        self._prepare()

    @property
    def _network_in_force(self) -> N | None:
        """The network that was given, or that is registered for the address; None for the usual one."""
        if self._given_network is not None or not registered:
            return self._given_network
        origin = self._context_in_force().settings.base_url.origin
        return cast("N | None", registered_network(origin, asynchronous=self._asynchronous))

    def _prepare(self) -> None:
        """Make what one style needs."""

    def _names_of(self, choice: TransportChoice | Sequence[TransportChoice] | None) -> Any:
        """Keep the transports that were given as objects, and put their names in their place."""
        if choice is None or isinstance(choice, str):
            return choice
        if isinstance(choice, list | tuple):
            return [self._names_of(one) for one in choice]
        transport = as_transport(choice)
        if has_other_meaning(transport.name):
            raise ConfigurationError(f"the name {transport.name!r} has a meaning already; take another")
        self._own_transports[transport.name] = transport
        return transport.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} agent_id={self.agent_id!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a client has connections and locks and cannot be pickled or copied; make one in each process"
        )

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the client is closed; make a new one")

    @property
    def settings(self) -> Settings:
        """The settings in force and where each came from; resolved at the first look.

        Raises:
            ConfigurationError: One of them is not usable; the message names its source.
        """
        return self._context_in_force().settings

    def _context_in_force(self) -> ClientContext:
        if self._context is None:
            with self._lock:
                if self._context is None:
                    self._context = self._make_context()
        return self._context

    def _make_context(self) -> ClientContext:
        settings, own, registry = load_settings(self._arguments), self._own_transports, default_registry()
        registry.check(name for name in settings.transport if name not in own)
        limits = read_options(settings, self.agent_id, others=bool(own))
        configure_logging(settings.log_level)
        return ClientContext(
            settings,
            limits,
            own,
            registry,
            self._ssl_context,
            self._client_cert,
            socket_options=self._socket_options,
            allowed_origins=self._allowed_origins,
            asynchronous=self._asynchronous,
        )

    @without_traceback
    @_name_agent
    def _new_run(
        self,
        mode: Literal["stream", "invoke"],
        input_data: Any,
        *,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
        max_retries: int | None = None,
        max_resumes: int | None = None,
        resume: Resume | None = None,
        resume_after: int | None = None,
        transport: str | Sequence[str] | None = None,
        session_id: str | None = None,
        result_type: Any = None,
        args: tuple[Any, ...] = (),
        handle: Handle | None = None,
    ) -> Run:
        """Check everything that can be checked without the network, and make a run of it."""
        self._check_open()
        if result_type is not None:
            from runagent._client.results import check_result_type  # few runs need it

            check_result_type(result_type)
        context = self._context_in_force()
        settings = context.settings
        timeouts = call_timeouts(
            mode, settings.timeout if timeout is None else parse_timeout(timeout, "argument timeout")
        )
        policy = call_policy(context.policy, resume=resume, max_retries=max_retries, max_resumes=max_resumes)
        transports, place, ids = context.choose_transports(transport), resume_point(resume_after), None
        base = settings.base_url
        if handle is not None:
            from runagent._client.attaching import check_handle  # most programs attach to nothing

            base = check_handle(handle, self.agent_id, context)
            transports, place, ids = (handle.transport,), handle.place, RunIds(handle.ids)
            policy = msgspec.structs.replace(policy, unsafe=True)  # reading on begins no run
        run_id = new_run_id()
        key, fields = take_idempotency_key(merge_headers(self._headers, validate_headers(headers)))
        call = AgentCall(
            agent_id=self.agent_id,
            base=base,
            mode=mode,
            input=add_session_id(copy_input_object(input_data, "input_data"), session_id),
            args=tuple(copy_input(args, "args")) if args else (),
            entrypoint_tag=self._entrypoint_tag,
            headers=fields,
            options=settings.transport_options,
            limits=context.limits,
            run_id=run_id,
            idempotency_key=key or run_id,
            timeout_seconds=timeouts.total,
            attach_to=ids,
        )
        for origin, risk in context.key_risks:
            warn_of_key_risk(settings, call, origin, risk)
        return Run(
            RunSpec(
                call=call,
                transports=transports,
                timeouts=timeouts,
                policy=policy,
                resume=place,
                context=context,
                observers=default_observers().loaded(),
            )
        )

    @without_traceback
    @_name_agent
    def _attached_run(self, handle: object, **options: Any) -> Run:
        """Make a run that reads on in another one; see `_new_run`."""
        from runagent._handle import read_handle

        return self._new_run("stream", {}, handle=read_handle(handle), **options)


def _local_url(host: object, port: object) -> str:
    if not isinstance(host, str | None) or "://" in (host or ""):
        raise ConfigurationError("host is a name or an address; put a URL into base_url, without local=True")
    return f"http://{host or _LOCAL_HOST}:{port or _LOCAL_PORT}"


def no_result() -> ProtocolError:
    """Make the error for a plain run that has ended without its result."""
    return ProtocolError("the transport ended the run without a result")
