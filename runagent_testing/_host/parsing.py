"""Finds the dialect of each request, and begins the record of the exchange. No I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runagent_testing._host.parsed import ParsedRequest
from runagent_testing._host.refusals import key_of
from runagent_testing._host.scripts import find_agent
from runagent_testing._internal.credentials import Names
from runagent_testing._internal.redaction import Secrets
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._journal.recorder import Recorder
from runagent_testing._recording.heading import recognised
from runagent_testing.dialects._base import check_dialect
from runagent_testing.dialects._builtin import BUILT_IN
from runagent_testing.dialects._hooks import parsed_by
from runagent_testing.dialects._installed import installed_dialects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runagent_testing._host.others import Inquiry, OtherRequests
    from runagent_testing._host.runs import KeptRun
    from runagent_testing._host.scripts import AgentScripts
    from runagent_testing.dialects import Dialect, Request, RunRequest

__all__ = ["RequestParser"]

__tracebackhide__ = is_ours


class RequestParser:
    """Asks the dialects what a request is.

    Whatever a hook of a dialect raises here becomes the failure of the exchange.

    Args:
        agents: The agents by id.
        others: What is kept for requests that ask for no run.
        api_key: The bearer token that a client has to send.
        dialects: Tried before the built-in and the installed ones.
        run_ids: Makes the ids of runs.
        timestamps: Makes the times at which runs begin, ISO 8601.
    """

    def __init__(
        self,
        agents: Mapping[str, AgentScripts],
        others: OtherRequests,
        api_key: str | None,
        dialects: Sequence[Dialect],
        run_ids: Callable[[], str],
        timestamps: Callable[[], str],
    ) -> None:
        self._agents = agents
        self._others = others
        self._api_key = api_key
        self._run_ids = run_ids
        self._timestamps = timestamps
        self._dialects = (*map(check_dialect, dialects), *BUILT_IN)
        self._secrets: dict[Sequence[Dialect], Secrets] = {}

    def parse(self, request: Request) -> ParsedRequest:
        """Find the dialect that understands a request, or fails to."""
        parsed = self._parsed(request)
        # A request that no dialect recognises may be meant for any of them.
        is_known = any(found is not None for found in (parsed.run_request, parsed.inquiry, parsed.failure))
        self._hide(parsed, (parsed.dialect,) if is_known else installed_dialects())
        agent_id = parsed.exchange.agent_id
        parsed.exchange.is_fallback = (
            agent_id not in self._agents and find_agent(self._agents, agent_id) is not None
        )
        return parsed

    def recognise(self, request: Request) -> ParsedRequest:
        """Describe a request whose answer comes from elsewhere; what a dialect raises is only recorded."""
        failures: list[Exception] = []
        dialect, run_request = recognised(request, self._dialects, failures.append)
        spoken = BUILT_IN[0] if dialect is None else dialect
        parsed = ParsedRequest.of(request, spoken, run_request, *self._new_run())
        self._hide(parsed, installed_dialects() if dialect is None else (dialect,))
        for failure in failures[:1]:
            Recorder(parsed.exchange).note_failure(failure)
        return parsed

    def unknown(self, request: Request) -> ParsedRequest:
        """Begin the exchange of a request without asking any dialect."""
        parsed = ParsedRequest.of(request, BUILT_IN[0], None, *self._new_run())
        Recorder(parsed.exchange).hide(self._hidden(installed_dialects()))
        return parsed

    def has_key(self, dialect: Dialect, request: Request) -> bool:
        """Whether a request has the key of the host, if the host has one."""
        return self._api_key is None or dialect.find_api_key(request) == self._api_key

    def attached(self, dialect: Dialect, run_request: RunRequest) -> KeptRun | None:
        """Return the kept run to which a request attaches."""
        run_id = run_request.attach_to
        return None if run_id is None else self._others.runs.find(dialect, run_id)

    def _parsed(self, request: Request) -> ParsedRequest:
        for dialect in self._asked_dialects(request):
            try:
                parsed = self._parsed_by(dialect, request)
            except Exception as exc:  # noqa: BLE001 - a dialect may raise anything; it is reported with the request
                return ParsedRequest.of(request, dialect, None, *self._new_run(), failure=exc)
            if parsed is not None:
                return parsed
        return ParsedRequest.of(request, BUILT_IN[0], None, *self._new_run())

    def _asked_dialects(self, request: Request) -> Iterator[Dialect]:
        yield from self._dialects
        if request.method != "OPTIONS":
            yield from installed_dialects()

    def _parsed_by(self, dialect: Dialect, request: Request) -> ParsedRequest | None:
        if run_request := parsed_by(dialect, request):
            if dialect.keeps_runs:
                return self._parsed_keeping(request, dialect, run_request)
            return ParsedRequest.of(request, dialect, run_request, *self._new_run())
        if inquiry := self._ask(dialect, request):
            return ParsedRequest.of(request, dialect, None, *self._new_run(), inquiry)
        return None

    def _parsed_keeping(self, request: Request, dialect: Dialect, run_request: RunRequest) -> ParsedRequest:
        """Begin the exchange of a dialect that keeps its runs."""
        run_id, timestamp = self._new_run()
        if (kept := self.attached(dialect, run_request)) is not None:
            given = kept.input if run_request.input is None else run_request.input
            run_request = replace(run_request, agent_id=kept.agent_id, input=given)
        named = run_request.attach_to or run_request.run_id
        run_id = named or self._others.runs.free_id(dialect, run_id)
        return ParsedRequest.of(request, dialect, run_request, run_id, timestamp)

    def _ask(self, dialect: Dialect, request: Request) -> Inquiry | None:
        if request.method == "OPTIONS":
            return None
        asked = replace(request, method="GET") if request.method == "HEAD" else request
        has_key = self.has_key(dialect, request)
        return self._others.ask(dialect, asked, self._run_ids, has_key=has_key)

    def _new_run(self) -> tuple[str, str]:
        """Make a run's id and the time at which it begins."""
        return self._run_ids(), self._timestamps()

    def _hide(self, parsed: ParsedRequest, spoken: Sequence[Dialect]) -> None:
        Recorder(parsed.exchange).hide(self._hidden(spoken), key_of(parsed.dialect, parsed.request))

    def _hidden(self, spoken: Sequence[Dialect]) -> Secrets:
        """Return the credentials to hide in these dialects' requests; the host's own are always included."""
        if spoken not in self._secrets:
            named = [name for dialect in (*self._dialects, *spoken) for name in dialect.credential_fields]
            keys = [] if self._api_key is None else [self._api_key]
            self._secrets[spoken] = Secrets(Names(named), keys)
        return self._secrets[spoken]
