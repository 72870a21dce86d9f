"""The conformance kit, over both endpoints."""

from __future__ import annotations

import pytest

from runagent_testing.conformance import check_transport


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_the_kit_passes(api: str) -> None:
    options = {"transport_options": {"openai_api": api}}
    check_transport("openai", options=options, requirements=1).check()
