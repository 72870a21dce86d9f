"""A function that hangs does not hang a project's test run, and is named."""

from __future__ import annotations

PROJECT = """
    import asyncio, itertools, threading, time
    import pytest
    from runagent import RunAgentClient, RunAgentError

    def wait(request):
        threading.Event().wait()

    def spin(request):
        while True:
            pass

    def endless(request):
        for number in itertools.count():
            yield "x"

    def never_gives(request):
        yield "x"
        time.sleep(3600)

    async def awaits(request):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    async def in_thread(request):
        await asyncio.to_thread(threading.Event().wait)

    # A second each at the teardown: every function over one transport, one of them over every transport.
    @pytest.mark.parametrize(
        ("transport", "function"),
        [
            ("sse", wait), ("websocket", wait), ("plain", wait), ("sse", spin), ("websocket", endless),
            ("plain", never_gives), ("sse", awaits), ("websocket", in_thread),
        ],
    )
    def test_hangs(fake_agent, transport, function):
        fake_agent.responds(function)
        client = RunAgentClient(
            fake_agent.id, base_url=fake_agent.url, transport="sse" if transport == "plain" else transport,
            timeout=0.2, max_retries=0, resume=False,
        )
        if transport == "plain":
            client.run_generic("x")
        began = time.monotonic()
        for _ in client.run_generic_stream("x"):
            assert time.monotonic() < began + 0.2, "too long"

    def test_all_servers_end(fake_agent_server_factory):
        for _ in range(2):
            server = fake_agent_server_factory()
            server.agent("a").responds(wait)
            client = RunAgentClient("a", base_url=server.url, timeout=0.2, max_retries=0)
            with pytest.raises(RunAgentError):
                client.run_generic_stream("x").text()

    def test_after_it(fake_agent):
        fake_agent.always("x")
        client = RunAgentClient(fake_agent.id, base_url=fake_agent.url)
        assert "x" == client.run_generic_stream("x").text()
"""


def test_a_function_that_hangs_hangs_no_test_run(project):
    project.makepyfile(PROJECT)
    result = project.runpytest_subprocess("-p", "runagent_testing.pytest_plugin", "-q", timeout=90)
    outcomes = result.parseoutcomes()
    assert (8, 2) == (outcomes["failed"], outcomes["passed"])
    assert "ERROR at teardown of test_all_servers_end" in result.stdout.str()
    text = result.stdout.str()
    for case in ("sse-wait", "websocket-wait", "plain-wait", "sse-spin", "plain-never_gives", "sse-awaits"):
        begun = text.partition(f"ERROR at teardown of test_hangs[{case}]")[2].partition("ERROR at")[0]
        assert f"responds() with {case.partition('-')[2]} (" in begun
        assert "has not returned: it is at" in begun
