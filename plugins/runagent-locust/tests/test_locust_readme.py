"""The README is true as far as Locust is not needed; `make interop` runs its examples."""

from __future__ import annotations

import ast
from pathlib import Path

import runagent_locust
from runagent_locust.measures import COUNTS

from tests.docs.pages import Page, code_in
from tests.support.plugin_readmes import check_links

README = Page(Path(__file__).parents[1] / "README.md")


def test_its_links_lead_somewhere() -> None:
    check_links(README)


def test_its_examples_import_public_names() -> None:
    imports = [
        node
        for example in README.examples()
        for node in ast.walk(ast.parse(example.text))
        if isinstance(node, ast.ImportFrom) and node.module == "runagent_locust"
    ]
    names = {alias.name for node in imports for alias in node.names}
    assert {"AgentUser"} == names & {*runagent_locust.__all__}


def test_every_count_is_explained() -> None:
    explained = {name for cell, *_ in README.rows() for name in code_in(cell)}
    assert {*COUNTS} - {"chunks"} <= explained
