"""A trust root: whose signatures count here. A public key, or a folder of them, with Sigstore identities beside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from data.errors import InputError
from data.files import existing_file, read_json
from data.policy import Strict, findings_of
from export.trust.signature import SIGNATURE, Signature, fingerprint

IDENTITIES = "sigstore.json"
KEY_SUFFIXES = (".pem", ".pub")


class SigstoreIdentity(Strict):
    """Somebody whom an OpenID Connect issuer vouches for.

    Attributes:
        identity: mail address or URI in the certificate.
        issuer: URL of the issuer that it must come from.
        trust_config: file in the trust root with the certificates of a private Sigstore; None for the public one,
            whose certificates are fetched.
    """

    identity: str
    issuer: str
    trust_config: str | None = Field(default=None, pattern=r"^[^/\\]+$")


class _Identities(Strict):
    identities: list[SigstoreIdentity] = Field(min_length=1)


@dataclass(frozen=True)
class TrustRoot:
    """Whose signatures count.

    Attributes:
        path: where it stands.
        keys: file of each public key, by fingerprint.
        identities: of Sigstore.
    """

    path: Path
    keys: dict[str, Path]
    identities: tuple[SigstoreIdentity, ...]


def read_trust_root(path: Path) -> TrustRoot:
    """Read a public key in PEM, or a folder with *.pem and *.pub, and sigstore.json if Sigstore identities count.

    Raises:
        InputError: nothing is there, nothing in it can be trusted, or a file is not a public key.
    """
    if not path.is_dir():
        return TrustRoot(path, {_fingerprint(existing_file(path)): path}, ())
    keys = {_fingerprint(file): file for file in sorted(path.iterdir()) if file.suffix in KEY_SUFFIXES}
    identities: tuple[SigstoreIdentity, ...] = ()
    if (path / IDENTITIES).exists():
        try:
            identities = tuple(_Identities.model_validate(read_json(path / IDENTITIES)).identities)
        except ValidationError as error:
            raise InputError(findings_of(path / IDENTITIES, error)) from error
    if not keys and not identities:
        raise InputError(f"{path}: a trust root holds public keys (*.pem, *.pub) or {IDENTITIES}; found neither")
    return TrustRoot(path, keys, identities)


def trust_problems(folder: Path, signature: Signature | None, trust: TrustRoot) -> list[str]:
    """Why a release, whose bytes are those of its manifest, is not to be trusted; [] if it is."""
    if signature is None:
        return [f"the files have no signature, and only what {trust.path} vouches for is to be served"]
    try:
        verifiers = _verifiers(signature, trust)
    except Exception as error:  # Sigstore may need a network, and says so in ways of its own
        return [f"{SIGNATURE}: cannot be checked ({type(error).__name__}: {error})"]
    if not verifiers:
        return [f"{SIGNATURE}: signed by {signature}, not named in {trust.path}"]
    failures = []
    for verifier in verifiers:
        try:
            verifier.verify(folder.resolve(), folder / SIGNATURE)
        except Exception as error:  # each library below says in its own way that a signature is wrong
            reason = f"{type(error).__name__}: {error}".removesuffix(": ")
            failures.append(f"{SIGNATURE}: not a signature of this release by {signature} ({reason})")
        else:
            return []
    return failures[:1]


def _verifiers(signature: Signature, trust: TrustRoot) -> list[Any]:
    from model_signing import verifying  # noqa: PLC0415 (seconds to import)

    if signature.kind == "key":
        key = trust.keys.get(signature.signer)
        return [verifying.Config().use_elliptic_key_verifier(public_key=key)] if key else []
    return [
        verifying.Config().use_sigstore_verifier(
            identity=each.identity,
            oidc_issuer=each.issuer,
            trust_config=trust.path / each.trust_config if each.trust_config else None,
        )
        for each in trust.identities
        if each.identity == signature.signer
    ]


def _fingerprint(file: Path) -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    content = file.read_bytes()
    if b"PRIVATE KEY" in content:
        raise InputError(f"{file}: a private key; a trust root takes public ones (openssl pkey -in KEY -pubout)")
    try:
        key = serialization.load_pem_public_key(content)
    except Exception as error:  # the library raises several
        raise InputError(f"{file}: not a public key in PEM ({error})") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise InputError(f"{file}: not a key on an elliptic curve, as signatures of releases are made with")
    return fingerprint(key)
