"""Every terminal that a page shows is run, and prints that; the others are listed with the reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import trustme

from runagent import RunAgentClient
from runagent_testing import FakeAgentServer, delay, gate
from tests.docs.consoles import Console, Shell, consoles, without_times
from tests.docs.pages import CLIENT_TESTS, DOCS, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONSOLES = {console.key: console for console in consoles()}
HELLO = "RUNAGENT_API_URL=http://127.0.0.1:8450 runagent stream writer hello"

TIMELINE = (
    "$ runagent timeline tuesday.agentstream.jsonl"
    " --first-event-timeout 10 --idle-timeout 30 --total-timeout 300"
)

# Not run here: the test that does, or why none can. A page with "*" has a test that runs all of its blocks.
ELSEWHERE = {
    ("README.md", "runagent demo"): "tests/project/test_pictures.py, with --fast",
    (
        "docs/command-line.md",
        "source <(runagent completion bash)",
    ): "tests/cli/test_completion.py: three shells",
    ("docs/control.md", "*"): "tests/runagent_testing/test_control_docs.py",
    ("docs/cookbook/ask-many.md", "python ask_many.py"): "tests/docs/test_ask_many.py",
    (
        "docs/cookbook/ask-several.md",
        "$ export RUNAGENT_API_URL=http://127.0.0.1:8450",
    ): "tests/docs/test_programs.py",
    (
        "docs/cookbook/chat-page.md",
        "uvicorn chat:app",
    ): "tests/interop/gateways/test_chat_page.py: needs uvicorn",
    (
        "docs/cookbook/production.md",
        '$ runagent stream your-agent-id "Tell me a story" > story.txt && echo whole',
    ): ("tests/docs/test_recipes.py"),
    ("docs/cookbook/terminal-chat.md", "$ export RUNAGENT_API_URL=http://127.0.0.1:8450"): (
        "tests/interop/test_terminal_chat.py: needs rich"
    ),
    (
        "docs/cookbook/worker.md",
        "$ export RUNAGENT_API_URL=http://127.0.0.1:8450",
    ): "tests/docs/test_programs.py",
    ("docs/fake.md", "$ docker build --file docs/Containerfile --tag runagent-fake ."): (
        "tests/interop/test_container.py: needs Docker"
    ),
    (
        "docs/fleets.md",
        "$ cat locustfile.py",
    ): "tests/interop/test_locust.py: needs Locust, and a service for minutes",
    (
        "docs/kit.md",
        "$ runagent-fake explain run.truncated",
    ): "tests/runagent_testing/conformance/test_explaining.py",
    ("docs/recordings.md", TIMELINE): "tests/runagent_testing/test_timelines.py",
    ("docs/start.md", "$ runagent-fake serve"): "tests/docs/test_start.py",
    ("docs/start.md", "$ export RUNAGENT_API_URL=http://127.0.0.1:8450"): "tests/docs/test_start.py",
    ("docs/tracing.md", "OTEL_SERVICE_NAME=shop opentelemetry-instrument python app.py"): (
        "tests/interop/test_otel.py: needs the distribution of OpenTelemetry"
    ),
    ("plugins/runagent-locust/README.md", "*"): "tests/interop/test_locust.py: needs Locust",
    **{(page.name, "*"): "tests/interop/protocols/test_cookbook.py" for page in CLIENT_TESTS},
}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def compare(
    console: Console, printed: list[tuple[str, int]], normal: Callable[[str], str] = without_times
) -> None:
    """Compare what commands have printed with the page; a last line `…` or `...` leaves out the rest.

    A block may show commands alone: then only their statuses count, 0 unless the page shows an error.
    """
    shows = any(output for _, output in console.commands())
    for (command, output), (text, status) in zip(console.commands(), printed, strict=True):
        assert bool(status) is ("error: " in output), (command, text)
        if shows:
            shown, is_cut = re.subn(r"^(?:…|\.\.\.)\n\Z", "", output, flags=re.MULTILINE)
            length = len(normal(shown).splitlines()) if is_cut else None
            assert (command, normal(shown).splitlines()) == (command, normal(text).splitlines()[:length])


def without_numbers(text: str) -> str:
    return re.sub(r"\d+(?:\.\d+)?", "N", text)


def replay(console: Console, shell: Shell) -> None:
    compare(console, shell.run(*(command for command, _ in console.commands())))


def replay_with_agent(console: Console, shell: Shell) -> None:
    with FakeAgentServer() as server:
        server.agent("your-agent-id").always("Once", " upon").returns("Once")
        commands = (command for command, _ in console.commands())
        printed = shell.run(f"export RUNAGENT_API_URL={server.url}", *commands)
    compare(console, printed[1:])


def replay_chaos(console: Console, shell: Shell) -> None:
    text = next(each.text for each in DOCS["chaos"].examples() if "def test_saved" in each.text)
    (shell.folder / "test_many.py").write_text(MANY_TESTS, encoding="utf-8")
    assert "memory_network" in text
    ((command, output),) = console.commands()
    ((printed, _),) = shell.run(f"{command} --fake-agent-seed=7")
    shown = {normal_fault(line) for line in output.splitlines() if line != "..."}
    assert set() == shown - set(map(normal_fault, printed.splitlines())), printed


MANY_TESTS = """\
import pytest
from runagent import RunAgentClient


@pytest.mark.parametrize("number", range(40))
def test_many(memory_network, number):
    memory_network.agent("writer").always("Once", " upon", " a", " time")
    with RunAgentClient("writer", base_url=memory_network.url, network=memory_network.blocking) as client:
        assert client.run_generic_stream("hello").text() == "Once upon a time"
"""


def normal_fault(line: str) -> str:
    line = re.sub(r"seed=\d+", "seed=N", line)
    return re.sub(r"fault='[\w/-]+'(?:, \w+=[^,)]+)*", "fault=…", line).strip("- ")


def replay_transports(console: Console, shell: Shell) -> None:
    ((command, output),) = console.commands()
    ((printed, _),) = shell.run(command)
    rows = {" ".join(line.split()) for line in printed.splitlines()}
    assert set() == {" ".join(line.split()) for line in output.splitlines()} - rows


def replay_with_authority(console: Console, shell: Shell) -> None:
    authority = shell.folder / "company-ca.pem"
    trustme.CA().cert_pem.write_to_path(authority)
    commands = [
        command.replace("/etc/ssl/company-ca.pem", str(authority)) for command, _ in console.commands()
    ]
    compare(console, shell.run(*commands))


def write_script(shell: Shell) -> None:
    (shell.folder / "script.yaml").write_text(DOCS["fake"].block("agents:"), encoding="utf-8")


def replay_served_demo(console: Console, shell: Shell) -> None:
    ((command, output),) = console.commands()
    with shell.server(command) as (_, lines):
        pass
    assert output.splitlines() == [line.rstrip() for line in lines][: len(output.splitlines())]


def replay_served_script(console: Console, shell: Shell) -> None:
    write_script(shell)
    ((command, output),) = console.commands()
    with shell.server(command) as (client, lines):
        ((text, _),) = client.run(HELLO)
    assert text.startswith("half")
    shown = without_times(output)
    assert shown == without_times("".join(lines))[: len(shown)]


def replay_clients_of_script(console: Console, shell: Shell) -> None:
    write_script(shell)
    with shell.server("runagent-fake serve script.yaml") as (client, lines):
        printed = client.run(*(command for command, _ in console.commands()))
    assert 4 == len(printed)
    assert {0} <= {status for _, status in printed}
    assert all(f"#{number} writer" in "".join(lines) for number in range(1, 5))


def replay_child_process(console: Console, shell: Shell) -> None:
    write_script(shell)
    (shell.folder / "bin/npm").write_text("#!/bin/sh\n", encoding="utf-8")  # whose tests do nothing
    (shell.folder / "bin/npm").chmod(0o755)
    ((_, status),) = shell.run(console.text)
    assert "# 1 if" in console.text
    assert 1 == status


def replay_faulty_script(console: Console, shell: Shell) -> None:
    (shell.folder / "script.yaml").write_text(FAULTY, encoding="utf-8")
    replay(console, shell)


FAULTY = """\
agents:
  writer:
    always:
      - Once
      - " upon"
      - {dealy: 1}
      - " a"
      - " time"
      - {ending: cutt}
"""


def record(shell: Shell, command: str) -> str:
    """Record a run of the agent `writer` with the page's command; return what that printed."""
    with FakeAgentServer() as server:
        server.agent("writer").always("Once", delay(0.01), " upon", delay(0.01), " a", delay(0.01), " time")
        with shell.server(command.replace("https://agents.example.com", server.url)) as (client, lines):
            assert [("Once upon a time", 0)] == client.run(HELLO)
        return "".join(lines).replace(server.url, "https://agents.example.com")


def replay_recording(console: Console, shell: Shell) -> None:
    (command, output), check = console.commands()
    assert without_times(output) == without_times(record(shell, command))
    compare(Console(console.page, f"$ {check[0]}\n{check[1]}"), shell.run(check[0]), without_numbers)


def replay_script_of_recording(console: Console, shell: Shell) -> None:
    record(shell, "runagent-fake record --upstream https://agents.example.com --into recordings")
    ((command, output),) = console.commands()
    ((printed, _),) = shell.run(command)
    assert without_numbers(output) == without_numbers(printed)[: len(without_numbers(output))]


def replay_first_tests(console: Console, shell: Shell) -> None:
    text = next(each.text for each in DOCS["start"].examples() if "def test_it_shouts" in each.text)
    (shell.folder / "test_story.py").write_text(text, encoding="utf-8")
    ((command, output),) = console.commands()
    ((printed, _),) = shell.run(command)
    assert re.sub(r"[\d.]+s$", "", output.strip()) == re.sub(r"[\d.]+s$", "", printed.strip())


def replay_kit(console: Console, shell: Shell) -> None:
    compare(console, shell.run(*(command for command, _ in console.commands())), without_numbers)


def replay_failed_test(console: Console, shell: Shell) -> None:
    (shell.folder / "test_shout.py").write_text(FAILING, encoding="utf-8")
    ((printed, _),) = shell.run("pytest -q test_shout.py")
    lines = [line.strip("_ ") for line in without_times(printed).splitlines()]
    assert [] == [line for line in without_times(console.text).splitlines() if line.strip() not in lines], (
        printed
    )


FAILING = """\
from contextlib import suppress
from runagent import AgentNotFoundError, RunAgentClient
from runagent_testing import delay, ending


def test_shout(fake_agent):
    fake_agent.reply("Once", delay(60), " upon").reply("Once", ending("cut"))
    with RunAgentClient(fake_agent.id, base_url=fake_agent.url) as client:
        next(client.run_generic_stream("hello"))
    with suppress(AgentNotFoundError):
        RunAgentClient("fake-agnt", base_url=fake_agent.url).run_generic_stream("hello").text()
"""


def replay_timeline(console: Console, shell: Shell) -> None:
    with FakeAgentServer() as server:
        server.agent("writer").reply("Once", gate("middle"), " upon")
        with (
            RunAgentClient("writer", base_url=server.url) as client,
            client.run_generic_stream("hello") as stream,
        ):
            assert "Once" == next(stream)
        server.requests[0].wait_disconnected(5)
        server.requests[0].wait_done(5)
    assert timed(console.text) == timed(server.requests[0].timeline())


def timed(text: str) -> str:
    return re.sub(r" {4}0\.\d{3} ", "    TIME ", without_times(text)).strip()


# Each block that is run here, and how.
RUN: dict[tuple[str, str], Callable[[Console, Shell], None]] = {
    ("docs/chaos.md", "$ pytest --fake-agent-chaos=0.1"): replay_chaos,
    ("docs/command-line.md", 'runagent stream your-agent-id "Tell me a story"'): replay_with_agent,
    ("docs/command-line.md", "$ runagent transports"): replay_transports,
    ("docs/command-line.md", "$ runagent explain REFUSED"): replay,
    ("docs/configuration.md", "runagent doctor"): replay,
    ("docs/fake.md", "$ runagent-fake serve"): replay_served_demo,
    ("docs/fake.md", "$ runagent-fake serve script.yaml"): replay_served_script,
    (
        "docs/fake.md",
        """$ curl -N http://127.0.0.1:8450/v1/agents/writer/stream -d '{"query": "hello"}'""",
    ): replay_clients_of_script,
    (
        "docs/fake.md",
        "rm -f fake.url",
    ): replay_child_process,
    ("docs/fake.md", "$ runagent-fake check script.yaml"): replay_faulty_script,
    ("docs/kit.md", "$ runagent-fake new-transport acme"): replay,
    ("docs/kit.md", "$ runagent-fake check-transport sse"): replay_kit,
    ("docs/plugins.md", "$ runagent-fake new-transport weather"): replay,
    (
        "docs/proxies-and-tls.md",
        "$ export HTTPS_PROXY=http://user:password@proxy.example.com:3128 NO_PROXY=.internal.example.com",
    ): replay_with_authority,
    (
        "docs/recordings.md",
        "$ runagent-fake record --upstream https://agents.example.com --into recordings",
    ): replay_recording,
    (
        "docs/recordings.md",
        "$ runagent-fake from-recording recordings/0001-writer-documented.agentstream.jsonl",
    ): replay_script_of_recording,
    ("docs/start.md", "$ python -m pytest -q test_story.py"): replay_first_tests,
    (
        "docs/start.md",
        "$ export RUNAGENT_API_URL=https://agents.example.com RUNAGENT_API_KEY=your-key",
    ): replay,
    ("docs/testing.md", "ERROR at teardown of test_shout"): replay_failed_test,
    (
        "docs/testing.md",
        "request 1: POST /v1/agents/writer/stream (sse), connection 1 (new)",
    ): replay_timeline,
    ("docs/transports.md", "runagent transports"): replay,
}


@pytest.mark.parametrize("key", RUN, ids=" ".join)
def test_a_terminal_shows_what_its_commands_print(key: tuple[str, str], shell: Shell) -> None:
    RUN[key](CONSOLES[key], shell)


CHOOSING = [each for each in CONSOLES.values() if each.page.startswith("plugins/") and each.is_setting]


@pytest.mark.parametrize("console", CHOOSING, ids=lambda console: console.page)
def test_the_exports_of_a_plugin_choose_its_transport(console: Console, shell: Shell) -> None:
    program = "from runagent import RunAgentClient as C; print(*C('a').settings.transport)"
    *_, (printed, status) = shell.run(
        *(command for command, _ in console.commands()), f'python -c "{program}"'
    )
    assert (console.page.split("/")[1].removeprefix("runagent-"), 0) == (printed.strip(), status)


def test_every_terminal_is_run_or_listed_with_the_reason() -> None:
    plain = {key for key, console in CONSOLES.items() if console.is_setting or console.targets or not key[1]}
    listed = {key for key in CONSOLES if key in ELSEWHERE or (key[0], "*") in ELSEWHERE}
    assert set() == CONSOLES.keys() - RUN.keys() - plain - listed, "a row in RUN or ELSEWHERE"
    assert set() == RUN.keys() & (listed | plain)


def test_no_row_is_left_without_a_terminal() -> None:
    pages = {page for page, _ in CONSOLES}
    gone = {
        key for key in {**RUN, **ELSEWHERE} if key not in CONSOLES and not (key[1] == "*" and key[0] in pages)
    }
    assert set() == gone


@pytest.mark.parametrize("reason", sorted(set(ELSEWHERE.values())))
def test_a_reason_names_a_test(reason: str) -> None:
    assert (ROOT / re.split("[,:]", reason)[0]).is_file()


def test_pages_name_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = {target for console in CONSOLES.values() for target in console.targets}
    assert {"check", "soak"} <= targets
    assert set() == {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)}
