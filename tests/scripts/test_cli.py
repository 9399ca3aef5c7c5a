"""The command line: help, exit codes, and one clear message for each kind of wrong input."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from scripts.cli import run
from scripts.verbs import CONFIGS, VERBS

ALL_VERBS = [verb.name for verbs in VERBS.values() for verb in verbs]
Refuse = Callable[..., str]


@pytest.fixture
def refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command line that must end with code 2 and leave every file as it was; returns its message."""
    monkeypatch.chdir(tmp_path)

    def snapshot() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def check(*arguments: object) -> str:
        before = snapshot()
        code = run([str(argument) for argument in arguments])
        message = capsys.readouterr().err
        assert code == 2, message
        assert "Traceback" not in message
        assert snapshot() == before
        return message

    return check


def test_help_groups_the_verbs_and_answers_at_once() -> None:
    started = time.perf_counter()
    answer = subprocess.run(
        [sys.executable, "-m", "scripts.cli", "--help"], capture_output=True, text=True, check=True
    )
    assert time.perf_counter() - started < 3  # 0.05 s here; a bound that only a heavy import breaks
    assert all(f"\n  {name} " in answer.stdout for name in ALL_VERBS)
    assert "for the policy lead" in answer.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from scripts.cli import run;"
        "[run([*verb, '--help']) for verb in ([], ['train'], ['calibrate'])];"
        "heavy = {'torch', 'hydra', 'polars', 'numpy', 'pydantic'} & set(sys.modules); sys.exit(bool(heavy))"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_calibrate_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from scripts.cli import run; run(['calibrate', 'policies=none', 'scores=none']);"
        "assert 'calibrate.run' in sys.modules; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=tmp_path)


@pytest.mark.parametrize("verb", ALL_VERBS)
def test_every_verb_has_help_and_shows_its_config(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    assert f"setpoint {verb}" in capsys.readouterr().out
    assert run([verb, "experiment=demo", "--cfg", "job", "project=mine"]) == 0
    assert "\nproject: mine\n" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ALL_VERBS)
def test_every_key_of_a_config_is_an_argument_of_its_verb(verb: str) -> None:
    import importlib
    import inspect

    from hydra import compose, initialize_config_dir

    from scripts.verbs import WORKSPACE_KEYS, find_verb, search_path

    found = find_verb(verb)
    assert found is not None
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(verb, search_path(found))
    module, _, name = found.function.partition(":")
    arguments = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    assert set(config) - set(WORKSPACE_KEYS) == set(arguments)


def test_unknown_words_are_answered_with_the_nearest_known(refuse: Refuse) -> None:
    assert "did you mean 'calibrate'" in refuse("calibrat")
    assert "split, sed: unknown key; did you mean 'seed'" in refuse("split", "sed=1", "experiment=demo")
    assert "moderation_mini" in refuse("split", "experiment=moderation")
    assert "items=" in refuse("split")
    assert "seed" in refuse("split", "seed=first", "experiment=demo")
    assert "fractions.train" in refuse("split", "fractions.train=half", "experiment=demo")
    assert "extra" in refuse("split", "+extra=1", "experiment=demo")


def arguments(items: Path, annotations: Path, policies: Path) -> list[str]:
    return [f"items={items}", f"annotations={annotations}", f"policies={policies}"]


def edit_policy(folder: Path, **changes: object) -> None:
    file = folder / "fire.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **changes}))


def edit_rows(file: Path, **first_row: object) -> None:
    rows = pl.read_parquet(file).to_dicts()
    rows[0].update(first_row)
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(file)


TOO_PRECISE = [{"action": "auto_remove", "target_precision": 1.2, "confidence": 0.95}]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda i, a, p: i.unlink(), ["items.parquet", "no such file"]),
        (lambda i, a, p: edit_policy(p, treshold=0.5), ["fire.yaml", "treshold", "unknown key"]),
        (lambda i, a, p: edit_policy(p, policy_id="scam"), ["policy_id", "'scam'", "another file"]),
        (lambda i, a, p: edit_policy(p, bands=TOO_PRECISE), ["fire.yaml", "target_precision", "1.2"]),
        (lambda i, a, p: edit_rows(i, media=[]), ["items.parquet, row 1, media"]),
        (lambda i, a, p: edit_rows(i, item_id="i01"), ["items.parquet, row 2, item_id = 'i01'", "another row"]),
        (lambda i, a, p: edit_rows(i, inclusion_prob=0.0), ["row 1, inclusion_prob = 0.0", "above 0"]),
        (lambda i, a, p: edit_rows(a, item_id="ghost"), ["annotations.parquet, row 1, item_id = 'ghost'"]),
        (lambda i, a, p: edit_rows(a, policy_id="ghost"), ["row 1, policy_id = 'ghost'", "fire or scam"]),
        (lambda i, a, p: edit_rows(a, policy_version="9.9.9"), ["row 1, policy_version = '9.9.9'", "1.0.0"]),
        (lambda i, a, p: edit_rows(a, value="maybe"), ["row 1, value = 'maybe'", "violating"]),
    ],
)
@pytest.mark.parametrize("verb", ["split", "golden", "validate"])
def test_wrong_files_end_in_one_message(
    verb: str,
    refuse: Refuse,
    items_file: Path,
    annotations_file: Path,
    policy_folder: Path,
    spoil: Callable[[Path, Path, Path], None],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(items_file, annotations_file, policy_folder)
    given = [verb, *arguments(items_file, annotations_file, policy_folder)]
    if verb == "golden":
        given += ["name=g", "version=1"]
    if verb == "validate" and items_file.exists():
        assert run([*given, "media=false"]) == 1  # what is wrong is what validate was asked for
        message = capsys.readouterr().out
    else:
        message = refuse(*given)
    for word in words:
        assert word in message


def test_validate_finds_nothing_wrong_with_good_files(
    items_file: Path, annotations_file: Path, policy_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["validate", *arguments(items_file, annotations_file, policy_folder)]
    assert run([*given, "media=false"]) == 0
    assert "0 findings" in capsys.readouterr().out
    assert run(given) == 1  # no media behind these items
    assert "media/0.jpg': unreadable: no such file" in capsys.readouterr().out


def test_a_package_that_hides_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "__init__.py").touch()
    code = "import sys; sys.path.insert(0, '.'); from scripts.cli import run; sys.exit(run(['split', 'seed=1']))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "hidden by" in answer.stderr


@pytest.fixture
def calibration_input(
    items_file: Path, annotations_file: Path, policy_folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> list[str]:
    """Arguments of a `calibrate` that would succeed: forty scored golden items."""
    given = arguments(items_file, annotations_file, policy_folder)
    assert run(["golden", *given, "name=g", "version=1", f"out={tmp_path / 'golden'}"]) == 0
    capsys.readouterr()
    item_ids = pl.read_parquet(items_file)["item_id"]
    scores = pl.DataFrame(
        {"item_id": item_ids, "fire": [n / 7 for n in range(40)], "scam": [n / 9 for n in range(40)]}
    )
    scores.write_parquet(tmp_path / "scores.parquet")
    return [
        *(f"scores={tmp_path / 'scores.parquet'}", f"golden={tmp_path / 'golden/g/1'}"),
        *(f"policies={policy_folder}", "validation=null", f"out={tmp_path / 'calibration'}"),
    ]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: edit_rows(t / "scores.parquet", fire=float("nan")), ["scores.parquet, row 1, fire = nan"]),
        (
            lambda t: pl.read_parquet(t / "scores.parquet").drop("scam").write_parquet(t / "scores.parquet"),
            ["scam", "missing"],
        ),
        (lambda t: edit_rows(t / "scores.parquet", item_id="i01"), ["row 2, item_id = 'i01'", "another row"]),
        (
            lambda t: pl.read_parquet(t / "scores.parquet").head(39).write_parquet(t / "scores.parquet"),
            ["1 of 40", "'i39'"],
        ),
        (
            lambda t: edit_rows(t / "golden/g/1/annotations.parquet", value="not_violating"),
            ["annotations.parquet", "digest does not match"],
        ),
    ],
)
def test_wrong_scores_and_a_changed_golden_set_certify_nothing(
    refuse: Refuse, calibration_input: list[str], tmp_path: Path, spoil: Callable[[Path], None], words: list[str]
) -> None:
    spoil(tmp_path)
    message = refuse("calibrate", *calibration_input)
    for word in words:
        assert word in message


def test_good_scores_are_calibrated(calibration_input: list[str], tmp_path: Path) -> None:
    assert run(["calibrate", *calibration_input]) == 0
    assert (tmp_path / "calibration/operating_points.json").is_file()


def test_a_torn_checkpoint_and_a_missing_gpu_are_named(
    refuse: Refuse, items_file: Path, annotations_file: Path, policy_folder: Path, tmp_path: Path
) -> None:
    import torch

    given = arguments(items_file, annotations_file, policy_folder)
    assert (
        run(
            [
                "split",
                *given,
                f"out={tmp_path / 'split'}",
                "seed=1",
                "fractions={train: .5,validation: .2,golden: .3}",
            ]
        )
        == 0
    )
    torch.save({"state_dict": {}}, tmp_path / "whole.ckpt")
    (tmp_path / "torn.ckpt").write_bytes((tmp_path / "whole.ckpt").read_bytes()[:-200])
    split = f"split={tmp_path / 'split'}"
    assert "torn.ckpt" in refuse("export", f"checkpoint={tmp_path / 'torn.ckpt'}", split)
    assert "whole.ckpt" in refuse("export", f"checkpoint={tmp_path / 'whole.ckpt'}", split)
    assert "torn.ckpt" in refuse("score", f"model={tmp_path / 'torn.ckpt'}", f"items={items_file}")
    if not torch.cuda.is_available():
        message = refuse("train", "trainer=gpu", split, f"policies={policy_folder}", "logger=none")
        assert "trainer=cpu" in message


def test_a_key_with_dashes_is_told_apart_from_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--experiment=demo"]) == 2
    assert "no option '--experiment'; keys are given without dashes" in capsys.readouterr().err
