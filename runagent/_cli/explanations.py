"""The meaning of the classes and codes of errors: the cause, whether the client retries, what to do.

`runagent explain` prints it, docs/reference/errors.md shows it, and a test compares it with the code.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CLASSES", "NEW_RUN", "NO", "RESUMED", "RESUMED_UNLESS_TOTAL", "Explanation"]


class Explanation(NamedTuple):
    """One class of errors, or one code.

    Attributes:
        classes: The classes that have the code; of a class, its own name.
        cause: What happened.
        retried: Whether the client retries by itself.
        action: What to do.
    """

    classes: tuple[str, ...]
    cause: str
    retried: str
    action: str


NO = "No."
RESUMED = "A stream is resumed if the agent numbers its chunks; nothing else is retried."
RESUMED_UNLESS_TOTAL = (
    "A stream is resumed if the agent numbers its chunks and the limit is not total; nothing else is retried."
)
NEW_RUN = "Start a new run, if the agent may do its work twice."
_SEE_CODE = "That depends on the code."

CLASSES = {
    "RunAgentError": Explanation(
        ("RunAgentError",),
        "The base of all errors that runagent raises on purpose.",
        "See the class that derives from it.",
        "Catch it last, after the classes that you treat in another way.",
    ),
    "ConfigurationError": Explanation(
        ("ConfigurationError",),
        "An argument, an environment variable or the configuration file cannot be used, or a transport "
        "is unknown.",
        NO,
        "Correct the value; the message names the place that it came from. runagent doctor shows all "
        "settings.",
    ),
    "TransportError": Explanation(
        ("TransportError",),
        "The agent could not be reached, or its answer was invalid: the base of NetworkError and "
        "ProtocolError.",
        "See these two.",
        "Catch it for both.",
    ),
    "NetworkError": Explanation(
        ("NetworkError",),
        "No connection could be made, or it broke before an answer came.",
        f"{_SEE_CODE} In general, a failure to connect that may pass is retried.",
        "Check base_url, the network and the proxy; the code names the failure.",
    ),
    "ProtocolError": Explanation(
        ("ProtocolError",),
        "The peer broke the format of the protocol; the message quotes at most 200 bytes of its answer.",
        NO,
        "Check that base_url and transport fit the service, then report the message to its operator.",
    ),
    "RunTimeoutError": Explanation(
        ("RunTimeoutError",),
        "A time limit passed before the first event; phase names it: connect, first_event, idle, "
        "progress, total.",
        NO,
        "Raise that limit (timeout=Timeouts(...)), or find out why the agent is slow.",
    ),
    "AgentError": Explanation(
        ("AgentError",),
        "The service rejected the run before any chunk, with a status that has no class, such as 413.",
        NO,
        "Read the message, status and details.",
    ),
    "AuthenticationError": Explanation(
        ("AuthenticationError",),
        "Status 401: the API key is missing, wrong or expired.",
        "Once, if api_key is a function: with the key that it returns then.",
        "Set RUNAGENT_API_KEY, or pass api_key=; runagent doctor shows which place the key comes from.",
    ),
    "PermissionDeniedError": Explanation(
        ("PermissionDeniedError",),
        "Status 403: the key is valid, but not for this agent.",
        NO,
        "Use a key of the account that owns the agent, or ask its owner for access.",
    ),
    "AgentNotFoundError": Explanation(
        ("AgentNotFoundError",),
        "Status 404: no agent has this id, or nothing is at this address.",
        NO,
        "Check agent_id, base_url and, for a published agent, entrypoint_tag.",
    ),
    "ValidationError": Explanation(
        ("ValidationError",),
        "Status 400 or 422: the agent does not accept the input; or JSON cannot carry it, and nothing "
        "was sent.",
        NO,
        'Correct the input; details["path"], if present, is the place in it.',
    ),
    "RateLimitError": Explanation(
        ("RateLimitError",),
        "Status 429: too many requests.",
        "Yes, after retry_after seconds, unless that is longer than max_retry_wait.",
        "Send fewer requests, or wait retry_after seconds, as the header field Retry-After asked.",
    ),
    "AgentServerError": Explanation(
        ("AgentServerError",),
        "A status from 500 to 599: the service failed.",
        "Yes for 503; for 500, 502 and 504 only with retry_unsafe=True, as the agent may have begun the run.",
        "Try later; report request_id to the operator of the service.",
    ),
    "StreamError": Explanation(
        ("StreamError",),
        "The agent reported a failure during the run, or refused to continue it.",
        NO,
        "Read message and code, which are the agent's. Chunks that came before are valid; wait "
        "retry_after if it is set.",
    ),
    "StreamTruncatedError": Explanation(
        ("StreamTruncatedError",),
        "The stream ended without the agent's end marker: the connection was cut, or the answer is "
        "incomplete.",
        RESUMED,
        f"{NEW_RUN} If it happens often, look for a proxy that cuts long answers.",
    ),
    "StreamTimeoutError": Explanation(
        ("StreamTimeoutError",),
        "The stream had begun, then a time limit passed; phase names it.",
        "A stream is resumed if the agent numbers its chunks and the limit is not total; nothing else "
        "is retried.",
        "Raise that limit (timeout=Timeouts(...)), or find out why the agent is silent.",
    ),
    "StreamLimitError": Explanation(
        ("StreamLimitError",),
        "An event, a line, a head or a collected text is over the limit that limit_name names.",
        NO,
        "Raise the limit in transport_options if so large a value is expected.",
    ),
    "PluginError": Explanation(
        ("PluginError",),
        "A plugin could not be loaded or used; plugin names it.",
        NO,
        "runagent doctor shows the reason; update or remove the plugin.",
    ),
}
