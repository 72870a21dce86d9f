"""HTTP/1.1: each case through a whole run, without sockets, in many cuts."""

from __future__ import annotations

import pytest

from tests.specifications.checks import check_http
from tests.specifications.cutting import CUTS, cuts_of
from tests.specifications.loader import http_cases
from tests.specifications.replay import replay_http

CASES = {case["id"]: case for case in http_cases()}


@pytest.mark.parametrize("name", CASES)
def test_an_exchange(name: str) -> None:
    case = CASES[name]
    for cut in cuts_of(case).values():
        outcome = replay_http(case, cut)
        check_http(case, outcome)
        for size, milliseconds in case["expect"].get("prompt", ()):
            assert [at for at, given in outcome.deliveries if given >= size and at <= milliseconds / 1000]


def test_no_redirect_takes_its_user_name_and_password_along() -> None:
    outcome = replay_http(CASES["rd-userinfo"], CUTS["whole"])
    assert "user" not in str(outcome.error)
    assert "pw@" not in str(outcome.error)
