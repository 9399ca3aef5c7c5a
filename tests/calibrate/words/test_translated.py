"""Under another catalogue every sentence is said in it: certificates, and all that a page shows but people's words.

The catalogue is the English one with each text between marks; a process of its own speaks it (drive_translated.py).
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import go, opened
from choices import choice_of
from page_facts import page_facts
from playwright.sync_api import Browser, Page, expect
from pseudo_words import DECIMAL, GROUP, outside_marks, write_pseudo_words

from calibrate.signing.sign import sign_choice
from data.errors import InputError

pytestmark = pytest.mark.slow  # two processes, as one process speaks one language
ROOT = Path(__file__).parents[3]
LONG = 60_000  # milliseconds: signing certifies anew
# What people wrote, or what names a thing of theirs, by its key in the page's facts.
PEOPLE = {
    "name",
    "owner",
    "definition",
    "violates",
    "allows",
    "population",
    "window",
    "title",
    "others",
    "by",
    "value",
}
PEOPLE |= {
    "caption",
    "reuse",
    "sliced_by",
    "queue",
    "version",
    "golden_set",
    "columns",
    "item_id",
    "first_missing",
    "rationale",
    "waiver",
}
PEOPLE |= {"format"}
NAME = re.compile(r"[\w.:+-]*")
# Everything that can be read on the page or heard, with what of it people wrote left out.
READ = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { parentElement: parent, data } = walker.currentNode;
    if (!parent.closest("script, noscript, bdi, code")) found.push(data);
  }
  for (const node of document.querySelectorAll("body *")) {
    for (const name of ["aria-label", "title", "alt", "placeholder", "data-label", "aria-valuetext"]) {
      if (node.hasAttribute(name) && !node.closest("bdi")) found.push(node.getAttribute(name));
    }
  }
  return [document.title, ...found];
}"""


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("translated")
    write_pseudo_words(root / "words.json")
    command, environment = driven("drive_translated.py", root, words=root / "words.json")
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    return root


def driven(name: str, folder: Path, *, words: Path) -> tuple[list[str], dict[str, str]]:
    """How to run a driver beside this file in other words: its command and its environment."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "fixtures")])
    command = [sys.executable, str(Path(__file__).with_name(name)), str(folder)]
    return command, {**os.environ, "SETPOINT_WORDS": str(words), "PYTHONPATH": path}


@pytest.fixture
def served(browser: Browser, translated: Path, tmp_path: Path) -> Iterator[Page]:
    """The page as `setpoint review` serves it, of a copy."""
    shutil.copytree(translated / "made", tmp_path / "made")
    command, environment = driven(
        "drive_served.py", tmp_path / "made" / "calibration", words=translated / "words.json"
    )
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.stdout.readline().strip())
        page.wait_for_selector("html[data-ready]", state="attached")
        yield page
        context.close()
        server.communicate()


@pytest.fixture(scope="module")
def compared(translated: Path) -> Path:
    return translated / "further" / "compared"


@pytest.fixture(scope="module")
def page(browser: Browser, compared: Path) -> Iterator[Page]:
    with opened(browser, (compared / "report" / "index.html").as_uri()) as page:
        yield page


@pytest.fixture(scope="module")
def signed(browser: Browser, translated: Path) -> Iterator[Page]:
    with opened(browser, (translated / "signed" / "report" / "index.html").as_uri()) as page:
        yield page


@pytest.fixture(scope="module")
def named(compared: Path) -> list[str]:
    """What people named, where the page shows it in an attribute or in its title."""
    policies = page_facts(compared)["policies"]
    return [policy["name"] for policy in policies] + [
        band["title"] for policy in policies for band in policy["bands"]
    ]


def test_certificates_say_nothing_but_what_the_catalogue_says(translated: Path) -> None:
    sentences = json.loads((translated / "sentences.json").read_text(encoding="utf-8"))
    assert len(sentences) > 100
    assert [each for each in sentences if outside_marks(each).strip()] == []


def test_numbers_in_certificates_have_the_signs_of_the_language(translated: Path) -> None:
    sentences = json.loads((translated / "sentences.json").read_text(encoding="utf-8"))
    assert [each for each in sentences if re.search(r"\d[.,]\d", each)] == []
    assert any(GROUP in each for each in sentences)
    assert any(DECIMAL in each for each in sentences)


def test_facts_of_the_page_are_names_or_words_of_the_catalogue_or_of_people(compared: Path) -> None:
    facts = list(_texts(page_facts(compared)))
    assert len([text for _, text in facts if outside_marks(text) != text]) > 20
    assert [(key, text) for key, text in facts if not NAME.fullmatch(outside_marks(text).strip())] == []


@pytest.mark.parametrize("place", ["#/", "#/fire/1", "#/fire/2"])
def test_a_signed_page_shows_words_of_the_catalogue_and_of_who_signed(
    translated: Path, signed: Page, named: list[str], place: str
) -> None:
    go(signed, place)
    assert _untranslated(signed, named) == []
    facts = list(_texts(page_facts(translated / "signed")))
    assert [(key, text) for key, text in facts if not NAME.fullmatch(outside_marks(text).strip())] == []


@pytest.mark.parametrize("place", ["#/", "#/method", "#/fire/1", "#/fire/2", "#/fire/3", "#/scam/1"])
def test_every_view_shows_words_of_the_catalogue_alone(page: Page, named: list[str], place: str) -> None:
    go(page, place)
    for details in page.locator("details").all():
        details.evaluate("node => { node.open = true }")
    assert _untranslated(page, named) == []


def test_what_appears_on_the_way_to_a_choice_is_translated_too(page: Page, named: list[str]) -> None:
    go(page, "#/fire/1")
    field = "input[type=number][id^=threshold]"
    for threshold in ("9", "0.5", "-3"):
        page.fill(field, threshold)
        page.press(field, "Enter")
        assert _untranslated(page, named) == []
    page.locator(".off").click()
    page.locator(".off").click()
    page.locator(".choose").click()
    assert page.locator("dialog[open]").count() == 1
    assert _untranslated(page, named) == []
    page.keyboard.press("Escape")


def test_what_a_served_page_says_of_signing_and_refuses_is_translated(served: Page, named: list[str]) -> None:
    def sign(name: str) -> None:
        served.locator(".choose").click()
        served.fill("#choice-by", name)
        served.fill("#choice-rationale", "0")
        served.locator(".sign").click()

    served.locator(".glance a").first.click()
    served.locator(".slider").press("ArrowRight")
    problem = served.locator(".choice .problem")
    sign("...")
    expect(problem).not_to_be_empty(timeout=LONG)
    assert _untranslated(served, named) == []
    served.fill("#choice-by", "0")
    served.locator(".save").click()
    expect(served.locator(".choice .outcome")).not_to_be_empty()
    assert _untranslated(served, named) == []
    served.locator(".sign").click()
    served.locator(".done").click(timeout=LONG)
    assert _untranslated(served, named) == []
    sign("0")
    expect(problem).not_to_be_empty(timeout=LONG)
    assert _untranslated(served, named) == []
    assert served.locator(".choice code").count() == 0, "said in words, not as a terminal is told"
    served.fill("#choice-by", "1")
    served.locator(".sign").click()
    served.wait_for_selector(".done", timeout=LONG)
    assert _untranslated(served, named) == []
    served.locator(".done").click()
    served.locator(".slider").press("ArrowRight")
    assert _untranslated(served, named) == []
    served.locator("nav a").first.click()
    served.reload()
    served.wait_for_selector(".before button")
    assert _untranslated(served, named) == []


def test_a_calibration_in_other_words_is_not_signed_and_the_error_says_which_setting_to_look_at(
    translated: Path, tmp_path: Path
) -> None:
    made, record = translated / "made" / "calibration", tmp_path / "signatures.jsonl"
    with pytest.raises(InputError, match=r"in other words \(see SETPOINT_WORDS\)"):
        sign_choice(
            made, choice_of(made, "Ada Lovelace"), waivers={}, signatures=record, out=tmp_path / "signed", today=None
        )
    assert not record.exists() or record.read_text() == ""


def test_a_missing_translation_ends_a_verb_with_its_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.cli", "calibrate", f"scores={tmp_path}", f"golden={tmp_path}"]
    environment = {**os.environ, "SETPOINT_WORDS": str(tmp_path / "words.json")}
    ended = subprocess.run(
        [*command, f"policies={tmp_path}", f"out={tmp_path / 'out'}"],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    assert (ended.returncode, "words.json" in ended.stderr, "Traceback" in ended.stderr) == (2, True, False)


def _untranslated(page: Page, named: list[str]) -> list[str]:
    """Texts with a word that is neither of the catalogue nor of people: named, or between isolates."""
    left = []
    for text in page.evaluate(READ):
        rest = re.sub("\u2068[^\u2068\u2069]*\u2069", "", outside_marks(text))
        for name in sorted(named, key=len, reverse=True):
            rest = rest.replace(name, "")
        left.append(re.sub(r"\d(e[+-]\d+)", "", rest))
    return [text for text in left if re.search(r"[^\W\d_]", text)]


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a JSON value with the key it stands under, but those that people wrote."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, each in value.items():
            if name not in PEOPLE:
                yield from _texts(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, key)
