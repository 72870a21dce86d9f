"""Load settings as tests do: from an environment with nothing else in it."""

from __future__ import annotations

import pytest

from runagent._config.settings import load_settings
from runagent._errors import ConfigurationError

__all__ = ["SECRET", "load", "refusal"]

SECRET = "s3cret-key"


def load(arguments=None, environ=None):
    return load_settings(arguments or {}, environ=environ or {})


def refusal(arguments=None, environ=None):
    with pytest.raises(ConfigurationError) as caught:
        load(arguments, environ)
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.details}"
    return caught.value.message
