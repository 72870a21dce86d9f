"""So many greenlets that stream at the same time, over each transport; run by test_gevent.py.

Prints a line of JSON when all streams of a transport are open, and one when all have ended.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402

from runagent import RunAgentClient, Timeouts  # noqa: E402

PATIENCE = 60.0  # seconds
LIMITS = Timeouts(connect=PATIENCE, first_event=PATIENCE, idle=PATIENCE)


class Crowd:
    """Greenlets that share a client."""

    def __init__(self, url, transport, agent, count):
        self._client = RunAgentClient(agent, base_url=url, transport=transport, timeout=LIMITS, max_retries=0)
        self._begun = 0
        self._count = count
        self._all_begun = Event()
        self.greenlets = [gevent.spawn(self._read) for _ in range(count)]

    def _read(self):
        stream = self._client.run_generic_stream("Tell me a story")
        text = next(stream)
        self._begun += 1
        if self._begun == self._count:
            self._all_begun.set()
        return text + stream.text()

    def wait_until_all_have_begun(self):
        if not self._all_begun.wait(PATIENCE):
            failed = {repr(each.exception) for each in self.greenlets if each.ready()}
            sys.exit(f"{self._begun} of {self._count} have begun; {failed}")

    def ends(self):
        """Return how often each text or error ended a greenlet."""
        gevent.joinall(self.greenlets, timeout=PATIENCE)
        ends = [repr(each.exception or each.value) for each in self.greenlets]
        return {end: ends.count(end) for end in set(ends)}

    def close(self):
        self._client.close()


def report(**facts):
    print(json.dumps(facts), flush=True)  # noqa: T201


url, count = sys.argv[1], int(sys.argv[2])
for transport in ("sse", "chunked", "websocket"):
    crowd = Crowd(url, transport, transport, count)
    crowd.wait_until_all_have_begun()
    report(open=transport)
    report(ends=crowd.ends())
    crowd.close()

crowd = Crowd(url, "sse", "endless", count)
crowd.wait_until_all_have_begun()
gevent.killall(crowd.greenlets, timeout=PATIENCE)
report(killed=crowd.ends())
crowd.close()
