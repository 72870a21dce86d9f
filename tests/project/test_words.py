"""The plain English of comments, docstrings, messages and help texts: words without an honest use stay out.

The glossary has the terms, CONTRIBUTING.md the style. Names of code are left alone, as is text in backticks.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FOLDERS = ("conftest.py", "plugins", "runagent", "runagent_testing", "tests")
PAGES = (
    ".ci/run",
    "CONTRIBUTING.md",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "plugins/README.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "plugins").glob("*/README.md")),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
)

# Each with a sentence that it finds, and what to write instead.
WORDS = {
    r"whoever": ("Wake whoever waits.", "the reader, the caller"),
    r"whom": ("TLS: whom to trust.", "the subject itself"),
    r"anew": ("It is made anew.", "again, a new one"),
    r"beside": ("It is asked beside the others.", "next to, in addition to, compared with"),
    r"told": ("The reader is told of it.", "informed, reported"),
    r"tells?(?! (?:me|us)\b)": ("Tell what is wrong.", "report, describe, show, distinguish"),
    r"telling": ("It ends without telling why.", "reporting, describing"),
    r"says?": ("The message says why.", "names, shows, sends, has"),
    r"said": ("The service said no.", "rejected, sent, reported"),
    r"saying": ("It ended without saying so.", "reporting, sending"),
    r"stands?": ("What stands in a list.", "is, means"),
    r"stood|standing": ("What stood there.", "was, being"),
    r"(?:of|with|for) (?:ours|theirs|nobody's)": ("A thread of ours.", "one of our, built-in"),
    r"of (?:its|their|our|your|my|one's) own": ("A thread of its own.", "a separate"),
    r"(?:are|is) (?:not )?ours": ("As far as they are ours.", "built in"),
    r"that (?:is|are) (?-i:none)": ("A word that is none of those.", "an unknown"),
    r"(?:None|True|False|[01]|empty|fewer|more|infinite|raises|fails|nothing|only|also|even) where": (
        "Returns None where it is unknown.",
        "if",
    ),
    r"clients? (?:ha(?:s|ve|d) )?(?:left|leaves?)": (
        "Wait until the client has left.",
        "disconnected, closed",
    ),
    r"refuse what": ("Refuse what is no number.", "reject an invalid"),
    r"no words? for": ("The dialect has no word for an error.", "cannot express"),
    r"(?:never|not) comes? back": ("A function that never comes back.", "returns"),
    r"(?:is|are) no (?-i:[A-Z]\w+)": ("A text that is no JSON.", "is not"),
    r"farewells?|goodbyes?": ("Send the farewell.", "closing bytes, close_notify"),
    r"what (?:becomes|comes|came) of": ("What came of a run.", "the result of, what happens to"),
    r"shall": ("It shall see everything.", "must, has to"),
    r"of old": ("A call of old.", "earlier"),
    r"makes? no sense": ("A script that makes no sense.", "invalid"),
    r"not there": ("It implements a hook that is not there.", "unknown, missing"),
    r"without a word|(?:in the|last|other|own) words? (?:of|for)": ("In the words of a protocol.", "format"),
    r"have a word in": ("Those who have a word in them.", "may amend"),
    r"nothing listens there": ("Nothing listens there.", "connection refused"),
    r"for good": ("The context is kept for good.", "for ever"),
    r"colours?": ("What both colours have.", "style"),
    r"surfaces?": ("Its WebSocket surface.", "transport, protocol, dialect"),
    r"(?:beside|below|above|to) the floor": ("Below the floor.", "baseline"),
    r"were it not for": ("It would be tried, were it not for that.", "a plain condition"),
    r"held? against|holds? (?:\w+ ){1,2}against": ("Hold a transport against the kit.", "run, compare with"),
    r"drawn evenly": ("A wait drawn evenly.", "uniformly random"),
    r"what others wrote": ("Against what others wrote.", "third-party software"),
    r"what (?:is|are) to be": ("What is to be sent.", "the value to send"),
    r"somebody(?:'s|,| who)": ("Somebody's code does not return.", "the caller, a callback"),
    r"hence|thereof|thereby|lest|wherein": ("The name thereof.", "of it, so, if"),
}

_ANY = re.compile(rf"\b(?:{'|'.join(WORDS)})\b", re.IGNORECASE)
_MARKS = re.compile(r'\b[bfru]{1,2}"|"|#', re.IGNORECASE)
_QUOTED = re.compile(r"``.+?``|`[^`\n]+`", re.DOTALL)
_EXAMPLE = re.compile(r"^```.+?^```$", re.DOTALL | re.MULTILINE)
_NOT_USED = re.compile(r"(?<=\.) \| [^|\n]+ \|$", re.MULTILINE)  # the last column of the glossary
_ARGUMENT = re.compile(r"^ *[\w*]+: ", re.MULTILINE)


def texts(source: str) -> list[tuple[int, str]]:
    """Return comments and strings with their lines, without names of code."""
    found = [
        (token.start[0], token.string)
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    found += [
        (node.lineno, _ARGUMENT.sub("", _QUOTED.sub("`name`", node.value)))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not node.value.isidentifier()
    ]
    return found


def words_in(source: str) -> list[str]:
    """Return each word of the list that the texts of a file use, with its line."""
    # Parsing takes most of the time, and most files have no such word, not even in their code.
    if not _ANY.search(" ".join(_MARKS.sub(" ", source).split())):
        return []
    return _words(texts(source))


def words_in_page(page: str) -> list[str]:
    """Return the same of a page or a Makefile, block by block, without examples and words not to use."""
    page = _EXAMPLE.sub("", page)
    if "| term | means | not |" in page:
        page = _NOT_USED.sub(" |", page)
    return _words([(0, _QUOTED.sub("`name`", block)) for block in page.split("\n\n")])


def _words(texts: list[tuple[int, str]]) -> list[str]:
    return [
        f"{line}: {match[0]!r}; write: {instead}"
        for line, text in texts
        for word, (_, instead) in WORDS.items()
        for match in re.finditer(rf"\b(?:{word})\b", " ".join(text.split()), re.IGNORECASE)
    ]


def files_of(folder: str) -> list[Path]:
    path = ROOT / folder
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    return [file for file in files if file != Path(__file__)]  # which has them all


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_text_uses_a_word_that_is_out(folder: str) -> None:
    files = files_of(folder)
    found = {
        f"{path.relative_to(ROOT)}:{word}" for path in files for word in words_in(path.read_text("utf-8"))
    }
    assert files
    assert set() == found


# Out of the names of tests, which have no quotes and no phrases.
NAME_WORDS = (
    *("anew", "beside", "colour", "colours", "nobody", "ours", "said", "saying", "says", "seam", "seams"),
    *("somebody", "somebodys", "stands", "stood", "story_file", "surface", "surfaces", "telling", "tells"),
    *("theirs", "told", "whoever", "whom"),
)


def test_no_name_of_a_test_uses_a_word_that_is_out() -> None:
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "plugins").glob("*/tests/test_*.py")]
    word = re.compile(rf"_(?:{'|'.join(NAME_WORDS)})(?=_|$)")
    names = {
        f"{path.name}: {name}"
        for path in files
        for name in (path.stem, *re.findall(r"def (test_\w+)", path.read_text("utf-8")))
    }
    assert 1000 < len(names)
    assert set() == {name for name in names if word.search(name)}


@pytest.mark.parametrize("page", PAGES)
def test_no_page_uses_a_word_that_is_out(page: str) -> None:
    assert [] == words_in_page((ROOT / page).read_text("utf-8"))


def test_pages_are_looked_at_without_their_examples() -> None:
    page = "It says\nso.\n\n```python\ntell(1)\n```\n\nNot `told`."
    assert ["0: 'says'; write: names, shows, sends, has"] == words_in_page(page)


@pytest.mark.parametrize("word", WORDS)
def test_each_word_is_found_in_comments_docstrings_and_messages(word: str) -> None:
    sentence, _ = WORDS[word]
    for source in (f"# {sentence}", f'"""{sentence}"""', f'raise ValueError(f"{{x}} {sentence}")'):
        assert any(re.search(rf"\b(?:{word})\b", text, re.IGNORECASE) for _, text in texts(source))
        assert words_in(source)


def test_a_phrase_is_found_across_lines() -> None:
    assert words_in('"""Runs in a thread of its\nown."""')


def test_names_of_code_are_not_looked_at() -> None:
    assert [] == words_in(
        '"""Call `tell` or ``say(word)``.\n\nArgs:\n    told: A list.\n"""\ntold = {"says": tell}'
    )


def test_none_of_python_is_not_taken_for_the_word() -> None:
    assert [] == words_in('"""Skips one that is None."""')
