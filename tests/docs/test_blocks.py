"""Blocks of pages in other languages are read by the project's readers, or at least parse."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from runagent._config.settings import load_settings
from runagent._plugins import installed
from runagent.capabilities import parse_declaration
from runagent_testing._recording.reading import parse_recording
from runagent_testing._standalone.script_file import read_script
from tests.docs import site
from tests.docs.pages import DOCS, Page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.docs.pages import Block

PAGES = [
    Page(path)
    for place, path in site.SOURCES.items()
    if path.suffix == ".md" and not place.startswith("reference/")
]
BLOCKS = [(page.name, block) for page in PAGES for block in page.blocks()]
# `text` is output, `console` and `sh` are terminals; test_examples.py and test_consoles.py run these. A block
# without a language is a drawing, a form, or a part of a protocol.
ELSEWHERE = {"python", "text", "console", "sh", ""}
CHECKED = {"yaml", "json", "toml", "py", "js", "html"}
# What no parser reads here, with the reason.
NOT_PARSED = {("docs/cookbook/test-vercel.md", "jsx"): "a part of a component, for React"}


def in_language(*languages: str) -> pytest.MarkDecorator:
    found = [(page, block) for page, block in BLOCKS if block.language in languages]
    names = [f"{page}:{block.line}" for page, block in found]
    return pytest.mark.parametrize(("page", "block"), found, ids=names)


def test_every_block_is_in_a_language_that_is_checked() -> None:
    found = {(page, block.language) for page, block in BLOCKS if block.language not in ELSEWHERE | CHECKED}
    assert found == NOT_PARSED.keys()


@in_language("yaml")
def test_yaml_is_a_script_file(page: str, block: Block, tmp_path: Path) -> None:
    if block.text.startswith("services:"):
        assert yaml.safe_load(block.text)["services"]  # tests of the container read it
        return
    (tmp_path / "tuesday.agentstream.jsonl").write_text(recording(), encoding="utf-8")
    script = read_script(block.text, str(tmp_path / "script.yaml"))
    assert {call.agent_id for call in script.calls} == set(yaml.safe_load(block.text)["agents"]), page


def recording() -> str:
    """Return the recording of the page about recordings, whose header is one line in a file."""
    (text,) = (b.text for b in DOCS["recordings"].blocks() if b.text.startswith('{"runagent_recording"'))
    return "".join(f"{json.dumps(value)}\n" for value in values(text))


def values(text: str) -> Iterator[Any]:
    """Give each JSON value of a text, however many lines it takes."""
    while text := text.strip():
        value, end = json.JSONDecoder().raw_decode(text)
        yield value
        text = text[end:]


@in_language("json")
def test_json_parses(page: str, block: Block) -> None:
    assert [*values(block.text)], page


def test_the_configuration_file_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = DOCS["configuration"].block('{\n  "api_key"')
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    monkeypatch.setenv("RUNAGENT_CONFIG", str(tmp_path / "config.json"))
    settings = load_settings({})  # a client would also set the level of the log, for later tests too
    keys = json.loads(text)
    assert (tuple(keys["transport"]), 30, keys["retry_config"]["max_retries"]) == (
        settings.transport,
        settings.timeout,
        settings.max_retries,
    )
    places = {*settings.sources.values()}
    assert len(places) == 2, "the file, and defaults"


def test_the_recording_is_one() -> None:
    read = parse_recording(recording().encode(), "page.agentstream.jsonl")
    assert ("writer", "complete") == (read.agent_id, read.end and read.end.kind)


@in_language("toml")
def test_toml_declares_entry_points_that_are_looked_for(page: str, block: Block) -> None:
    groups = tomllib.loads(block.text)["project"]["entry-points"]
    assert groups.keys() <= {
        installed.TRANSPORTS,
        installed.OBSERVERS,
        "runagent.capabilities",
        "runagent_testing.dialects",
    }
    for reference in groups.get("runagent.capabilities", {}).values():
        assert parse_declaration(reference) is not None, page


@in_language("py")
def test_python_that_is_not_run_parses(page: str, block: Block) -> None:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # as a notebook's cells have it
    compile(block.text, page, "exec", flags)


@in_language("js", "html")
def test_javascript_parses(page: str, block: Block, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    text = block.text
    if block.language == "html":
        (text,) = re.findall(r'<script type="module">(.+?)</script>', text, re.DOTALL)
    (tmp_path / "block.mjs").write_text(text, encoding="utf-8")
    checked = subprocess.run(
        [node, "--check", tmp_path / "block.mjs"], check=False, capture_output=True, text=True, timeout=60
    )
    assert (page, 0, "") == (page, checked.returncode, checked.stderr)
