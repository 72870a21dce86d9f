"""The histograms of ``gen_ai.client``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_otel import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter

    from runagent import RunReport, Tokens

__all__ = ["Instruments"]


class Instruments:
    """The histograms of one meter.

    Args:
        meter: Makes them.
    """

    def __init__(self, meter: Meter) -> None:
        self.duration = meter.create_histogram(
            names.DURATION, "s", "Duration of runs.", explicit_bucket_boundaries_advisory=names.SECONDS
        )
        self.time_to_first_chunk = meter.create_histogram(
            names.TIME_TO_FIRST_CHUNK,
            "s",
            "Time from the beginning of a run to its first chunk.",
            explicit_bucket_boundaries_advisory=names.SECONDS,
        )
        self.time_per_output_chunk = meter.create_histogram(
            names.TIME_PER_OUTPUT_CHUNK,
            "s",
            "Time from one chunk to the next, for each chunk after the first.",
            explicit_bucket_boundaries_advisory=names.SECONDS,
        )
        self.token_usage = meter.create_histogram(
            names.TOKEN_USAGE,
            "{token}",
            "Tokens of the input and of the output of a run.",
            explicit_bucket_boundaries_advisory=names.TOKENS,
        )

    def record(
        self, report: RunReport, seconds: float, attributes: Mapping[str, str | int], context: Context
    ) -> None:
        """Record a run that has ended.

        Args:
            report: Its report.
            seconds: How long it took.
            attributes: The attributes of each value.
            context: The context with its span, for exemplars.
        """
        if report.first_chunk_seconds is not None:
            self.time_to_first_chunk.record(report.first_chunk_seconds, attributes, context)
        if report.outcome == "failed":
            attributes = {**attributes, names.ERROR_TYPE: names.error_type(report.error)}
        self.duration.record(seconds, attributes, context)
        if report.tokens is not None:
            self._record_tokens(report.tokens, attributes, context)

    def _record_tokens(self, tokens: Tokens, attributes: Mapping[str, str | int], context: Context) -> None:
        for kind, count in (("input", tokens.input), ("output", tokens.output)):
            if count is not None:
                self.token_usage.record(count, {**attributes, names.TOKEN_TYPE: kind}, context)
