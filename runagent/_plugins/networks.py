"""Networks for the clients of one address, which these clients need not be given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._address.url import parse_base_url
from runagent._errors import ConfigurationError
from runagent._redact import describe

if TYPE_CHECKING:
    from runagent._address.url import Origin
    from runagent._net.base import AsyncNetwork, Network
    from runagent._plugins.registration import Registration

__all__ = ["register_network", "registered", "registered_network"]

registered: list[tuple[Origin, bool, Network | AsyncNetwork]] = []
"""Origin, whether for asynchronous clients, and network; a later one counts before an earlier one."""


def register_network(base_url: str, network: Network | AsyncNetwork) -> Registration:
    """Have all clients of an address connect through a network, if they are not given another one.

    For tests of code that makes its own clients: ``MemoryNetwork.install()`` of `runagent_testing` calls it.
    Transports that are asynchronous libraries make their own connections and are not concerned.

    Args:
        base_url: Its scheme, host and port are those of the clients' ``base_url``, however that was set.
            Clients that were made before are concerned, too: it is looked up when a run begins.
        network: A `Network` for `RunAgentClient`, an `AsyncNetwork` for `AsyncRunAgentClient`.

    Returns:
        A handle: ``close()`` or ``with`` ends it. Of several networks for an address, the last one counts.

    Raises:
        ConfigurationError: ``base_url`` is not a URL, or ``network`` is neither kind of network.
    """
    import inspect  # only tests come here

    from runagent._plugins.registration import Registration

    connect = getattr(network, "connect", None)
    if not callable(connect):
        raise ConfigurationError(
            f"network: register_network() takes a Network or an AsyncNetwork, not {describe(network)}"
        )
    entry = (parse_base_url(base_url).origin, inspect.iscoroutinefunction(connect), network)
    registered.append(entry)
    return Registration(lambda: registered.remove(entry))


def registered_network(origin: Origin, *, asynchronous: bool) -> Network | AsyncNetwork | None:
    """Return the network that was registered last for clients of one kind."""
    for known, is_asynchronous, network in reversed(registered):
        if (known, is_asynchronous) == (origin, asynchronous):
            return network
    return None
