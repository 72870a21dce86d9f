"""Typed code: objects with fields as input, and the result of a plain run as a type."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from runagent import ConfigurationError, ProtocolError, ValidationError

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer
    from tests.support.styles import Style


@dataclass
class Page:
    number: int
    lines: list[str] = field(default_factory=list)


class Book(msgspec.Struct, rename="camel"):
    main_title: str
    pages: list[Page]
    by_year: dict[int, str] = {}
    printed: dt.date | None = None


class Model:
    """What pydantic's models do, as far as it matters here."""

    def __init__(self, number: int) -> None:
        self.number = number

    @classmethod
    def model_validate(cls, value: Any) -> Model:
        if not isinstance(value.get("number"), int):
            raise Unfit("2 validation errors for Model\nnumber\n  ...")
        return cls(value["number"])

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        assert "json" == mode
        if self.number < 0:
            raise ValueError("below 0")
        return {"number": self.number}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.number == other.number

    __hash__ = None  # type: ignore[assignment]


class Unfit(ValueError):
    def errors(self) -> list[dict[str, Any]]:
        return [{"loc": ("number",), "msg": "expected a number"}, {"loc": ("lines", 0), "msg": "is missing"}]


class Plain:
    pass


BOOK = {
    "mainTitle": "x",
    "pages": [{"number": 1, "lines": ["a"]}],
    "byYear": {"2024": "y"},
    "printed": "2024-02-03",
}
AS_BOOK = Book("x", [Page(1, ["a"])], {2024: "y"}, dt.date(2024, 2, 3))


def run(style: Style, server: FakeAgentServer, result: Any, result_type: Any, **options: Any) -> Any:
    server.agent("a").returns(result)

    async def scenario() -> Any:
        client = style.client("a", base_url=server.url, **options)
        return await client.run_generic("q", result_type=result_type)

    return style.run(scenario)


@pytest.mark.parametrize(
    ("result", "result_type", "expected"),
    [
        (BOOK, Book, AS_BOOK),
        ([{"number": 1}], list[Page], [Page(1)]),
        ({"number": 1}, Model, Model(1)),
        ([{"number": 1}], list[Model], [Model(1)]),
        (None, Page | None, None),
        ("x", str, "x"),
        ({"a": 1}, None, {"a": 1}),
    ],
    ids=["struct", "dataclass", "model", "models", "none", "text", "untyped"],
)
def test_a_result_comes_as_the_type_that_is_asked_for(
    style: Style, server: FakeAgentServer, transport: str, result: Any, result_type: Any, expected: Any
) -> None:
    assert expected == run(style, server, result, result_type, transport=transport)


@pytest.mark.parametrize(
    ("result", "result_type", "problem"),
    [
        ({**BOOK, "pages": [{"number": "1"}]}, Book, "Expected `int`, got `str` - at `$.pages[0].number`"),
        ({"lines": []}, Page, "missing required field `number`"),
        ({"number": "1"}, Model, "expected a number - at `$.number`; is missing - at `$.lines[0]`"),
        ([{"number": 1}, {}], list[Model], "expected a number - at `$.number`"),
        (None, Page, "Expected `object`, got `null`"),
        (3, str, "result_type=str takes: Expected `str`, got `int`"),
    ],
)
def test_a_result_that_does_not_fit_is_a_protocol_error_with_the_path(
    style: Style, server: FakeAgentServer, result: Any, result_type: Any, problem: str
) -> None:
    with pytest.raises(ProtocolError) as caught:
        run(style, server, result, result_type)
    error = caught.value
    assert problem in error.message
    assert "\n" not in error.message
    assert error.report is not None
    assert ("RESULT_TYPE", "a", "completed") == (error.code, error.agent_id, error.report.outcome)
    assert error.run_id == error.report.run_id


@pytest.mark.parametrize("wrong", [3, "Page", Plain, Page | dict])
def test_a_type_that_no_result_can_have_is_refused_before_the_run(
    style: Style, server: FakeAgentServer, wrong: Any
) -> None:
    with pytest.raises(ConfigurationError, match="result_type: "):
        run(style, server, {}, wrong)
    assert [] == server.requests


def test_a_class_inside_of_a_type_that_no_result_can_have_is_named(
    style: Style, server: FakeAgentServer
) -> None:
    with pytest.raises(ConfigurationError, match=r"result_type: expected a dataclass, .* found Plain in it"):
        run(style, server, [{}], list[Plain])


# Input


@pytest.mark.parametrize("method", ["run_generic_stream", "run_generic"])
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (AS_BOOK, BOOK),
        (Page(1), {"number": 1, "lines": []}),
        (Model(1), {"number": 1}),
        ({"pages": (Page(1), Model(2))}, {"pages": [{"number": 1, "lines": []}, {"number": 2}]}),
        (Book("x", [Model(1)]), {"mainTitle": "x", "pages": [{"number": 1}], "byYear": {}, "printed": None}),  # type: ignore[list-item]
    ],
    ids=["struct", "dataclass", "model", "inside", "model in a struct"],
)
def test_objects_with_fields_are_inputs(
    style: Style, server: FakeAgentServer, transport: str, method: str, given: Any, sent: Any
) -> None:
    server.agent("a").always("x").returns("x")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport)
        made = getattr(client, method)(given)
        await (made.text() if method == "run_generic_stream" else made)

    style.run(scenario)
    assert [sent] == [request.input for request in server.requests]


def looped() -> Page:
    page = Page(1)
    page.lines.append(page)  # type: ignore[arg-type]
    return page


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            Plain(),
            "input_data: expected a mapping of names to values, a text, a dataclass, a msgspec struct or",
        ),
        (Page, "not class Page"),
        ({"x": Page}, "input_data['x']: JSON has no class Page; make an object of it"),
        ({"x": Plain()}, "input_data['x']: JSON has no Plain; convert it first"),
        ({"x": Page(1, [Plain()])}, "input_data['x']: JSON has no Plain; convert it first"),  # type: ignore[list-item]
        (Page(1, ["\ud800"]), "input_data['lines'][0]: the text holds a lone surrogate"),
        (Page(float("nan")), "input_data['number']: nan is not a JSON number"),  # type: ignore[arg-type]
        (looped(), "input_data: it contains itself, or is nested too deep"),
        ({"x": Model(-1)}, "input_data['x']: Model cannot be written as JSON: below 0"),
    ],
)
def test_what_json_cannot_carry_is_refused_with_its_place(style: Style, given: Any, problem: str) -> None:
    client = style.client("a", base_url="http://127.0.0.1:1")
    with pytest.raises(ValidationError) as caught:
        client.run_generic_stream(given)
    assert problem in caught.value.message


def test_pydantic_models_are_inputs_and_results(style: Style, server: FakeAgentServer) -> None:
    pydantic = pytest.importorskip("pydantic")
    answer = pydantic.create_model("Answer", number=(int, ...), day=(dt.date, ...))
    given = answer(number=1, day="2024-02-03")
    server.agent("a").returns({"number": 1, "day": "2024-02-03"})

    async def scenario() -> None:
        async with style.client("a", base_url=server.url) as client:
            assert given == await client.run_generic(given, result_type=answer)
            with pytest.raises(ProtocolError, match=r"Input should be a valid list - at `\$\.day`"):
                await client.run_generic(given, result_type=pydantic.create_model("Other", day=(list, ...)))

    style.run(scenario)
    assert {"number": 1, "day": "2024-02-03"} == server.requests[0].input
