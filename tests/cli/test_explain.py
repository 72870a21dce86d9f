"""``runagent explain``: every code and class, with what the client does about it."""

from __future__ import annotations

import re

import pytest

import runagent
from runagent._cli import main
from runagent._cli.codes import CODES
from runagent._cli.exit_codes import exit_code
from runagent._cli.explain import find, names, paragraphs
from runagent._cli.explanations import CLASSES
from runagent._run.policy import RetryPolicy
from runagent_testing import error, status
from tests.cli.command import error_of, out_of
from tests.docs.pages import DOCS, ROOT, Page

REFERENCE = Page(ROOT / "docs/reference/errors.md")


@pytest.mark.parametrize("name", names())
def test_each_is_explained_as_on_the_page(capfd, name) -> None:
    printed = out_of(capfd, "explain", name)
    assert printed.startswith(f"{name}\n\nClass: ")
    text = "\n\n".join(paragraphs(name))
    assert " ".join(printed.split()) == " ".join(f"{name} {text}".split())
    assert text in REFERENCE.section(name.lower())


def test_every_code_of_the_page_about_errors_is_explained() -> None:
    section = DOCS["errors"].section("codes")
    assert set(CODES) == set(re.findall(r"`([A-Z][A-Z_]+)`", section)) - {"OK"}


@pytest.mark.parametrize("text", ["refused", "Refused", "ratelimiterror", "CLOSE_1006", "proxy_407"])
def test_case_does_not_matter_and_numbers_belong_to_their_family(capfd, text) -> None:
    name = re.sub(r"\d+", "", text)
    assert out_of(capfd, "explain", text).lower().startswith(f"{name.lower()}\n")


def refusal(memory_network, number) -> runagent.AgentError:
    memory_network.agent("a").always(status(number))
    options = {"base_url": memory_network.url, "network": memory_network.blocking, "max_retries": 0}
    with runagent.RunAgentClient("a", **options) as client, pytest.raises(runagent.AgentError) as caught:
        client.run_generic_stream("x").text()
    return caught.value


@pytest.mark.parametrize("number", [400, 401, 403, 404, 405, 418, 422, 429, 500, 503, 599])
def test_a_status_is_explained_as_its_class(capfd, memory_network, number) -> None:
    refused = refusal(memory_network, number)
    name = type(refused).__name__
    assert out_of(capfd, "explain", str(number)).startswith(f"{name}\n\nClass: {name}.")


def test_without_a_code_all_are_listed(capfd) -> None:
    assert out_of(capfd, "explain").split() == list(names())


@pytest.mark.parametrize("number", [400, 401, 403, 404, 422, 429, 500, 502, 503, 504])
def test_the_code_of_a_refusal_is_explained_as_its_class(capfd, memory_network, number) -> None:
    refused = refusal(memory_network, number)
    name = type(refused).__name__
    assert refused.code is not None
    assert out_of(capfd, "explain", refused.code).startswith(f"{name}\n\nClass: {name}.")


def test_every_code_of_the_page_about_protocols_is_explained() -> None:
    rows = re.findall(r"^\| (`[A-Z_`, ]+) \| `(\w+)` \|$", DOCS["wire"].section("plain-runs"), re.MULTILINE)
    found = {code: name for codes, name in rows for code in re.findall(r"\w+", codes)}
    assert found
    assert found == {code: find(code) for code in found}


@pytest.mark.parametrize(
    ("text", "meant"), [("refusd", "REFUSED"), ("StreamTruncated", "StreamTruncatedError")]
)
def test_a_misspelt_code_gets_the_nearest(capfd, text, meant) -> None:
    assert (2, f"unknown code {text!r}; did you mean {meant}?") == error_of(capfd, "explain", text)


def test_an_unknown_code_may_be_one_of_the_service(capfd) -> None:
    code, text = error_of(capfd, "explain", "NO_ROOM")
    assert code == 2
    assert text.startswith("unknown code 'NO_ROOM': the client has no such code")
    assert "give the class of the error" in text


def test_names_of_other_things_are_unknown() -> None:
    assert [None] * 5 == [find(text) for text in ("REFUSED_1", "1006", "302", "FOUND", "")]


@pytest.mark.parametrize(
    "code", [code for code, about in CODES.items() if about.classes == ("NetworkError",)]
)
def test_what_is_retried_is_what_the_policy_retries(code) -> None:
    failed = runagent.NetworkError("x", code=f"{code}503" if code.endswith("_") else code)
    about = CODES[code].retried
    assert about.startswith("Yes") == RetryPolicy().may_retry(failed, connected=False)
    if "retry_unsafe" in about:
        assert RetryPolicy(unsafe=True).may_retry(failed, connected=True)
        assert not RetryPolicy().may_retry(failed, connected=True)


@pytest.mark.parametrize(
    "name", [name for name in CLASSES if issubclass(getattr(runagent, name), runagent.AgentError)]
)
def test_refusals_are_retried_as_the_policy_does(name) -> None:
    kind = getattr(runagent, name)
    number = 503 if kind is runagent.AgentServerError else kind("x").status
    retried = RetryPolicy().may_retry(kind("x", status=number), connected=True)
    assert CLASSES[name].retried.startswith("Yes") == retried


@pytest.mark.parametrize("name", [*CLASSES, *CODES])
def test_exit_codes_are_those_of_the_classes(name) -> None:
    classes = (CLASSES.get(name) or CODES[name]).classes
    codes = {str(exit_code(getattr(runagent, each)("x"))) for each in classes}
    assert codes == set(re.findall(r"\d", paragraphs(name)[0].partition("Exit code")[2]))


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (status(401), "AuthenticationError"),
        (error("REFUSED", "no"), "StreamError"),
        (status(200, body="<"), "ProtocolError"),
    ],
)
def test_verbose_output_names_what_to_ask_for(capfd, server, reply, name) -> None:
    server.agent("a").always(reply)
    main(["stream", "a", "hi", "-v"])
    assert capfd.readouterr().err.endswith(f"runagent: explained by: runagent explain {name}\n")


@pytest.mark.usefixtures("settings")
def test_verbose_output_names_a_code_of_the_client(capfd) -> None:
    main(["stream", "a", "hi", "-v", "--max-retries", "0", "--base-url", "http://127.0.0.1:1"])
    assert capfd.readouterr().err.endswith("runagent: explained by: runagent explain REFUSED\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_codes(capfd, shell) -> None:
    assert {"REFUSED", "RateLimitError"} <= set(re.findall(r"\w+", out_of(capfd, "completion", shell)))
