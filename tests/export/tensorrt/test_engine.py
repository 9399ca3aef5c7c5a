"""The verb `engine`: engines in a cache that can be trusted or thrown away, and a report of what was refused."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from refused_models import put_graph, with_uint8_reshape

from data.errors import InputError
from data.files import read_json, sha256_of_file, write_json
from export.graph.decision_head import Decision, load_onnx, write_decision
from export.model_folder import read_model_folder
from export.tensorrt.cache import Engine, EngineRecord, ensure_engine
from export.tensorrt.library import PORTABLE, Library, gpu_capability, open_library, target_of
from export.tensorrt.outcome import Refusal
from export.tensorrt.profiles import profile_of
from export.tensorrt.report import Check, add_checks, read_report
from export.tensorrt.run import engine
from scripts.cli import run


def records(engines: Path) -> dict[str, EngineRecord]:
    return {file.parent.name: EngineRecord.model_validate(read_json(file)) for file in engines.rglob("engine.json")}


def test_an_engine_its_record_and_the_report(rtx: Library, model: Path, tmp_path: Path) -> None:
    engines = tmp_path / "engines"
    summary = engine(model=model, engines=engines, batch=(1, 2, 4))
    name = f"tensorrt-rtx-{rtx.version}-sm80up-fp32"
    [(folder, record)] = records(engines).items()
    assert folder == name
    held = read_json(model / "model.json")["precisions"]["fp32"]
    assert (record.onnx_sha256, record.model_digest) == (held["sha256"], held["model_digest"])
    assert (record.version, record.compute_capability) == (rtx.version, PORTABLE)
    assert (record.profile.batch, record.profile.frames, record.profile.tokens) == ((1, 2, 4), (1, 4, 4), (1, 12, 12))
    assert record.outcome.seconds > 0
    plan = next(engines.rglob("engine.plan"))
    assert sha256_of_file(plan) == record.engine_sha256
    report = read_report(model)
    assert report is not None
    assert [(check.precision, check.stage, check.refusals) for check in report.checks] == [("fp32", "built", [])]
    assert any("nothing was run" in words for words in [*report.not_proven])
    assert summary.ok
    assert summary.written == [plan.parent, model / "reports" / "tensorrt.json"]
    assert not list(engines.rglob(".setpoint-tmp-*"))


def test_an_engine_is_kept_where_it_fits_and_built_again_where_not(rtx: Library, model: Path, tmp_path: Path) -> None:
    engines = tmp_path / "engines"

    def ask(**options: Any) -> Engine:
        folder = read_model_folder(model)
        profile = profile_of(folder.preprocessing, batch=options.pop("batch", (1, 8, 32)))
        return ensure_engine(engines, folder, "fp32", library=rtx, target=PORTABLE, profile=profile, **options)

    first = ask()
    assert (first.kept, first.record.outcome.stage) == (False, "built")
    assert ask() == replace(first, kept=True)
    assert ask(batch=(1, 2, 4), any_sizes=True).kept
    whole = shutil.copytree(first.folder, tmp_path / "whole")

    # What does not fit is built anew; a moment is not enough for that, which leaves an engine of other sizes alone.
    moment = {"timeout": 0.01}
    assert ask(batch=(1, 2, 4), **moment).record.outcome.stage == "ended"
    assert ask().kept
    for damage in (
        lambda: (first.folder / "engine.plan").write_bytes((whole / "engine.plan").read_bytes()[:-1]),
        (first.folder / "engine.plan").unlink,
        lambda: (first.folder / "engine.json").write_text((whole / "engine.json").read_text()[:-20]),
        (first.folder / "engine.json").unlink,
        lambda: shutil.rmtree(first.folder),
    ):
        damage()
        again = ask(**moment)
        assert (again.kept, again.record.outcome.stage) == (False, "ended")
        shutil.rmtree(first.folder)
        shutil.copytree(whole, first.folder)
    assert ask().kept

    # Sealing keeps the model's digest and writes thresholds into its graph: an engine holds the old ones.
    digest = read_model_folder(model).record.model_digest
    put_graph(model, write_decision(load_onnx(model / "onnx/fp32/model.onnx"), Decision([1, 1], [0, 0], [3.5], [0])))
    assert read_model_folder(model).record.model_digest == digest
    sealed = ask()
    assert (sealed.kept, sealed.record.outcome.stage) == (False, "built")
    assert sealed.folder.parent != first.folder.parent


def test_several_processes_that_ask_at_once_build_once(rtx: Library, model: Path, tmp_path: Path) -> None:
    folder = read_model_folder(model)
    kept = []

    def ask() -> None:
        profile = profile_of(folder.preprocessing)
        kept.append(ensure_engine(tmp_path, folder, "fp32", library=rtx, target=PORTABLE, profile=profile).kept)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kept) == [False, True, True]


def test_what_is_refused_is_said_and_the_rest_is_built(
    rtx: Library, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_graph(model, with_uint8_reshape(load_onnx(model / "onnx/fp32/model.onnx")), "odd")
    asked = ["engine", f"model={model}", f"engines={tmp_path / 'engines'}"]
    assert run(asked) == 0
    said = capsys.readouterr().out
    assert f"engine: 1 of 2 built by tensorrt-rtx {rtx.version} for compute capability 8.0 and up" in said
    assert "fp32: built in" in said
    assert "odd: refused while parsing: Reshape (too_early): " in said
    report = read_report(model)
    assert report is not None
    assert [(check.precision, check.stage) for check in report.checks] == [("fp32", "built"), ("odd", "parsing")]
    assert [(each.node, each.operator) for each in report.checks[1].refusals] == [("too_early", "Reshape")]
    assert run([*asked, "precision=odd"]) == 1


def test_a_newer_check_takes_the_place_of_the_same_one(model: Path) -> None:
    check = Check(
        precision="fp32",
        model_digest="1" * 64,
        library="tensorrt-rtx",
        version="1.0",
        compute_capability="7.5",
        stage="building",
        refusals=[Refusal(node="a", operator="MatMul", reason="too wide")],
    )
    add_checks(model, [check])
    newer = check.model_copy(update={"version": "1.1", "stage": "built", "refusals": []})
    other = check.model_copy(update={"compute_capability": "8.9"})
    add_checks(model, [other, newer])
    report = read_report(model)
    assert report is not None
    assert report.checks == [newer, other]
    assert report.of({"fp32": "2" * 64}).checks == []


def test_wrong_requests_are_one_message(rtx: Library, model: Path, tmp_path: Path) -> None:
    given = {"model": model, "engines": tmp_path / "engines"}
    with pytest.raises(InputError, match="no precision 'int8'; found fp32"):
        engine(**given, precision="int8")
    with pytest.raises(InputError, match=r"compute_capability = '9.9': tensorrt-rtx .* for 7.5, 8.0, 8.6, 8.9"):
        engine(**given, compute_capability="9.9", library="tensorrt-rtx")
    with pytest.raises(InputError, match="no such folder"):
        engine(**{**given, "model": tmp_path / "absent"})
    write_json(model / "reports" / "tensorrt.json", {"schema": "setpoint/tensorrt/v2", "checks": []})
    with pytest.raises(InputError, match=r"tensorrt\.json, schema = 'setpoint/tensorrt/v2'"):
        engine(**given)
    (model / "onnx/fp32/model.onnx").write_bytes(b"")
    with pytest.raises(InputError, match="the file was changed"):
        engine(**given)


def test_sizes_that_do_not_ascend_are_one_message(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["engine", f"model={model}", "batch=[8,1,32]"]) == 2
    said = capsys.readouterr().err
    assert "batch" in said
    assert "expected three ascending numbers: the fewest, the typical, the most" in said


def test_a_library_that_is_not_there_says_how_to_get_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"rtx is not installed; run: pip install 'setpoint\[tensorrt-rtx\]'"):
        open_library("tensorrt-rtx")
    with pytest.raises(InputError, match=r"neither TensorRT .* nor tensorrt-rtx is installed"):
        engine(model=model, engines=tmp_path)


def test_tensorrt_builds_for_the_gpu_that_is_here() -> None:
    pretended = Library("tensorrt", "10.0", None)
    found = gpu_capability()
    if found is None:
        with pytest.raises(InputError, match="builds on the GPU that will serve, and there is none here"):
            target_of(pretended, None)
    else:
        assert target_of(pretended, None) == found
        with pytest.raises(InputError, match="this machine's GPU alone"):
            target_of(pretended, "1.0")
