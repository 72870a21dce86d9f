"""The transport of `cards` with one mistake each."""

from __future__ import annotations

from runagent.transports import HttpRequest, SnapshotParts, parse_url
from tests.plugins.protocols.cards import CARD_PATH, CardSession


class KeyInTheCardsUrl(CardSession):
    """Puts the key into the card's URL."""

    def card_request(self):
        request = super().card_request()
        return HttpRequest("GET", f"{request.target}?key={self.call.api_key}", request.headers)


class CardAtTheRoot(CardSession):
    """Ignores the prefix of the base URL."""

    def card_request(self):
        return HttpRequest("GET", CARD_PATH, super().card_request().headers)


class RepeatsTheSnapshot(CardSession):
    """Takes all of a snapshot for new."""

    def take_task(self, task, artifacts):
        self.parts = SnapshotParts(None)
        return super().take_task(task, artifacts)


class FailedIsGood(CardSession):
    """Takes FAILED for a good end."""

    def take_status(self, status, metadata):
        state = status["state"].replace("FAILED", "COMPLETED")
        return super().take_status({**status, "state": state}, metadata)


class LosesInterrupts(CardSession):
    """Takes INPUT_REQUIRED for COMPLETED."""

    def take_status(self, status, metadata):
        state = status["state"].replace("INPUT_REQUIRED", "COMPLETED")
        return super().take_status({**status, "state": state}, metadata)


class EndOfBodyIsTheEnd(CardSession):
    """Takes the end of the body for the end of the task."""

    def end_body(self, proven):
        return list(self.take_status({"state": "COMPLETED"}, {}))


class StartsToAttach(CardSession):
    """Starts another task in order to read on in one."""

    def make_request(self):
        return self.start()


class AsksForTheCardAgain(CardSession):
    """Asks for the card at every run."""

    def before(self):
        self.call.found.forget("url")
        return super().before()


class WholeUrlAsTarget(CardSession):
    """Names the other origin in the request line."""

    def rpc(self, method, params):
        request = super().rpc(method, params)
        return HttpRequest("POST", self.call.found.get("url"), request.headers, request.body)


class OtherHost(CardSession):
    """Names the other origin in the Host field."""

    def rpc(self, method, params):
        request = super().rpc(method, params)
        origin, target = parse_url(self.call.found.get("url"))
        return HttpRequest("POST", target, [*request.headers, ("Host", origin.netloc)], request.body)


class OtherOriginOfTheSession(CardSession):
    """States the other origin for the session and not for the request."""

    @property
    def origin(self):
        url = self.call.found.get("url")
        return parse_url(url)[0] if url else super().origin

    def rpc(self, method, params):
        request = super().rpc(method, params)
        return HttpRequest("POST", request.target, request.headers, request.body)
