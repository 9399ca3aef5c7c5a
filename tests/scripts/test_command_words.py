"""Words that are no settings, and settings that nobody knows: said in our words, and before anything is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.argument_types import light_types
from scripts.cli import run
from scripts.verbs import VERBS
from scripts.wording import near


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(list(words)) == 2
    message = capsys.readouterr().err.strip()
    assert "\n" not in message
    assert "hydra.cc" not in message
    return message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "foo"], "`foo` is no setting; settings are key=value; `setpoint train --help` lists them"),
        (
            ["train", "gpu"],
            "settings are key=value; did you mean experiment=gpu or trainer=gpu?",
        ),
        (["train", "epochs"], "settings are key=value; did you mean trainer.max_epochs=…?"),
        (["split", "sede"], "`sede` is no setting; settings are key=value; did you mean seed=…?"),
        (["split", "experiment=demo", "seed"], "`seed` has no value; expected seed=…"),
        (["train", "trainer"], "`trainer` has no value; expected trainer=OPTION, of cpu, ddp"),
        (["split", "seed:1"], "did you mean seed=…?"),
        (["split", "=5"], "`=5` names no setting"),
        (["split", "seed==1"], "`seed==1`: its value cannot be read; a value with one of ="),
        (["split", "items={a"], "goes into quotes that the shell leaves: 'items=\"…\"'"),
        (["split", "--cfg"], "--cfg: expected one of job, hydra, all"),
        (["split", "--cfg", "jb"], "--cfg jb: expected one of job, hydra, all"),
        (["split", "-x"], "no option '-x'; keys are given without dashes"),
        (["train", "-m", "foo"], "`foo` is no setting"),
        (["train", "optim.lr=1"], "optim.lr: unknown key; did you mean 'learning_rate'?"),
        (["train", "lr=1"], "lr: unknown key; did you mean 'optim.learning_rate'?"),
        (["train", "trainer.epochs=1"], "trainer.epochs: unknown key; did you mean 'max_epochs'?"),
    ],
)
def test_a_word_that_cannot_be_read_is_named_with_what_was_meant(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, *words)
    assert said.startswith(f"setpoint {words[0]}")
    assert message in said


@pytest.mark.parametrize("words", [["-c", "job", "seed=3"], ["seed=3", "--cfg", "job"], ["--cfg=job", "seed=3"]])
def test_flags_take_their_values_wherever_they_stand(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["split", "experiment=demo", *words]) == 0
    assert "\nseed: 3\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "experiment=demo", "seed=first"], "train, seed = 'first': input should be a valid integer"),
        (["train", "experiment=demo", "model.image.tune=half"], "model.image.tune = 'half'"),
        (["train", "experiment=demo", "+optim.lr=1"], "optim.lr = 1: unknown key; did you mean 'learning_rate'?"),
        (["export", "experiment=demo", "opset=one"], "export, opset = 'one': input should be a valid integer"),
        (["score", "experiment=demo", "batch_size=0"], "score, batch_size = 0: input should be greater"),
    ],
)
def test_a_wrong_type_is_refused_before_torch_is_loaded(words: list[str], message: str, tmp_path: Path) -> None:
    code = (
        f"import sys; from scripts.cli import run; code = run({words!r});"
        "sys.exit(99 if {'torch', 'onnxruntime'} & set(sys.modules) else code)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert answer.returncode == 2, answer.stderr
    assert message in answer.stderr


def test_every_verb_has_types_that_are_known_at_once() -> None:
    for verb in (verb for verbs in VERBS.values() for verb in verbs):
        assert light_types(verb.function), verb.name
    assert {"seed", "model", "optim", "loss", "augment", "split", "clip_decoder"} <= set(
        light_types("train.run:train")
    )


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("lr", ["lora", "optim.learning_rate"], "optim.learning_rate"),
        ("epochs", ["seed", "trainer.max_epochs"], "trainer.max_epochs"),
        ("sed", ["seed", "set"], "seed"),
        ("zzz", ["seed"], None),
        ("x", [], None),
    ],
)
def test_what_a_word_may_stand_for(word: str, known: list[str], meant: str | None) -> None:
    assert near(word, known) == meant
