"""The verb `calibrate`: scores and a golden set in, operating points, curves and a report out."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from calibrate.certify import certify
from calibrate.corrections import Unresolved
from calibrate.outcome import POINTS_FILE
from calibrate.production.files import ProductionFiles
from calibrate.production.summary import production_lines
from calibrate.report.summary import summary_of
from calibrate.signing.made_from import write_made_from
from calibrate.signing.replaced import check_replaceable, given_before
from data.files import atomic_folder
from data.policy import Identifier
from data.summary import Summary

NOT_INPUTS = ("out", "today", "signatures", "overwrite")  # of which nothing in the result depends


def calibrate(
    *,
    scores: Path,
    golden: Path,
    policies: Path,
    out: Path,
    validation: Path | None = None,
    validation_scores: Path | None = None,
    error_budget: Literal["each", "all"] = "each",
    slices: Literal["off", "test", "own"] = "test",
    label_false_positive_rate: float = 0.0,
    label_false_negative_rate: float = 0.0,
    prior_odds_ratio: float = 1.0,
    unresolved: Unresolved = "left_out",
    recent: Path | None = None,
    auditor: Literal["off", "llm"] = "off",
    reuse: str | None = None,
    traffic: Path | None = None,
    review_seconds: float = 60.0,
    today: date | None = None,
    precisions: dict[Identifier, Path] | None = None,
    most_flips: Annotated[float, Field(ge=0, le=1)] = 0.005,
    margin: Annotated[float, Field(ge=0)] = 0.1,
    production: ProductionFiles | None = None,
    candidates: dict[Identifier, ProductionFiles] | None = None,
    examples: Annotated[int, Field(ge=0, le=12)] = 6,
    thumbnails: bool = True,
    signatures: Path | None = None,
    overwrite: bool = False,
) -> Summary:
    """Choose a threshold for every band of every policy, certified on a golden set.

    Args:
        scores: scores.parquet of the model and runtime that will serve; holds every golden item.
        golden: folder of a frozen golden set.
        policies: folder of policy files.
        out: folder to write: operating_points.json, curves.parquet, curves.csv, and report/ with index.html, tables
            as CSV and report.xlsx. Replaced whole, unless somebody signed what stands there.
        validation: folder with items.parquet and annotations.parquet of other items; plans where the tests begin
            and fits the probabilities. No guarantee rests on it.
        validation_scores: scores of the validation items, if `scores` does not hold them.
        error_budget: `each` band has 1 - confidence for itself; `all` share it, so that all hold together.
        slices: `test` the policy's slices at each certified precision threshold, give them their `own`, or `off`.
        label_false_positive_rate: at most this share of posts that do not violate is labelled violating.
        label_false_negative_rate: at least this share of violating posts is labelled not violating.
        prior_odds_ratio: odds of violating in the traffic to come over those in the golden set, at least.
        unresolved: golden items without a known label are `left_out` of precision tests, or count as `not_violating`.
        recent: folder of a recent simple random sample with labels (a golden set, or items and annotations), from
            which `prior_odds_ratio` is estimated; a tenth of 1 - confidence goes to its error.
        auditor: `llm` tests with what models said of the golden items, too (annotations with source llm): valid
            however bad they are, if the items that people labelled are a random subset.
        reuse: why earlier looks at this golden set need not be paid for, in your words, which the result repeats;
            None pays: the k-th look at a policy's labels is tested at (1 - confidence) * 6 / (pi^2 k^2).
        traffic: traffic.parquet of the same model and runtime: sets the bands by capacity and says how many posts a
            day each band takes.
        review_seconds: that one review takes: with it the page says how many hours a day a queue needs.
        today: a golden set that expired before this date certifies nothing; None is the current date.
        precisions: scores of the model in other precisions, by name. Each is certified on its own, as part of the
            same look, into `out/precisions/NAME`, and held against `scores`: see `calibrate.precisions`.
        most_flips: share of the golden decisions that may flip; a precision that flips more is refused.
        margin: flips are counted apart where the score by `scores` lies further than this from a threshold.
        production: scores of the golden items by the model that serves, and the calibration (or release) that it
            serves by: the page says what would change. A description, no certificate: it spends no look.
        candidates: further models with thresholds of their own, by name, shown beside against production.
        examples: golden posts that the page shows on either side of a threshold, and of the worst errors of each
            kind; 0 leaves posts out.
        thumbnails: whether small pictures of them are in the page; never for a policy with `preview: none`.
        signatures: record of all signatures, which tells whether the calibration in `out` was signed.
        overwrite: replace it all the same.

    Returns:
        A table: policy, band, status, threshold, precision, lower bound, recall.

    Raises:
        InputError: a file is wrong, or the files do not belong together.
    """
    arguments = {name: value for name, value in locals().items() if name not in NOT_INPUTS}
    out = Path(out)
    check_replaceable(out, signatures, overwrite=overwrite)
    found, missing = certify(**arguments, today=today or date.today(), out=out), given_before(out, arguments)
    with atomic_folder(out) as folder:
        found.write(folder)
        write_made_from(folder, arguments, out=out)
    written = [out / "report" / "index.html", out / POINTS_FILE]
    summary = summary_of(found.outcome.content, found.outcome.calibrations, written=written)
    compared = production_lines(found.production, found.outcome.reported) if found.production else []
    gated = found.gate.lines() if found.gate else []
    return replace(summary, lines=[*summary.lines, *compared, *gated, *missing])
