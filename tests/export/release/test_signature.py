"""Signatures of releases: who vouches for which bytes, and whom a trust root lets through."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from changed_releases import change_json, reasons, resealed, verified
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from signing_keys import KeyPair, make_key

from data.errors import InputError
from export.release.sign import sign_release
from export.trust.signature import PASSWORD
from scripts.verbs import run_verb


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, KeyPair]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("ours", "theirs")}


@pytest.fixture(scope="module")
def signed_once(untouched_release: Path, keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(untouched_release, tmp_path_factory.mktemp("signed") / untouched_release.name)
    summary = sign_release(release=folder, sign_key=str(keys["ours"].private))
    assert summary.title == f"sign_release: {folder.name} is signed by key {keys['ours'].fingerprint}"
    return folder


@pytest.fixture
def signed(signed_once: Path, tmp_path: Path) -> Path:
    """A copy of a signed release that a test may change."""
    return shutil.copytree(signed_once, tmp_path / "signed" / signed_once.name)


def refusal(release: Path, trust: Path) -> str:
    summary = verified(release, trust=trust)
    assert not summary.ok
    assert "the signature is not what it has to be" in summary.lines[-1]
    return summary.lines[0]


def test_verification_says_who_signed(release: Path, signed: Path, keys) -> None:
    assert [line for line in verified(release).lines if line.startswith("files:")] == [
        "files: no signature (`setpoint sign_release` adds one, and so does sign_key= of seal)"
    ]
    fingerprint, trust = keys["ours"].fingerprint, keys["ours"].public
    assert f"files: signed by key {fingerprint}, not checked against a trust root" in verified(signed).lines
    checked = verified(signed, trust=trust)
    assert checked.ok
    assert f"files: signed by key {fingerprint}, named in {trust}" in checked.lines
    moved = signed.rename(signed.parent / "current")
    assert verified(moved, trust=trust.parent).ok, "one of two keys in a folder, and under another name"


def test_unsigned_and_foreign_releases_are_refused_under_a_trust_root(release: Path, signed: Path, keys) -> None:
    assert refusal(release, keys["ours"].public).startswith("the files have no signature, and only what")
    assert "not named in" in refusal(signed, keys["theirs"].public)
    forged = json.loads((signed / "model.sig").read_text())
    forged["verificationMaterial"]["publicKey"]["hint"] = keys["theirs"].fingerprint
    (signed / "model.sig").write_text(json.dumps(forged, separators=(",", ":")))
    assert "not a signature of this release by key" in refusal(signed, keys["theirs"].public)


def test_a_release_made_anew_under_an_old_signature_is_refused(signed: Path, keys) -> None:
    (signed / "predict.py").write_text("print('mine')\n")
    changed = resealed(signed)
    assert "model.sig: signs another manifest.json" in reasons(changed)
    assert "model.sig: signs another predict.py" in reasons(changed)
    assert not sign_release(release=changed, sign_key=str(keys["theirs"].private)).ok
    (changed / "model.sig").unlink()
    sign_release(release=changed, sign_key=str(keys["theirs"].private))
    assert verified(changed).ok, "whole, and signed by somebody"
    assert keys["theirs"].fingerprint in refusal(changed, keys["ours"].public)


def test_the_command_line_of_model_signing_checks_a_release_too(signed: Path, keys) -> None:
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(signed)]
    arguments = ["--signature", str(signed / "model.sig"), "--public_key", str(keys["ours"].public)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Verification succeeded" in done.stdout


def test_the_fingerprint_is_the_one_that_openssl_tells(keys) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to compare with")
    command = ["openssl", "pkey", "-in", str(keys["ours"].private), "-pubout"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == keys["ours"].public.read_bytes()


def test_a_key_may_have_a_password(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = make_key(tmp_path, "locked", password="öffne")
    with pytest.raises(InputError, match=f"the key is encrypted; its password is read .* {PASSWORD}"):
        sign_release(release=release, sign_key=str(pair.private))
    monkeypatch.setenv(PASSWORD, "wrong")
    with pytest.raises(InputError, match=f"{PASSWORD} is not its password"):
        sign_release(release=release, sign_key=str(pair.private))
    assert not (release / "model.sig").exists()
    monkeypatch.setenv(PASSWORD, "öffne")
    assert sign_release(release=release, sign_key=str(pair.private)).ok
    assert verified(release, trust=pair.public).ok


def test_what_is_no_key_is_refused(release: Path, keys, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        sign_release(release=release, sign_key=str(tmp_path / "absent.pem"))
    with pytest.raises(InputError, match="not a private key in PEM"):
        sign_release(release=release, sign_key=str(keys["ours"].public))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = rsa.generate_private_key(65537, 2048)
    (tmp_path / "rsa.pem").write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    with pytest.raises(InputError, match="elliptic curve P-256, P-384 or P-521"):
        sign_release(release=release, sign_key=str(tmp_path / "rsa.pem"))
    assert not (release / "model.sig").exists()


def test_what_is_no_trust_root_is_refused(signed: Path, keys, tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "absent", "no such file"),
        (tmp_path, "found neither"),
        (keys["ours"].private, "a private key; a trust root takes public ones"),
        (signed / "predict.py", "not a public key in PEM"),
    ):
        with pytest.raises(InputError, match=message):
            verified(signed, trust=path)
    (tmp_path / "sigstore.json").write_text('{"identities": [{"identity": "a@b", "trust_config": "../x"}]}')
    with pytest.raises(InputError, match=r"identities\.0\.issuer: this key is missing"):
        verified(signed, trust=tmp_path)


def test_the_trust_root_may_stand_in_the_environment(release: Path, signed: Path, keys, monkeypatch) -> None:
    assert run_verb("verify", [f"release={release}"]).ok
    monkeypatch.setenv("SETPOINT_TRUST_ROOT", str(keys["ours"].public))
    assert run_verb("verify", [f"release={signed}"]).ok
    assert not run_verb("verify", [f"release={release}"]).ok
    assert run_verb("verify", [f"release={release}", "trust=null"]).ok
    monkeypatch.setenv("SETPOINT_TRUST_ROOT", "")
    with pytest.raises(InputError, match="found neither"):
        run_verb("verify", [f"release={signed}"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bundle: bundle.update(more=1), "unknown key"),
        (lambda bundle: bundle.update(mediaType="other"), "mediaType"),
        (lambda bundle: bundle["verificationMaterial"].update(tlogEntries=["x"]), "tlogEntries"),
        (lambda bundle: bundle["verificationMaterial"]["publicKey"].update(hint=None), "hint"),
        (lambda bundle: bundle["dsseEnvelope"].update(payload="e30="), "not a signature of a release"),
        (lambda bundle: bundle["dsseEnvelope"].update(payload="?"), "not a signature of a release"),
        (lambda bundle: bundle["dsseEnvelope"]["signatures"].clear(), "signatures"),
        (
            lambda bundle: bundle["verificationMaterial"].update(certificate={"rawBytes": "e30="}),
            "not a signature of",
        ),
    ],
)
def test_a_signature_in_another_form_is_refused(signed: Path, change, message) -> None:
    bundle = json.loads((signed / "model.sig").read_text())
    change(bundle)
    (signed / "model.sig").write_text(json.dumps(bundle, separators=(",", ":")))
    assert message in reasons(signed)[0]


def test_what_a_signature_leaves_out_is_named(signed: Path) -> None:
    bundle = json.loads((signed / "model.sig").read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    resources = statement["predicate"]["resources"]
    resources[0]["name"], left_out = "../elsewhere", resources[0]["name"]
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    (signed / "model.sig").write_text(json.dumps(bundle, separators=(",", ":")))
    assert reasons(signed)[:2] == [
        "model.sig: signs ../elsewhere, which is not there",
        f"model.sig: does not sign {left_out}",
    ]


def test_sealing_signs_and_does_so_once(parts, keys) -> None:
    ours, theirs = (str(keys[name].private) for name in ("ours", "theirs"))
    folder = parts.seal().written[0]
    assert "it is signed now" in parts.seal(sign_key=ours).title
    shutil.rmtree(folder)
    summary = parts.seal(sign_key=ours)
    assert f"files: signed by key {keys['ours'].fingerprint}" in summary.lines
    before = (folder / "model.sig").read_bytes()
    assert (
        json.loads(base64.b64decode(json.loads(before)["dsseEnvelope"]["payload"]))["subject"][0]["name"]
        == folder.name
    )
    assert "nothing was written" in parts.seal(sign_key=ours).title
    assert "nothing was written" in parts.seal().title
    assert (folder / "model.sig").read_bytes() == before
    with pytest.raises(InputError, match=r"is signed by key .* sign_release"):
        parts.seal(sign_key=theirs)
    with pytest.raises(InputError, match="no such file"):
        parts.seal(sign_key="absent.pem", replay=5)
    assert [path.name for path in (parts.root / "releases").iterdir()] == [folder.name]
    replaced = sign_release(release=folder, sign_key=theirs)
    assert replaced.lines == [f"in the place of the signature by key {keys['ours'].fingerprint}"]
    assert verified(folder, trust=keys["theirs"].public).ok


def test_nobody_signs_what_does_not_verify(release: Path, keys) -> None:
    change_json(release, "policies.json", "policies", 0, "bands", 1, "threshold", value=0.25)
    summary = sign_release(release=resealed(release), sign_key=str(keys["ours"].private))
    assert not summary.ok
    assert any("not those of the operating points" in line for line in summary.lines)
    assert not list(release.parent.glob("*/model.sig"))
