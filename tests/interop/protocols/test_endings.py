"""Our client raises at a stream without its end marker, whatever the protocol's official client does."""

from __future__ import annotations

import pytest

from tests.docs.pages import DOCS
from tests.interop.peers import met
from tests.interop.programs import needs_environment, needs_node_packages
from tests.interop.protocols.endings import ENDINGS, GOOD, OURS, measure, table
from tests.interop.protocols.official import PROTOCOLS, Protocol

pytestmark = pytest.mark.interop


def marks_of(protocol: Protocol) -> list[pytest.MarkDecorator]:
    peer = met(protocol.transport, protocol.client.partition(" ")[0], "client")
    match protocol.environment:
        case "":
            return [peer]
        case "node":
            return [peer, needs_node_packages()]
        case name:
            return [peer, needs_environment(name)]


def documented() -> dict[tuple[str, str, str], str]:
    """Return the cells of the page's table."""
    cells: dict[tuple[str, str, str], str] = {}
    for line in DOCS["reliability"].text.splitlines():
        protocol, client, *ends = [*line.strip("| ").split(" | "), ""]
        if protocol in PROTOCOLS and len(ends) > len(ENDINGS):
            cells |= {(protocol, client, ending): end for ending, end in zip(ENDINGS, ends, strict=False)}
    return cells


@pytest.mark.parametrize(
    "protocol", [pytest.param(p, id=p.name, marks=marks_of(p)) for p in PROTOCOLS.values()]
)
def test_an_end_without_the_end_marker(protocol: Protocol) -> None:
    seen = measure(protocol)
    assert {key: cell for key, cell in documented().items() if key[0] == protocol.name} == seen
    assert {GOOD, "waits"}.isdisjoint(cell for (_, client, _), cell in seen.items() if client == OURS)


def test_the_page_has_every_cell() -> None:
    assert table(documented()) in DOCS["reliability"].text
