"""Two hundred seeded ways to tamper with a signed release: verification finds every one, soon, and never crashes."""

import shutil
import time
from pathlib import Path

import pytest
from changed_releases import verified
from signing_keys import KeyPair, make_key
from tampered_files import Victims
from tampering import KINDS, tampered

from data.files import sha256_of_file
from export.trust.signature import sign_folder

CASES, BLOCKS = 200, 8
LONGEST = 10.0
"""Seconds, on a machine with other work; a case takes a tenth of one."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return make_key(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def victims(untouched_release: Path, older_release: Path, ours: KeyPair, tmp_path_factory) -> Victims:
    room = tmp_path_factory.mktemp("victims")
    release, older = (shutil.copytree(each, room / each.name) for each in (untouched_release, older_release))
    for each in (release, older):
        sign_folder(each, str(ours.private))
    return Victims(release, older, make_key(room, "theirs").private)


def test_the_victims_verify(victims: Victims, ours: KeyPair) -> None:
    assert verified(victims.release, trust=ours.public).ok
    assert verified(victims.older, trust=ours.public).ok
    assert 5 * len(KINDS) <= CASES, "each kind several times"


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_tampering_is_found(victims: Victims, ours: KeyPair, block: int, tmp_path: Path) -> None:
    before = {path: sha256_of_file(path) for path in victims.release.rglob("*") if path.is_file()}
    for seed in range(block, CASES, BLOCKS):
        case = tampered(victims, tmp_path / str(seed), seed)
        assert not passes(case.folder, ours.public), f"seed {seed}: {case.kind}"
        if not case.needs_trust:
            shutil.rmtree(case.folder / "model.sig", ignore_errors=True)
            (case.folder / "model.sig").unlink(missing_ok=True)
            assert not passes(case.folder, None), f"seed {seed}: {case.kind}, without a trust root"
        shutil.rmtree(tmp_path / str(seed))
    assert {path: sha256_of_file(path) for path in before} == before, "the release itself was changed by a case"


def passes(release: Path, trust: Path | None) -> bool:
    started = time.perf_counter()
    summary = verified(release, trust=trust)
    assert time.perf_counter() - started < LONGEST
    assert summary.ok or summary.lines
    return summary.ok
