"""`calibrate production=…`: what it reads, what it refuses, what it leaves alone, and what it says."""

import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from page_calibration import HOSTILE, PageCalibration, write_page_calibration
from page_facts import page_facts
from page_production import MISSING, write_compared, write_production

from calibrate.operating_points_file import load_operating_points, write_operating_points
from calibrate.production.files import ProductionFiles
from calibrate.production.flips import MOST_LISTED
from calibrate.run import calibrate
from data.errors import InputError
from data.scores import Scores, read_scores, write_scores


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PageCalibration:
    return write_page_calibration(tmp_path_factory.mktemp("made"), n=600)


@pytest.fixture
def files(made: PageCalibration, tmp_path: Path) -> ProductionFiles:
    return write_production(made, tmp_path / "served")


def run(made: PageCalibration, out: Path, files: ProductionFiles, **keys):
    return calibrate(
        scores=made.scores, golden=made.golden, policies=made.policies, out=out, production=files, **keys
    )


def changed(files: ProductionFiles, **update) -> ProductionFiles:
    """The same scores with other metadata or other items."""
    scores = read_scores(files.scores, ["fire"])
    metadata = scores.metadata.model_copy(update={key: value for key, value in update.items() if key != "item_ids"})
    item_ids = update.get("item_ids", scores.item_ids)
    path = files.scores.with_name("changed.parquet")
    write_scores(path, Scores(item_ids, scores.policy_ids, scores.values, metadata))
    return files.model_copy(update={"scores": path})


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"scale": "logit"}, "scale = 'logit': the thresholds in"),
        ({"model_digest": "ef" * 32}, "give scores of the model and runtime that serve by them"),
        ({"runtime": "other"}, "runtime = 'other'"),
        ({"item_ids": [f"x{n}" for n in range(593)]}, "are they those of another golden set?"),
    ],
)
def test_scores_of_another_model_or_of_other_items_are_refused(made, tmp_path, files, update, words) -> None:
    looks = (made.golden / "looks.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"^production\.scores: .*changed\.parquet") as refused:
        run(made, tmp_path / "out", changed(files, **update))
    assert words in str(refused.value)
    assert not (tmp_path / "out").exists()
    assert (made.golden / "looks.jsonl").read_bytes() == looks


def test_files_that_are_missing_or_wrong_are_named(made, tmp_path, files) -> None:
    out, empty = tmp_path / "out", tmp_path / "empty"
    empty.mkdir()
    for wrong, words in (
        (files.model_copy(update={"scores": tmp_path / "none.parquet"}), "none.parquet"),
        (files.model_copy(update={"points": tmp_path / "none"}), "none"),
        (files.model_copy(update={"points": empty}), r"production\.points: .*empty holds neither operating_points"),
        (files.model_copy(update={"points": made.golden / "golden.yaml"}), r"golden\.yaml: not a JSON file"),
    ):
        with pytest.raises(InputError, match=words):
            run(made, out, wrong)
    points = load_operating_points(files.points)
    other = points.model_copy(update={"policies": (points.policies[0].model_copy(update={"policy_id": "other"}),)})
    write_operating_points(empty / "operating_points.json", other)
    with pytest.raises(InputError, match="has thresholds for other; expected one of fire, scam"):
        run(made, out, files.model_copy(update={"points": empty}))
    pl.read_parquet(files.scores).rename({"fire": "smoke"}).write_parquet(tmp_path / "smoke.parquet")
    with pytest.raises(InputError, match=r"smoke\.parquet, fire: this column is missing"):
        run(made, out, files.model_copy(update={"scores": tmp_path / "smoke.parquet"}))
    assert not out.exists()


def test_a_release_and_a_file_serve_as_points(made, tmp_path, files) -> None:
    release = tmp_path / "release" / "reports" / "decisions"
    release.mkdir(parents=True)
    shutil.copy(files.points / "operating_points.json", release)
    wanted = None
    for points in (files.points, files.points / "operating_points.json", tmp_path / "release"):
        run(made, tmp_path / "out", files.model_copy(update={"points": points}))
        found = page_facts(tmp_path / "out")["policies"]
        wanted = wanted or found
        assert found == wanted
    assert wanted[0]["production"]["bands"][0]["title"] == "auto_remove"


def test_nothing_of_the_certificate_changes_and_no_look_is_spent(made, tmp_path, files) -> None:
    calibrate(scores=made.scores, golden=made.golden, policies=made.policies, out=tmp_path / "alone")
    looks = (made.golden / "looks.jsonl").read_bytes()
    summary = run(made, tmp_path / "out", files)
    assert (made.golden / "looks.jsonl").read_bytes() == looks
    alone, compared = ((tmp_path / name / "operating_points.json").read_bytes() for name in ("alone", "out"))
    assert alone == compared
    lines = [line for line in summary.lines if "production" in line]
    frame = pl.read_csv(tmp_path / "out" / "report" / "production.csv")
    gained = sum(frame[f"gained_{kind}"].sum() for kind in ("violating", "other", "unknown"))
    lost = sum(frame[f"lost_{kind}"].sum() for kind in ("violating", "other", "unknown"))
    assert lines[0].startswith(f"production: {gained:,} flags on golden posts gained and {lost:,} lost, over 2 bands")
    assert lines[1] == (
        f"caution: production: it has no scam, fire/escalate ({HOSTILE}); it serves fire at 0.9.0, not 1.0.0; "
        f"{MISSING} golden items have no score of its and are left out"
    )
    run(made, tmp_path / "again", files)
    for name in ("index.html", "production.csv", "flips.csv", "report.xlsx"):
        first, second = ((tmp_path / out / "report" / name).read_bytes() for out in ("out", "again"))
        assert first == second, name


def test_the_same_model_and_thresholds_change_nothing(made, tmp_path) -> None:
    calibrate(scores=made.scores, golden=made.golden, policies=made.policies, out=tmp_path / "today")
    summary = run(made, tmp_path / "next", ProductionFiles(scores=made.scores, points=tmp_path / "today"))
    assert "production: 0 flags on golden posts gained and 0 lost, over 4 bands" in "\n".join(summary.lines)
    assert pl.read_csv(tmp_path / "next" / "report" / "flips.csv").is_empty()


def test_a_band_that_is_off_in_production_flags_nothing(made, tmp_path) -> None:
    files = write_production(made, tmp_path / "served", threshold=None)
    run(made, tmp_path / "out", files)
    row = pl.read_csv(tmp_path / "out" / "report" / "production.csv").row(0, named=True)
    assert row["production_threshold"] is None
    assert (row["lost_violating"], row["flagged_before"], row["precision_before"]) == (0, 0, None)
    assert row["gained_violating"] > 0


def test_flips_in_the_table_are_those_of_comparing_every_item(made, tmp_path) -> None:
    compared = write_compared(replace(made, out=made.out), tmp_path)
    flips = pl.read_csv(compared.out / "report" / "flips.csv").filter(pl.col("band") == "auto_remove")
    [first, *_] = load_operating_points(compared.out).policies[0].bands
    now = pl.read_parquet(made.scores).select("item_id", now="fire")
    before = pl.read_parquet(tmp_path / "served" / "scores.parquet").select("item_id", before="fire")
    both = now.join(before, on="item_id")
    is_now, was = pl.col("now") >= first.threshold, pl.col("before") >= pl.lit(0.7, pl.Float32)
    expected = both.filter(is_now != was).select(
        "item_id", change=pl.when(is_now).then(pl.lit("gained")).otherwise(pl.lit("lost"))
    )
    found, everything = (dict(each.select("item_id", "change").rows()) for each in (flips, expected))
    assert found.items() <= everything.items()
    for change in ("gained", "lost"):
        assert list(found.values()).count(change) == min(MOST_LISTED // 2, list(everything.values()).count(change))
    captions = [caption for caption in flips["caption"].to_list() if caption]
    assert HOSTILE in captions
    assert not [caption for caption in captions if caption.startswith(("=", "+", "-", "@"))]
    facts = page_facts(compared.out)
    assert facts["evidence"]["production"]["n_missing"] == MISSING
    assert facts["policies"][1]["production"] is None
    assert facts["policies"][0]["production"]["others"] == ["restrict (<b>x</b>)"]


def test_candidates_stand_beside_as_they_would_alone(made, tmp_path, files) -> None:
    """A candidate's figures are those of a calibration with its scores and thresholds against the same production."""
    calibrate(scores=made.scores, golden=made.golden, policies=made.policies, out=tmp_path / "today")
    next_one = ProductionFiles(scores=made.scores, points=tmp_path / "today")
    run(made, tmp_path / "out", files, candidates={"next": next_one, "served": files})
    frame = pl.read_csv(tmp_path / "out" / "report" / "production.csv").filter(
        pl.col("production_band") == "auto_remove"
    )
    here, beside, served = frame.rows(named=True)
    assert (here["model"], beside["model"], served["model"]) == ("this calibration", "next", "served")
    for name in (
        "gained",
        "lost",
        "right_now_alone",
        "mcnemar_p_value",
        "flagged_now",
        "precision_now",
        "recall_now",
    ):
        assert beside[name] == here[name] is not None, name
        assert beside["recall_change_low"] == here["recall_change_low"]
    assert (served["gained"], served["lost"], served["mcnemar_p_value"]) == (0, 0, 1)
    assert served["precision_now"] == here["precision_before"]
    records = page_facts(tmp_path / "out")["evidence"]["production"]["candidates"]
    assert [(each["name"], each["n_missing"]) for each in records] == [("next", 0), ("served", MISSING)]


def test_wrong_candidates_are_refused_by_name(made, tmp_path, files) -> None:
    wrong = files.model_copy(update={"points": tmp_path / "none"})
    with pytest.raises(InputError, match="none"):
        run(made, tmp_path / "out", files, candidates={"next": wrong})
    with pytest.raises(InputError, match=r"^candidates\.next\.scores: .*changed\.parquet, runtime = 'other'"):
        run(made, tmp_path / "out", files, candidates={"next": changed(files, runtime="other")})
    with pytest.raises(InputError, match="candidates: given without production"):
        run(made, tmp_path / "out", None, candidates={"next": files})
    assert not (tmp_path / "out").exists()
