"""The catalogue and the code that speaks from it: each knows every key of the other, and the same placeholders."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pseudo_words import marked, write_pseudo_words

import calibrate
from calibrate.report.page import TEMPLATES
from calibrate.words import page_words, said
from calibrate.words.catalogue import ENGLISH, placeholders_of, read_translation
from data.errors import InputError

CALIBRATE = Path(calibrate.__file__).parent
CATALOGUE = read_translation(ENGLISH)
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in sorted((TEMPLATES / "js").glob("*.js"))}
FRAME = (TEMPLATES / "page.html.j2").read_text(encoding="utf-8")
NO_SENTENCES = {"language", "direction", "number.group", "number.decimal"}
SENTENCES = {"reason", "method", "objection"}  # arguments that end up on the page


def calls_in(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node


def names_in(text: str) -> set[str]:
    return {placeholder.name for placeholder in placeholders_of(text)}


def keys_of(argument: ast.expr) -> list[str]:
    """The keys that an argument may be: one, or one of two."""
    if isinstance(argument, ast.IfExp):
        return keys_of(argument.body) + keys_of(argument.orelse)
    assert isinstance(argument, ast.Constant), f"line {argument.lineno}: write the key out, where it can be found"
    return [argument.value]


def test_python_says_every_written_text_with_its_placeholders_and_no_other() -> None:
    said_keys = set()
    for path in sorted(CALIBRATE.rglob("*.py")):
        for call in calls_in(path):
            if not (isinstance(call.func, ast.Name) and call.func.id == "said"):
                continue
            given = {keyword.arg for keyword in call.keywords}
            for key in keys_of(call.args[0]):
                needed = names_in(CATALOGUE.written[key])
                # What stands behind ** is checked when it is said.
                assert given - {None} <= needed if None in given else given == needed, (path, key)
                said_keys.add(key)
    assert said_keys == set(CATALOGUE.written)


def test_no_sentence_of_a_certificate_stands_in_the_code() -> None:
    found = [
        f"{path.relative_to(CALIBRATE)}:{part.lineno}: {part.value}"
        for path in sorted(CALIBRATE.rglob("*.py"))
        if "plan" not in path.parts
        for call in calls_in(path)
        for keyword in call.keywords
        if keyword.arg in SENTENCES
        for part in ast.walk(keyword.value)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and re.search(r"\w \w", part.value)
    ]
    assert found == []


def test_the_page_says_every_other_text_and_no_unknown_one() -> None:
    literals, patterns = set(), []
    for text in SCRIPTS.values():
        literals |= set(re.findall(r'"([\w.]+)"', text))
        for template in re.findall(r"words\(\s*`([^`]*)`", text):
            patterns.append(re.sub(r"\\\$\\\{.*?\\\}", r"[\\w.]+", re.escape(template)))
    literals |= set(re.findall(r'words\["([\w.]+)"\]', FRAME)) | set(re.findall(r"words\.(\w+)", FRAME))
    unused = [
        key for key in CATALOGUE.page if key not in literals and not any(re.fullmatch(each, key) for each in patterns)
    ]
    assert unused == []
    assert [each for each in patterns if not any(re.fullmatch(each, key) for key in CATALOGUE.page)] == []
    assert [key for key, _ in page_calls() if key not in CATALOGUE.page] == []


def test_no_text_that_a_policy_lead_reads_is_a_command() -> None:
    """What `sign` says to a terminal may name one; all else stands on the page, where nobody types commands."""
    read = {key: text for key, text in CATALOGUE.written.items() if not key.startswith("signed")} | CATALOGUE.page
    assert [key for key, text in read.items() if re.search("`|setpoint |[a-z]=…", str(text))] == []


def test_the_page_gives_every_placeholder_that_its_texts_have() -> None:
    lacking = []
    for key, values in page_calls():
        text = CATALOGUE.page[key]
        needed = names_in(text["other"] if isinstance(text, dict) else text) | (
            {"n"} if isinstance(text, dict) else set()
        )
        if values is not None and not needed <= values:
            lacking.append((key, needed - values))
    assert lacking == []


def page_calls() -> Iterator[tuple[str, set[str] | None]]:
    """Calls of `words` with a key written out, with the names of their values; None where those are computed."""
    for text in SCRIPTS.values():
        for call in re.finditer(r'\bwords\("([\w.]+)"(, \{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\})?([,)])', text):
            key, _, values, end = call.groups()
            if values is None:
                yield key, None if end == "," else set()
            else:
                yield key, None if "..." in values else names_of(values)


def names_of(values: str) -> set[str]:
    """Names of a JavaScript object from what stands between its braces."""
    flat = values
    while (fewer := re.sub(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|`[^`]*`", "", flat)) != flat:
        flat = fewer
    return {part.partition(":")[0].strip() for part in flat.split(",")}


def test_an_unknown_key_and_wrong_values_are_loud() -> None:
    with pytest.raises(KeyError, match=r"needed\.nothing"):
        said("needed.nothing")
    with pytest.raises(AssertionError, match=r"takes \['first', 'n_labelled'\], got \['first'\]"):
        said("needed.first", first=3)
    with pytest.raises(AssertionError, match="got"):
        said("unfitted.equal", n=3)


def translation() -> dict[str, Any]:
    english = json.loads(ENGLISH.read_text(encoding="utf-8"))
    return {**marked(english), **{key: english[key] for key in NO_SENTENCES}}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in translation().items() if name != key}


def test_a_translation_is_read_with_plural_forms_of_its_own(tmp_path: Path) -> None:
    file = write_pseudo_words(tmp_path / "words.json")
    content = json.loads(file.read_text(encoding="utf-8"))
    content["overview.found"] = {"one": "{n} pasmo", "few": "{n} pasma", "many": "{n} pasm", "other": "{n} pasma"}
    file.write_text(json.dumps(content), encoding="utf-8")
    assert read_translation(file).page["overview.found"]["few"] == "{n} pasma"
    assert read_translation(file).page.keys() == page_words().keys()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "not a JSON file in UTF-8"),
        ([], "expected a JSON object like words.en.json"),
        (without("written"), "written: this part is missing"),
        (without("page.title"), "page.title: this text is missing"),
        (translation() | {"page.tilte": "x"}, "page.tilte: no such text in words.en.json; take it out"),
        (translation() | {"page.title": 3}, "page.title = 3: expected a text"),
        (translation() | {"number.under": "unter {zahl}"}, r"number.under.*: expected the placeholders \{number\}"),
        (
            translation() | {"number.under": "unter {"},
            "number.under.*: expected no brace but those around placeholders",
        ),
        (translation() | {"overview.found": "{n}"}, r"overview.found.*: expected \{category: text\} with other"),
        (
            translation() | {"overview.found": {"one": "{n}"}},
            r"overview.found.*: expected \{category: text\} with other",
        ),
        (translation() | {"overview.found": {"1": "{n}", "other": "{n}"}}, r"expected \{category: text\} with other"),
        (translation() | {"language": "German"}, None),
        (translation() | {"language": "de_DE"}, "language = 'de_DE': expected a language tag"),
        (translation() | {"direction": "up"}, "direction = 'up': expected ltr or rtl"),
        (translation() | {"number.decimal": ""}, "number.decimal = '': expected one sign"),
        (
            translation() | {"written": {**translation()["written"], "needed.first": "{first} {n_labelled:,}"}},
            r"written.needed.first.*: expected the placeholders \{first:,\}, \{n_labelled:,\}, and no other",
        ),
    ],
)
def test_what_is_no_translation_is_refused(tmp_path: Path, content: object, problem: str | None) -> None:
    file = tmp_path / "words.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    if problem is None:
        read_translation(file)
        return
    with pytest.raises(InputError, match=problem):
        read_translation(file)
