"""The distribution, and what of the package needs no Locust."""

from __future__ import annotations

import sys

import pytest
import runagent_locust

from tests.support.plugin_packages import Distribution


class TestPackage(Distribution):
    name = "locust"
    requires = frozenset({"locust", "msgspec", "runagent"})


@pytest.mark.parametrize("name", sorted({*runagent_locust.__all__} - {"AgentUser"}))
def test_all_names_but_the_users_need_no_locust(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "locust", None)  # even if it is installed
    assert name == getattr(runagent_locust, name).__name__


def test_the_user_needs_locust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "locust", None)
    monkeypatch.delitem(sys.modules, "runagent_locust.user", raising=False)
    with pytest.raises(ModuleNotFoundError, match="locust"):
        _ = runagent_locust.AgentUser


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'runagent_locust' has no attribute 'Asker'"):
        _ = runagent_locust.Asker  # type: ignore[attr-defined]


def test_names_are_listed() -> None:
    assert set(runagent_locust.__all__) <= set(dir(runagent_locust))
