"""LiteLLM's proxy: an OpenAI-compatible server that answers by itself, or relays another server's answers."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from tests.interop.programs import Program, environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.programs import Port

__all__ = ["LiteLLM"]

STORY = "Once upon a time"
# Without a database it does not distinguish wrong keys from unknown ones (status 400): this is its hook.
_KEYS = """
import os
from litellm.proxy._types import ProxyException, UserAPIKeyAuth

async def check(request, api_key):
    if api_key != os.environ["LITELLM_MASTER_KEY"]:
        raise ProxyException(message="this key is not known", type="auth_error", param="key", code=401)
    return UserAPIKeyAuth(api_key=api_key)
"""


class LiteLLM(Program):
    """The proxy, with these models:

    * ``storyteller`` streams `STORY`, ``limited`` is refused: mock responses; it streams none over Responses.
    * ``retold`` is ``storyteller`` with Responses made of chat completions, which it streams.
    * ``relayed`` is the upstream's model of that name, and ``rebuilt`` the same with Responses made of it.

    Args:
        folder: Where its files go.
        upstream: The base URL of an OpenAI-compatible server.
        port: Where it listens.

    Attributes:
        key: The one that it takes.
    """

    def __init__(self, folder: Path, upstream: str, port: Port) -> None:
        self.key = f"sk-{secrets.token_urlsafe(32)}"
        own = f"http://127.0.0.1:{port.number}/v1"
        settings = {
            "model_list": [
                _model("storyteller", mock_response=STORY),
                _model("limited", mock_response="litellm.RateLimitError"),
                _model(
                    "retold", of="storyteller", api_base=own, api_key=self.key, use_chat_completions_api=True
                ),
                _model("relayed", api_base=f"{upstream}/v1"),
                _model("rebuilt", of="relayed", api_base=f"{upstream}/v1", use_chat_completions_api=True),
            ],
            "router_settings": {"num_retries": 0},
            "general_settings": {"custom_auth": "keys.check"},
        }
        folder.joinpath("config.yaml").write_text(json.dumps(settings), encoding="utf-8")
        folder.joinpath("keys.py").write_text(_KEYS, encoding="utf-8")
        program = environment("litellm").with_name("litellm")
        command = [program, "--config", folder / "config.yaml", "--host", "127.0.0.1", "--port", port.number]
        variables = {"LITELLM_MASTER_KEY": self.key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        super().__init__(command, port, folder / "log", variables, patience=120)


def _model(name: str, *, of: str | None = None, **parameters: Any) -> dict[str, Any]:
    own = {"model": f"openai/{of or name}", "api_key": "none", "max_retries": 0}
    return {"model_name": name, "litellm_params": own | parameters}
