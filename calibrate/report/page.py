"""The page on which a policy lead decides: one HTML file, complete in itself.

templates/ holds its parts: page.html.j2 the frame, css/ its looks, js/ what makes it live; calibrate.words
its words.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from calibrate.report.policy_page import PolicyPage
from calibrate.report.schema import PageFacts
from calibrate.report.text import all_shown
from calibrate.words import page_words

TEMPLATES = Path(__file__).parent / "templates"
STYLES = ("base", "lists", "policy", "board", "slices", "production", "signed", "choice", "examples", "print")
SCRIPTS = (
    "words",
    "format",
    "garwood",
    "unpack",
    "dom",
    "state",
    "reading",
    "consequences",
    "verdict",
    "lacking",
    "figures",
    "curve",
    "scores",
    "control",
    "slices",
    "slice_charts",
    "slice_section",
    "differences",
    "changes",
    "candidates",
    "production",
    "picture",
    "example_card",
    "examples",
    "evidence",
    "signed",
    "choice",
    "came",
    "served",
    "before",
    "policy",
    "overview",
    "main",
)
# What a page may be asked in tests, and by a page that is served: everything else stays inside.
OFFERED = (
    "PAGE, CHOSEN, DELIVERY, numbersOf, cutAt, figuresAt, poissonBounds, percent, about, whole, estimate, "
    "shownThreshold, shownVolume, typed, fixed, choiceText, mcnemar, pairedDifference, precisionDifference, "
    "slicesAt, standing"
)


def render_page(
    facts: PageFacts, policies: Sequence[PolicyPage], examples: Mapping[str, Mapping[str, Any]] | None = None
) -> str:
    """Render the page: no external resource, no inline handler, the same input the same bytes.

    Args:
        facts: words and single numbers; its policies are those of `policies`, in this order.
        policies: with their packed numbers.
        examples: posts of each policy, as `embedded_examples` gives them; None for none.
    """
    words = page_words()
    script, style = _script(), _style()
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        words=words,
        policy=_security_policy(script, style),
        style=style,
        script=script,
        word_data=_embedded(words),
        facts=_embedded(all_shown(facts.model_dump(mode="json"))),
        packed=[page.packed for page in policies],
        examples=[_embedded((examples or {}).get(page.facts.policy_id)) for page in policies],
    )


def _script() -> str:
    parts = [(TEMPLATES / "js" / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return f'"use strict";\n(() => {{\n{"".join(parts)}window.setpoint = {{ {OFFERED} }};\n}})();\n'


def _style() -> str:
    return "".join((TEMPLATES / "css" / f"{name}.css").read_text(encoding="utf-8") for name in STYLES)


def _security_policy(script: str, style: str) -> str:
    """Nothing is fetched but from where the page came, and no script or style but these two runs."""
    return (
        f"default-src 'none'; script-src '{_hash_of(script)}'; style-src '{_hash_of(style)}'; img-src data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )


def _hash_of(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(value: Any) -> str:
    """JSON that cannot end the element it stands in, whatever its texts hold."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
