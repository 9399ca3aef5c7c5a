"""Every option of every config group composes; settings say one thing in code and file; each key has its comment."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from scripts.cli import run
from scripts.sweeps import register_resolvers
from scripts.verbs import CONFIGS, find_verb, groups_of, search_path
from train.job.trainer import build_trainer
from train.losses.settings import BCE, Asymmetric, ClassBalanced, Focal
from train.settings import ModelSettings, OptimSettings

TRAIN = find_verb("train")
assert TRAIN is not None
GROUPS = groups_of(TRAIN)
LOSSES = [BCE, Focal, Asymmetric, ClassBalanced]
# Which layers suit an encoder, and how many processes a machine: code called from Python starts none.
CHOSEN_BY_THE_FILE = ("layers", "num_workers")
PLAIN_GROUPS = [group for group in GROUPS if group not in ("experiment", "debug")]
EXPERIMENTS = GROUPS["experiment"]
DEBUG_MODES = GROUPS["debug"]
DATA = ["data.items=i", "data.annotations=a", "data.policies=p"]


def composed(*overrides: str) -> DictConfig:
    """The config of `setpoint train`, Hydra's own keys included."""
    assert TRAIN is not None
    register_resolvers()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", [*search_path(TRAIN), *DATA, *overrides], return_hydra_config=True)


def resolved(config: DictConfig) -> dict[str, Any]:
    content = {key: value for key, value in config.items() if key != "hydra"}
    return OmegaConf.to_container(OmegaConf.create(content), resolve=True)  # type: ignore[return-value]


def test_the_groups_are_those_that_an_engineer_expects() -> None:
    assert {"data", "model", "optim", "trainer", "callbacks", "logger"} <= set(GROUPS)
    assert {"experiment", "debug", "hparams_search", "launcher"} <= set(GROUPS)
    assert {"demo", "moderation_mini", "gpu", "ddp", "fsdp2", "slurm", "torchrun", "optuna"} <= set(EXPERIMENTS)
    assert {"fdr", "overfit", "limit", "profiler"} <= set(DEBUG_MODES)


@pytest.mark.parametrize("place", range(max(len(GROUPS[group]) for group in PLAIN_GROUPS)))
def test_every_option_composes(place: int) -> None:
    """The first of every group together, then the second, …; experiments and debug modes have tests below."""
    chosen = {group: GROUPS[group][place % len(GROUPS[group])] for group in PLAIN_GROUPS}
    config = resolved(composed(*(f"{group}={option}" for group, option in chosen.items())))
    assert "???" not in OmegaConf.to_yaml(config)
    if config["trainer"]["accelerator"] != "gpu" and not isinstance(config["trainer"]["strategy"], dict):
        build_trainer(
            config["trainer"],
            callbacks=[],
            extra_callbacks=config["callbacks"],
            logged=True,
            out=Path(config["out"]),
        )


@pytest.mark.parametrize(
    ("mode", "experiment"),
    [
        pytest.param(mode, experiment, marks=() if place == index else pytest.mark.slow)
        for index, mode in enumerate(DEBUG_MODES)
        for place, experiment in enumerate(EXPERIMENTS)
    ],
)
def test_every_debug_mode_composes_with_every_experiment(mode: str, experiment: str) -> None:
    """It runs here and now, and leaves the folder of a real run alone."""
    plain, config = composed(f"experiment={experiment}"), composed(f"experiment={experiment}", f"debug={mode}")
    assert config.hydra.mode.name == "RUN"
    if mode == "fdr":
        assert config.trainer.fast_dev_run is True
        assert config.logger is None
        return
    assert Path(config.out) == Path(plain.root) / "debug" / mode
    assert config.overwrite is True
    own = composed(f"experiment={experiment}", f"debug={mode}", "out=mine")
    assert own.out == "mine"
    assert own.overwrite is False


@pytest.mark.parametrize(
    ("option", "settings"),
    [
        ("model=frozen", ModelSettings),
        ("optim=adamw", OptimSettings),
        *((f"loss={get_args(kind.model_fields['name'].annotation)[0]}", kind) for kind in LOSSES),
    ],
)
def test_defaults_in_code_are_those_of_the_config_file(option: str, settings: Any) -> None:
    """And each has its line there, whose comment says what it is."""
    group = option.partition("=")[0]
    assert_same(settings, resolved(composed(option))[group], group)


def assert_same(settings: Any, held: dict[str, Any], where: str) -> None:
    for name, field in settings.model_fields.items():
        here = f"{where}.{name}"
        assert name in held, here
        nested = [kind for kind in (field.annotation, *get_args(field.annotation)) if hasattr(kind, "model_fields")]
        if nested and isinstance(held[name], dict):
            assert_same(nested[0], held[name], here)
        elif not nested and not field.is_required() and name not in CHOSEN_BY_THE_FILE:
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            assert held[name] == default, here


def test_launchers_submit_and_searches_climb() -> None:
    for option in GROUPS["launcher"]:
        assert composed(f"launcher={option}").hydra.mode.name == "MULTIRUN"
    slurm = composed("experiment=slurm").hydra.launcher
    assert (slurm.nodes, slurm.tasks_per_node, slurm.gpus_per_node) == (2, 8, 8)
    assert slurm.max_num_timeout > 0
    for option in GROUPS["hparams_search"]:
        assert composed(f"hparams_search={option}").hydra.sweeper.direction == "maximize"


def test_config_files_say_what_they_are_for() -> None:
    files = sorted((CONFIGS / "train").glob("*/*.yaml"))
    assert [file.name for file in files if not file.read_text().startswith("#")] == []


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trainer.max_epoch=3", "trainer.max_epoch: unknown key; did you mean 'max_epochs'?"),
        ("+trainer.max_epoch=3", "trainer.max_epoch: unknown key; did you mean 'max_epochs'?"),
        ("trainer.precision=fp7", "trainer.precision = 'fp7': input should be"),
        ("trainer.strategy=dpp", "strategy='dpp'"),
        ("model.image.sorce=x", "model.image.sorce: unknown key; did you mean 'source'?"),
        ("+model.image.sorce=x", "model.image.sorce = 'x': unknown key; did you mean 'source'?"),
        ("model.fusion.width=wide", "model.fusion.width = 'wide': input should be a valid integer"),
        ("optim.learning_rate=fast", "optim.learning_rate = 'fast': input should be a valid number"),
        ("+logger.nme=a", "logger.nme: unknown key; did you mean 'name'?"),
        ("logger.tags=a", "logger.tags = 'a': input should be a valid list"),
        (
            "logger._target_=train.monitoring.loggers.no_logger",
            "_target_ = 'train.monitoring.loggers.no_logger': cannot be imported",
        ),
        ("+callbacks.mine={_target_: lightning.pytorch.callbacks.EarlyStopping}", "callbacks.mine.monitor: this key"),
        ("sed=1", "setpoint train, sed: unknown key; did you mean 'seed'?"),
        (
            "debug=fdrr",
            "no such option; did you mean 'fdr'? Available options in 'debug': fdr, limit, ov",
        ),
        ("modl=full", "modl: unknown key; did you mean 'model'?"),
    ],
)
def test_a_wrong_setting_is_one_message_before_anything_loads(
    override: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["train", *DATA, override]) == 2  # items, split and policies do not exist: they are not looked at
    said = capsys.readouterr().err
    assert words in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_help_lists_the_keys_of_the_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--help"]) == 0
    said = capsys.readouterr().out
    for words in ("model.KEY, as model=frozen", "learning_rate: 1e-4 # peak", "gradient_clip_val: null # largest"):
        assert words in said
    for group, options in GROUPS.items():
        assert f"  {group}={'|'.join(options)}\n" in said


@pytest.mark.parametrize("given", [[], ["experiment=[moderation_mini,slurm]", "debug=limit"]])
def test_cfg_job_shows_all(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--cfg", "job", "--resolve", *given]) == 0
    said = capsys.readouterr().out
    assert "  learning_rate: " in said
    assert re.search(r"\$\{", said) is None
