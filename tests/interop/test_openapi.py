"""A validator that nobody here wrote accepts the OpenAPI description of the control API."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from runagent_testing._control.openapi import description
from tests.interop.programs import environment, needs_environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.interop, needs_environment("openapi")]


def test_the_description_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(description("http://127.0.0.1:8450")), encoding="utf-8")
    subprocess.run([environment("openapi"), "-m", "openapi_spec_validator", file], timeout=60, check=True)
