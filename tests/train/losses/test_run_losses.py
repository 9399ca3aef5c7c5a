"""Losses through the command line and the verb `train`."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from data.errors import InputError
from scripts.cli import verb_help
from scripts.verbs import CONFIGS, find_verb, run_verb, search_path
from train.losses.settings import BCE, AnyLoss, Asymmetric, ClassBalanced, Focal, LossSettings

DEFAULTS: dict[str, AnyLoss] = {
    "bce": BCE(),
    "focal": Focal(name="focal"),
    "asymmetric": Asymmetric(name="asymmetric"),
    "class_balanced": ClassBalanced(name="class_balanced"),
}


def composed(*overrides: str) -> Any:
    verb = find_verb("train")
    assert verb is not None
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [*search_path(verb), "experiment=moderation_mini", *overrides])
    return OmegaConf.to_container(config.loss)


def test_help_shows_the_losses() -> None:
    verb = find_verb("train")
    assert verb is not None
    assert "  loss=asymmetric|bce|class_balanced|focal\n" in verb_help(verb)


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_config_states_the_defaults_of_its_loss(name: str) -> None:
    settings: AnyLoss = TypeAdapter(LossSettings).validate_python(composed(f"loss={name}"))
    assert settings == DEFAULTS[name]
    assert set(composed(f"loss={name}")) == set(type(settings).model_fields)


def test_a_prior_may_be_given_for_each_policy() -> None:
    settings: AnyLoss = TypeAdapter(LossSettings).validate_python(
        composed("loss.unknown=negative_by_prior", "loss.unknown_prior={a: 0.1, b: 0}")
    )
    assert settings.unknown_prior == {"a": 0.1, "b": 0}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["+loss.gamma=2"], "loss.bce.gamma"),
        (["loss=focal", "loss.gamma=-1"], "loss.focal.gamma"),
        (["loss.unknown=negative"], "loss.bce.unknown"),
        (["loss=asymmetric", "loss.margin=1"], "loss.asymmetric.margin"),
        (["loss.name=dice"], "loss"),
        (
            ["loss.unknown_prior={fire: 0.1}", "split=nowhere"],
            "loss.unknown_prior: expected a number, or one for each",
        ),
    ],
)
def test_wrong_settings_are_said_before_anything_loads(
    moderation_mini: Path, overrides: list[str], words: str
) -> None:
    common = ["data=moderation_mini", f"data.folder={moderation_mini}", "root=nowhere", "logger=none"]
    with pytest.raises(InputError) as refusal:
        run_verb("train", [*common, *overrides])
    assert words in str(refusal.value)
