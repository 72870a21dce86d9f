"""The meaning of each code of an error; a code that ends in ``_`` is followed by a number."""

from __future__ import annotations

from runagent._cli.explanations import NEW_RUN, NO, RESUMED, Explanation

__all__ = ["CODES"]

_YES = "Yes: the agent cannot have begun the run."
_UNSAFE = "Only with retry_unsafe=True, as the agent may have begun the run."
_REPORT = "Report it to the author of the transport, with the message."
_CONFIGURATION = ("ConfigurationError",)
_NETWORK = ("NetworkError",)
_PROTOCOL = ("ProtocolError",)

CODES = {
    "ALPN": Explanation(
        _NETWORK,
        "TLS agreed on another protocol than HTTP/1.1, or on none.",
        NO,
        "Let the server offer HTTP/1.1, and remove others from what ssl_context= offers.",
    ),
    "AMBIGUOUS_TRANSPORT": Explanation(
        _CONFIGURATION,
        "Several installed distributions bring a transport of this name.",
        NO,
        "Choose one as DISTRIBUTION:NAME; the message lists them.",
    ),
    "CANCELLED": Explanation(
        ("StreamError",),
        "The run was cancelled, by stream.cancel() or at the service.",
        NO,
        NEW_RUN,
    ),
    "CERTIFICATE": Explanation(
        _NETWORK,
        "The certificate of the server is not accepted: its issuer, its name or its dates.",
        NO,
        "Check the host name in base_url; name a private authority through ssl_context= or SSL_CERT_FILE.",
    ),
    "CLIENT_CERTIFICATE": Explanation(
        _NETWORK,
        "The server does not accept this client in TLS: it may want a client certificate, or another one.",
        NO,
        "Pass client_cert=.",
    ),
    "CLOSE_": Explanation(
        ("StreamTruncatedError",),
        "The WebSocket was closed before the end of the answer; the number is its close code (RFC 6455 "
        "section 7.4).",
        RESUMED,
        "1001 and 1012: the service restarts, try again. 1008: a policy of the service. 1009: a message "
        "is too "
        "large. 1011: the service failed. Otherwise start a new run.",
    ),
    "DNS": Explanation(
        _NETWORK,
        "The host name cannot be resolved.",
        NO,
        "Check the host name in base_url.",
    ),
    "DNS_TEMPORARY": Explanation(
        _NETWORK,
        "The resolver could not answer at this time.",
        _YES,
        "Check the network and its name servers.",
    ),
    "GONE": Explanation(
        ("StreamError",),
        "The service does not know the run to attach to or to cancel, or no longer.",
        NO,
        NEW_RUN,
    ),
    "INVALID_AGENT_ID": Explanation(
        _CONFIGURATION, "The agent id is empty, or cannot be part of a URL.", NO, "Correct agent_id."
    ),
    "INVALID_ANSWER": Explanation(
        _PROTOCOL,
        "A step of a transport, such as a login before the run, could not use the answer to its request.",
        NO,
        "Check base_url; then report the message to the author of the transport.",
    ),
    "INVALID_BASE_URL": Explanation(
        _CONFIGURATION,
        "The address of the service is not a usable URL.",
        NO,
        "Write scheme, host and, if needed, port and path: https://agents.example:8443/api.",
    ),
    "INVALID_CLIENT_CERT": Explanation(
        _CONFIGURATION,
        "The client certificate, its key or the key's password cannot be used.",
        NO,
        "Pass client_cert= a PEM file, or a tuple of certificate, key and password.",
    ),
    "INVALID_EVENTS": Explanation(
        ("PluginError",), "A session of a transport returned something else than events.", NO, _REPORT
    ),
    "INVALID_HANDLE": Explanation(
        ("ValidationError",),
        "client.attach does not accept this handle: it is of another client, agent, service or version.",
        NO,
        "Attach with a client of the same agent, service and transport as the one that made the handle.",
    ),
    "INVALID_HEADER": Explanation(
        _CONFIGURATION,
        "A header field has an invalid name or value, or is one that the client has to set.",
        NO,
        "Correct headers=.",
    ),
    "INVALID_INPUT": Explanation(
        ("ValidationError",),
        'JSON cannot carry a value of the input; details["path"] is its place. Nothing was sent.',
        NO,
        "Convert it: a set to a list, a date to text.",
    ),
    "INVALID_PATH": Explanation(
        _CONFIGURATION, "The path of an agent cannot be part of a URL.", NO, "Correct the path."
    ),
    "INVALID_PROXY": Explanation(
        _CONFIGURATION,
        "The address of the proxy is not usable; only http:// proxies are supported.",
        NO,
        "Correct proxy=, RUNAGENT_PROXY or HTTPS_PROXY; the message names the place.",
    ),
    "INVALID_REQUEST": Explanation(
        ("PluginError",), "A transport asked for a request that cannot be sent.", NO, _REPORT
    ),
    "INVALID_SETTING": Explanation(
        _CONFIGURATION,
        "A setting has a value of the wrong type or range, or a name is unknown.",
        NO,
        "Correct it; the message names the place that it came from.",
    ),
    "INVALID_SOCKET_OPTION": Explanation(
        _CONFIGURATION, "The system refuses one of socket_options=.", NO, "Remove or correct it."
    ),
    "INVALID_TLS_VARIABLE": Explanation(
        _CONFIGURATION,
        "SSL_CERT_FILE, SSL_CERT_DIR or SSLKEYLOGFILE names something that cannot be used.",
        NO,
        "Correct or unset the variable that the message names.",
    ),
    "INVALID_URL": Explanation(
        _PROTOCOL,
        "A URL that the service named is not usable.",
        NO,
        "Report it to the operator of the service.",
    ),
    "NETWORK": Explanation(
        _NETWORK,
        "The system could not connect for a reason without another code, such as an unreachable network.",
        _YES,
        "Read the message, which has the system's reason.",
    ),
    "NOT_RESUMED": Explanation(
        ("ProtocolError", "StreamError"),
        "The agent did not continue at the chunk that was asked for, or could not prove that it did.",
        NO,
        f"{NEW_RUN} The chunks that came are valid.",
    ),
    "NO_ANSWER": Explanation(
        _NETWORK,
        "The peer closed the connection without an answer.",
        _UNSAFE,
        "Check that base_url has the right scheme and port; look at the logs of the service.",
    ),
    "NO_ATTACH": Explanation(
        _CONFIGURATION,
        "The transport of the handle cannot attach to a run.",
        NO,
        "Choose a transport with the capability attach: runagent transports lists them.",
    ),
    "NO_PLAIN_RUN": Explanation(
        _CONFIGURATION,
        "The transport cannot make a run without a stream.",
        NO,
        "Use run_generic_stream, or a transport with the capability invoke.",
    ),
    "NO_RESUME": Explanation(
        _CONFIGURATION,
        "The transport cannot begin behind a chunk (resume_after=).",
        NO,
        "Leave resume_after out, or choose a transport with the capability resume.",
    ),
    "NO_THREAD": Explanation(
        _NETWORK,
        "The system lets the process start no more threads.",
        NO,
        "Raise the limit of threads of the process or its container.",
    ),
    "ORIGIN_NOT_ALLOWED": Explanation(
        _CONFIGURATION,
        "The transport wants to continue at another origin than that of base_url.",
        NO,
        "If the key may go there, add the origin to allowed_origins=.",
    ),
    "PROXY": Explanation(
        _NETWORK,
        "The proxy broke the format of its answer, or closed the connection.",
        NO,
        "Check proxy=, RUNAGENT_PROXY or HTTPS_PROXY: is it an HTTP proxy?",
    ),
    "PROXY_": Explanation(
        _NETWORK,
        "The proxy refused the connection; the number is its HTTP status.",
        "Yes for 502, 503 and 504; otherwise no.",
        "407: give user name and password in the URL of the proxy. 403: the proxy forbids this host.",
    ),
    "REFUSED": Explanation(
        _NETWORK,
        "Nothing accepts connections at this address and port, or there is no such Unix socket.",
        _YES,
        "Start the server, or correct host and port of base_url.",
    ),
    "RESET": Explanation(
        _NETWORK,
        "The peer reset the connection.",
        "Yes if nothing was sent; otherwise only with retry_unsafe=True, as the agent may have begun "
        "the run.",
        "Look at the logs of the service and of the proxies before it.",
    ),
    "RESULT_TYPE": Explanation(
        _PROTOCOL,
        "The result does not fit result_type=; the message has the path of the value.",
        NO,
        "Correct result_type=, or have the agent return what it promises.",
    ),
    "TIMEOUT": Explanation(
        ("RunTimeoutError", "StreamTimeoutError"),
        "A time limit passed; phase names it: connect, first_event, idle, progress, total.",
        "A stream is resumed if the agent numbers its chunks and the limit is not total; nothing else "
        "is retried.",
        "Raise that limit (timeout=Timeouts(...)), or find out why the agent is slow.",
    ),
    "TLS": Explanation(
        _NETWORK,
        "The TLS handshake failed.",
        NO,
        "Check scheme and port of base_url: a server that answers in plain HTTP needs http://.",
    ),
    "UNKNOWN_TRANSPORT": Explanation(
        _CONFIGURATION,
        "No installed package brings a transport of this name.",
        NO,
        "Correct the name, or install its package; runagent transports lists what is installed.",
    ),
}
