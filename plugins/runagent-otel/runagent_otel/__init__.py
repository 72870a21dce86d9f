"""OpenTelemetry for runagent: spans of runs and of their attempts, metrics, and trace context for agents.

    import runagent_otel

    runagent_otel.instrument()

Without an argument it uses the providers that the program has set with ``opentelemetry``. Under
``opentelemetry-instrument`` not even this call is needed.
"""

from __future__ import annotations

import atexit
import functools
import weakref
from typing import TYPE_CHECKING, Any

from runagent import ConfigurationError, register_observer
from runagent_otel.deferred import run_deferred
from runagent_otel.observer import Telemetry

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from runagent import Registration

__all__ = ["RunAgentInstrumentor", "instrument"]

_Key = tuple[int, int, str | None, bool]

_in_use: weakref.WeakValueDictionary[_Key, Telemetry] = weakref.WeakValueDictionary()


def instrument(
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    *,
    provider_name: str | None = None,
    chunk_metric: bool = True,
) -> Registration:
    """Have all calls of the process traced and measured from now on, of all clients and styles.

    Message content is never recorded, neither inputs nor outputs.

    Args:
        tracer_provider: Makes the spans; by default the one that the program has set, also if it is
            set later.
        meter_provider: The same for the metrics.
        provider_name: The value of ``gen_ai.provider.name``; by default the one of the transport's protocol.
        chunk_metric: Record ``gen_ai.client.operation.time_per_output_chunk``, the only part whose cost
            grows with the number of chunks.

    Returns:
        A handle: after ``close()`` or the end of ``with`` no further call is observed; those that have
        begun are observed to their end. Several handles with the same arguments observe each call once.

    Raises:
        ConfigurationError: What was given makes no spans, or no metrics.

    Example:
        >>> with instrument():
        ...     pass
    """
    _check("tracer_provider", tracer_provider, "get_tracer")
    _check("meter_provider", meter_provider, "get_meter")
    _run_deferred_at_exit()
    return register_observer(_telemetry(tracer_provider, meter_provider, provider_name, chunk_metric))


def _check(argument: str, provider: object, method: str) -> None:
    if provider is not None and not callable(getattr(provider, method, None)):
        raise ConfigurationError(
            f"{argument}: expected a provider of OpenTelemetry, found one of type {type(provider).__name__!r}"
        )


def _telemetry(
    tracer_provider: TracerProvider | None,
    meter_provider: MeterProvider | None,
    provider_name: str | None,
    chunk_metric: bool,
) -> Telemetry:
    # One object for the same arguments, because what is registered twice observes a call once: the program
    # may call `instrument` even if opentelemetry-instrument, or another part of it, has done so already. It
    # holds its providers, so the ids of those that are in use belong to nothing else.
    key = id(tracer_provider), id(meter_provider), provider_name, chunk_metric
    return _in_use.get(key) or _in_use.setdefault(
        key, Telemetry(tracer_provider, meter_provider, provider_name, chunk_metric)
    )


@functools.cache
def _run_deferred_at_exit() -> None:
    atexit.register(run_deferred)


class RunAgentInstrumentor:
    """The entry point ``runagent`` of ``opentelemetry-instrument``, which makes and starts it."""

    _registration: Registration | None = None

    def instrument(self, **options: Any) -> None:
        """Call `instrument`, once; options that are not its own are ignored."""
        ours = {name: options[name] for name in ("tracer_provider", "meter_provider") if name in options}
        if RunAgentInstrumentor._registration is None:
            RunAgentInstrumentor._registration = instrument(**ours)

    def uninstrument(self, **_options: Any) -> None:
        """Close the handle that `instrument` returned."""
        if RunAgentInstrumentor._registration is not None:
            RunAgentInstrumentor._registration.close()
            RunAgentInstrumentor._registration = None
