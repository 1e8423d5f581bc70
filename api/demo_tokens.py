"""Access tokens of the demo, signed by RS256 with a key of this checkout's own: `python -m api.demo_tokens` makes it.

The key opens nothing but local servers, whose settings read its public half from the same file.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

KEY_FILE = Path(__file__).resolve().parent.parent / ".demo" / "token-key.pem"
ISSUER = "passport-scorer"


def make_key(file: Path) -> None:
    """A new key in `file`, readable by its owner alone, unless there is one."""
    if _read(file) is not None:
        return
    key = generate_private_key(public_exponent=65537, key_size=2048)
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(f".{os.getpid()}")
    new.touch(mode=0o600)
    new.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    new.replace(file)


def public_key(file: Path) -> str:
    """The PEM text that a server checks tokens with; empty where there is no key."""
    key = _read(file)
    if key is None:
        return ""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def access_token(file: Path, address: str) -> str:
    """A day's access token for the address, as the host's sign-in would give it."""
    key = _read(file)
    if key is None:
        raise FileNotFoundError(file)
    now = datetime.now(UTC)
    claims = {"iss": ISSUER, "iat": now, "exp": now + timedelta(days=1), "did": f"did:pkh:eip155:1:{address}"}
    return jwt.encode(claims, key, algorithm="RS256")


def _read(file: Path) -> RSAPrivateKey | None:
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError):
        return None
    return key if isinstance(key, RSAPrivateKey) else None


if __name__ == "__main__":
    make_key(KEY_FILE)
