"""model.sig of a release: a Sigstore bundle over an in-toto statement that names every file with its digest.

Written and checked by the model-signing package, whose own command line checks a release as well. What is read here
is what a signature says of itself; `export.trust.trust_root` proves it.
"""

import base64
import binascii
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from data.errors import InputError
from data.files import atomic_file, existing_file
from data.policy import Strict, findings_of

SIGNATURE = "model.sig"
LARGEST_SIGNATURE = 2**23
SIGSTORE = "sigstore"
PASSWORD = "SETPOINT_SIGN_PASSWORD"
PREDICATE = "https://model_signing/signature/v1.0"

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Signature:
    """What model.sig says of itself.

    Attributes:
        kind: by a key, or by an identity that Sigstore's certificate names.
        signer: fingerprint of the key (SHA-256 of the public key in PEM), or the identity.
        files: SHA-256 of every file that is signed, by path.
    """

    kind: Literal["key", "sigstore"]
    signer: str
    files: dict[str, str]

    def __str__(self) -> str:
        return f"{'key' if self.kind == 'key' else 'Sigstore identity'} {self.signer}"


class _Part(Strict):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _KeyHint(_Part):
    hint: Hex


class _KeyMaterial(_Part):
    public_key: _KeyHint = Field(alias="publicKey")
    log_entries: list[str] = Field(alias="tlogEntries", max_length=0)


class _OneSignature(_Part):
    sig: str
    keyid: Literal[""]


class _Envelope(_Part):
    payload: str
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    signatures: list[_OneSignature] = Field(min_length=1, max_length=1)


class _KeyBundle(_Part):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"] = Field(alias="mediaType")
    material: _KeyMaterial = Field(alias="verificationMaterial")
    envelope: _Envelope = Field(alias="dsseEnvelope")


class _Resource(_Part):
    algorithm: Literal["sha256"]
    digest: Hex
    name: str


def sign_folder(folder: Path, sign_key: str) -> Signature:
    """Sign all files of a folder, and write `model.sig` into it, in the place of one that stands there.

    Args:
        folder: its name goes into the statement.
        sign_key: PEM file of a private elliptic-curve key, whose password, if any, stands in the environment as
            SETPOINT_SIGN_PASSWORD; or `sigstore`: the identity of whoever runs this, by the credentials of a CI job
            or a browser; `sigstore:FILE` with the trust configuration of a private Sigstore.

    Raises:
        InputError: no such key, not one that can sign, or Sigstore refuses.
    """
    from model_signing import hashing, signing  # noqa: PLC0415 (seconds to import)

    config = signing.Config().set_hashing_config(
        hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)
    )
    with tempfile.TemporaryDirectory() as elsewhere:  # a file beside the others would be signed with them
        written = Path(elsewhere) / SIGNATURE
        try:
            _with_signer(config, sign_key).sign(folder.resolve(), written)
        except InputError:
            raise
        except Exception as error:  # Sigstore and its network fail in ways of their own
            raise InputError(f"{sign_key}: cannot sign ({type(error).__name__}: {error})") from error
        with atomic_file(folder / SIGNATURE) as file:
            file.write_bytes(written.read_bytes())
    signature = read_signature(folder)
    assert signature is not None
    return signature


def is_by(signature: Signature, sign_key: str) -> bool:
    """Whether it is a signature that `sign_folder` makes with this key; any of Sigstore for `sigstore`."""
    if _is_sigstore(sign_key):
        return signature.kind == "sigstore"
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    try:
        key = serialization.load_pem_private_key(existing_file(sign_key).read_bytes(), _password())
    except (ValueError, TypeError) as error:
        raise _no_key(sign_key, error) from error
    return (signature.kind, signature.signer) == ("key", fingerprint(key.public_key()))


def fingerprint(key: Any) -> str:
    """Hex SHA-256 of a public key in PEM, as `openssl pkey -pubout | sha256sum` prints it."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def signature_line(signature: Signature | None) -> str:
    """What a terminal says of a release's files; who answers for its thresholds is said apart."""
    if signature is None:
        return "files: no signature (`setpoint sign_release` adds one, and so does sign_key= of seal)"
    return f"files: signed by {signature}"


def read_signature(folder: Path) -> Signature | None:
    """What model.sig says; None where there is none.

    Raises:
        InputError: it is not a signature of a whole release, or not written as model-signing writes it.
    """
    file = folder / SIGNATURE
    if not file.exists() and not file.is_symlink():
        return None
    if file.is_symlink() or not file.is_file() or file.stat().st_size > LARGEST_SIGNATURE:
        raise InputError(f"{file}: not a plain file of at most {LARGEST_SIGNATURE:,} bytes")
    try:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text)
        if "certificate" in content["verificationMaterial"]:
            envelope = content["dsseEnvelope"]
            certificate = _decoded(content["verificationMaterial"]["certificate"]["rawBytes"])
            return Signature("sigstore", _identity(certificate), _signed_files(_decoded(envelope["payload"])))
        bundle = _KeyBundle.model_validate(content)
        if json.dumps(content, separators=(",", ":")) != text:
            raise InputError(f"{file}: not written as the model-signing package writes it; it was changed")
        _decoded(bundle.envelope.signatures[0].sig)
        return Signature("key", bundle.material.public_key.hint, _signed_files(_decoded(bundle.envelope.payload)))
    except ValidationError as error:
        raise InputError(findings_of(file, error)) from error
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: not a signature of a release ({type(error).__name__}: {error})") from error


def coverage_problems(signature: Signature, digests: dict[str, str]) -> list[str]:
    """How the signed files differ from those of the folder, given with their SHA-256; [] if they do not."""
    problems = [f"{SIGNATURE}: signs {path}, which is not there" for path in sorted(signature.files.keys() - digests)]
    for path, digest in sorted(digests.items()):
        if path not in signature.files:
            problems.append(f"{SIGNATURE}: does not sign {path}")
        elif signature.files[path] != digest:
            problems.append(f"{SIGNATURE}: signs another {path}")
    return problems


def _with_signer(config: Any, sign_key: str) -> Any:
    if _is_sigstore(sign_key):
        trust_config = sign_key.partition(":")[2]
        return config.use_sigstore_signer(
            use_ambient_credentials=True, trust_config=existing_file(trust_config) if trust_config else None
        )
    file = existing_file(sign_key)
    try:
        return config.use_elliptic_key_signer(private_key=file, password=_password())
    except Exception as error:  # keys are refused in many ways, one of them a missing attribute
        raise _no_key(sign_key, error) from error


def _is_sigstore(sign_key: str) -> bool:
    return sign_key == SIGSTORE or sign_key.startswith(f"{SIGSTORE}:")


def _password() -> bytes | None:
    password = os.environ.get(PASSWORD)
    return password.encode() if password else None


def _no_key(file: str, error: Exception) -> InputError:
    if isinstance(error, TypeError):
        problem = "is not encrypted, and a password is set" if _password() else "is encrypted"
        return InputError(f"{file}: the key {problem}; its password is read from the environment, {PASSWORD}")
    curves = "P-256, P-384 or P-521"
    other = f", or {PASSWORD} is not its password" if _password() else ""
    return InputError(f"{file}: not a private key in PEM on the elliptic curve {curves}{other} ({error})")


def _decoded(text: str) -> bytes:
    try:
        decoded = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if base64.b64encode(decoded).decode() != text:
        raise ValueError("not the one way to write these bytes in base 64")
    return decoded


def _signed_files(payload: bytes) -> dict[str, str]:
    statement = json.loads(payload)
    predicate = statement["predicate"]
    if statement["predicateType"] != PREDICATE or predicate["serialization"]["method"] != "files":
        raise ValueError("the statement is not one of files")
    resources = [_Resource.model_validate(each) for each in predicate["resources"]]
    files = {resource.name: resource.digest for resource in resources}
    if len(files) != len(resources):
        raise ValueError("the statement names a file twice")
    return files


def _identity(certificate: bytes) -> str:
    """Whom a certificate of Sigstore names: a mail address or an URI."""
    from cryptography import x509  # noqa: PLC0415

    names = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return str(next(iter(names.value)).value)
