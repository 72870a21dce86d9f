"""The names and values that are recorded.

Those that begin with ``gen_ai.`` are of the semantic conventions for generative AI, which are still in
development; ``error.``, ``http.`` and ``server.`` are of the general, stable ones. The names that are in no
convention begin with ``runagent.``. They are written down here, because the packages that have them are
pre-releases.
"""

from __future__ import annotations

from types import MappingProxyType

__all__ = [
    "SCHEMA_URL",
    "SECONDS",
    "TOKENS",
    "error_type",
    "provider_of",
]

SCHEMA_URL = "https://opentelemetry.io/schemas/1.37.0"

# Boundaries of the buckets, as the conventions advise.
SECONDS = tuple(0.01 * 2**n for n in range(14))
TOKENS = tuple(4**n for n in range(14))

INVOKE_AGENT = "invoke_agent"

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
AGENT_ID = "gen_ai.agent.id"
AGENT_NAME = "gen_ai.agent.name"
CONVERSATION_ID = "gen_ai.conversation.id"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"

DURATION = "gen_ai.client.operation.duration"
TIME_TO_FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
TIME_PER_OUTPUT_CHUNK = "gen_ai.client.operation.time_per_output_chunk"
TOKEN_USAGE = "gen_ai.client.token.usage"

ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
STATUS_CODE = "http.response.status_code"
RESEND_COUNT = "http.request.resend_count"

ATTACHED = "runagent.attached"
ATTEMPTS = "runagent.attempts"
BYTES_RECEIVED = "runagent.bytes_received"
CHUNKS = "runagent.chunks"
CONNECTION_REUSED = "runagent.connection.reused"
ENTRYPOINT_TAG = "runagent.entrypoint_tag"
ERROR_CODE = "runagent.error.code"
LONGEST_GAP = "runagent.longest_gap"
OUTCOME = "runagent.outcome"
REQUEST_ID = "runagent.request.id"
RETRY_WAIT = "runagent.retry.wait"
RUN_ID = "runagent.run.id"
TOTAL_TOKENS = "runagent.usage.total_tokens"
TRANSPORT = "runagent.transport"

# The protocol decides: the conventions call an endpoint that is compatible with OpenAI's "openai", too.
_PROVIDERS = MappingProxyType(
    {
        "": "runagent",
        "chunked": "runagent",
        "ndjson": "runagent",
        "sse": "runagent",
        "websocket": "runagent",
        "gemini": "gcp.gemini",
    }
)


def provider_of(transport: str) -> str:
    """Return the ``gen_ai.provider.name`` of a transport; one without an entry gives its own name."""
    return _PROVIDERS.get(transport, transport)


def error_type(error: BaseException | None) -> str:
    """Return the ``error.type`` of an error: the public name of its class, with the module."""
    if error is None:
        return "_OTHER"
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}"
