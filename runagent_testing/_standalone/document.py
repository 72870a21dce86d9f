"""YAML and JSON texts as trees of values that know their place.

The scalars are those of YAML 1.2's core schema, which JSON's are too: ``no``, ``on`` and dates are text,
``1:30`` is no number of seconds, and ``010`` is ten.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_VALUES", "Item", "Place", "Problem", "Problems", "TooManyProblemsError", "read_document"]

__tracebackhide__ = is_ours

_TAG = "tag:yaml.org,2002:"
_SCALARS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "null": (r"|~|null|Null|NULL", lambda _: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", lambda text: int(text, _base(text))),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    ),
    "str": ("", lambda text: _joined_surrogates(text)),
}


MAX_VALUES = (
    100_000  # those of aliases counted wherever they are used; a text counts once for each 64 characters
)
_MAX_PROBLEMS = 500
_MAX_DIGITS = 400


class TooManyProblemsError(Exception):
    """Nobody needs to know of more."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something that is wrong with a file."""

    place: Place
    text: str


class Problems(list[Problem]):
    """All that is wrong with a file.

    Attributes:
        where: What is being read, for those who need to know more than the place.
    """

    where = ""

    def add(self, item: Item | Place, text: str) -> None:
        """Note one more.

        Raises:
            TooManyProblemsError: This was the last that is noted.
        """
        where = f"{self.where}: " if self.where else ""
        self.append(Problem(item if isinstance(item, Place) else item.place, where + text))
        if len(self) >= _MAX_PROBLEMS:
            raise TooManyProblemsError


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A value of the document.

    Attributes:
        place: Where it begins.
        value: A scalar, a list of items, or a dict of items by their keys.
        keys: The place of each key of a dict.
    """

    place: Place
    value: Any
    keys: dict[str, Place]

    @property
    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: item.plain for key, item in self.value.items()}
        return [item.plain for item in self.value] if isinstance(self.value, list) else self.value


class _TooManyValuesError(Exception):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.place = place


class _Loader(yaml.BaseLoader):
    """Composes nodes, up to a number, and resolves their tags by the core schema."""

    composed = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.composed += 1
        if self.composed > MAX_VALUES:
            raise _TooManyValuesError(_place(self.get_mark()))
        return super().compose_node(parent, index)


# In this order: an int would be a float, too.
for _name, (_pattern, _) in _SCALARS.items():
    if _pattern:
        _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})$"), None)


def read_document(text: str, problems: Problems, *, is_json: bool = False) -> Item | None:
    """Read a text; None, and a problem, if it is no document at all."""
    if is_json:
        try:
            json.loads(text)
        except RecursionError:
            problems.add(Place(1, 1), "this is nested too deeply")
            return None
        except ValueError as exc:
            at = exc if isinstance(exc, json.JSONDecodeError) else json.JSONDecodeError(str(exc), text, 0)
            problems.add(Place(at.lineno, at.colno), f"this is not JSON: {at.msg}")
            return None
        # Indents with tabs are JSON, but no YAML. Inside of strings JSON has none.
        text = text.replace("\t", " ")
    try:
        node = _Loader(text).get_single_node()
        return None if node is None else _Builder(problems).build(node)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        problems.add(_place(mark), ": ".join(str(word) for word in (exc.context, exc.problem) if word))
    except yaml.reader.ReaderError as exc:
        before = text[: exc.position]
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        problems.add(place, f"the character {chr(exc.character)!a} is not allowed in YAML")
    except RecursionError:
        problems.add(Place(1, 1), "this is nested too deeply")
    except _TooManyValuesError as exc:
        problems.add(exc.place, f"these are more than {MAX_VALUES} values, those of aliases included")
    return None


class _Builder:
    """Makes items of nodes; what is shared in the document (``*alias``) is shared in the tree."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._built: dict[yaml.Node, Item] = {}
        self._sizes: dict[yaml.Node, int] = {}
        self._open: set[yaml.Node] = set()

    def build(self, node: yaml.Node) -> Item:
        if node in self._open:
            self._problems.add(_place(node.start_mark), "this contains itself")
            return Item(_place(node.start_mark), "...", {})
        if node not in self._built:
            self._open.add(node)
            self._built[node] = self._item(node)
            self._sizes[node] = self._size(node)
            self._open.discard(node)
            if self._sizes[node] > MAX_VALUES:
                raise _TooManyValuesError(_place(node.start_mark))
        return self._built[node]

    def _size(self, node: yaml.Node) -> int:
        """Count the values as if no alias were shared."""
        if isinstance(node, yaml.ScalarNode):
            return 1 + len(node.value) // 64
        pairs = isinstance(node, yaml.MappingNode)
        children = itertools.chain.from_iterable(node.value) if pairs else node.value
        return 1 + sum(self._sizes.get(child, 1) for child in children)

    def _item(self, node: yaml.Node) -> Item:
        place, keys = _place(node.start_mark), dict[str, Place]()
        value: Any
        if isinstance(node, yaml.MappingNode):
            value = self._mapping(node, keys)
        elif isinstance(node, yaml.SequenceNode):
            value = [self.build(child) for child in node.value]
        else:
            value = self._scalar(node)
        return Item(place, value, keys)

    def _mapping(self, node: yaml.MappingNode, keys: dict[str, Place]) -> dict[str, Item]:
        items = {}
        for key_node, value_node in node.value:
            place, value = _place(key_node.start_mark), self.build(value_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._problems.add(place, "a key is text")
                continue
            key = _joined_surrogates(key_node.value)
            if key in keys:
                self._problems.add(place, f"{key!r} is here already, in line {keys[key].line}")
                continue
            keys[key] = place
            items[key] = value
        return items

    def _scalar(self, node: yaml.Node) -> Any:
        name = node.tag.removeprefix(_TAG)
        pattern, convert = _SCALARS.get(name, ("", str))
        if name not in _SCALARS:
            self._problems.add(_place(node.start_mark), f"the tag {node.tag!r} has no meaning here")
        elif pattern and not re.fullmatch(pattern, node.value):
            self._problems.add(_place(node.start_mark), f"{node.value!r} is no {name}")
        else:
            if name in ("str", "null", "bool") or len(node.value) <= _MAX_DIGITS:
                return convert(node.value)
            self._problems.add(_place(node.start_mark), "this number is too long")
        return node.value


def _base(text: str) -> int:
    return {"0x": 16, "0o": 8}.get(text[:2], 10)


def _place(mark: yaml.Mark | None) -> Place:
    return Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)


def _joined_surrogates(text: str) -> str:
    r"""Make one character of ``\ud83d\ude00``, which is what JSON means by it; lone halves stay."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
