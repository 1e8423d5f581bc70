"""Who asks: an API key, the internal token, or an access token of a signed-in address."""

import hashlib
import hmac
from typing import Any

import jwt
from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import HttpBearer

from api.account.models import AccountAPIKey
from tests.host.addresses import is_address


def sha256(key: str) -> str:
    return "sha256$" + hashlib.sha256(key.encode()).hexdigest()


class ApiKey:
    """`X-API-Key`, else the second word of `Authorization`. Expired keys are let in; revoked ones only
    where `revoked` says so."""

    def __init__(self, *, revoked: bool = False) -> None:
        self.revoked = revoked

    def __call__(self, request: HttpRequest) -> AccountAPIKey:
        key = self._key(request)
        found = AccountAPIKey.objects.filter(prefix=key.partition(".")[0]).first()
        if found is None or (found.revoked and not self.revoked) or not self._verify(found, key):
            raise HttpError(401, "Invalid API Key.")
        return found

    def _key(self, request: HttpRequest) -> str:
        key = request.headers.get("X-API-Key")
        if not key:
            words = request.headers.get("Authorization", "").split()
            key = words[1] if len(words) > 1 else ""
        return settings.DEMO_API_KEY if key in settings.DEMO_API_KEY_ALIASES else key

    def _verify(self, found: AccountAPIKey, key: str) -> bool:
        if found.hashed_key_sha256:
            return hmac.compare_digest(found.hashed_key_sha256, sha256(key))
        if found.hashed_key.startswith("sha256$"):
            return hmac.compare_digest(found.hashed_key, sha256(key))
        if not check_password(key, found.hashed_key):
            return False
        found.hashed_key_sha256 = sha256(key)
        found.save(update_fields=["hashed_key_sha256"])
        return True


def internal(request: HttpRequest) -> bool:
    """The `Authorization` header is `CGRANTS_API_TOKEN`; an empty token refuses all."""
    token = settings.CGRANTS_API_TOKEN
    return bool(token) and hmac.compare_digest(request.headers.get("Authorization", "").encode(), token.encode())


class AccessToken(HttpBearer):
    """The token's address, lower-cased: one signed by RS256 for the public key, else one signed by HS256.

    A token without `did` ends in a 500, and so does one signed by HS256 whose address is none.
    """

    def authenticate(self, request: HttpRequest, token: str) -> str:
        signed_in = self._of_sign_in(token)
        claims = signed_in or self._of_session(token)
        address: str = claims["did"].split(":")[-1].lower()
        if not signed_in and not is_address(address):
            raise ValueError(f"the token's address is none: {address}")
        return address

    def _of_sign_in(self, token: str) -> dict[str, Any] | None:
        if not settings.SIWE_JWT_PUBLIC_KEY:
            return None
        try:
            return jwt.decode(token, settings.SIWE_JWT_PUBLIC_KEY, algorithms=["RS256"], issuer="passport-scorer")
        except jwt.PyJWTError:
            return None

    def _of_session(self, token: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(token, self._signing_key(), algorithms=["HS256"], options={"require": ["exp", "jti"]})
        except jwt.InvalidTokenError as error:
            raise HttpError(401, "Token is invalid or expired") from error
        if claims.get("token_type") != "access":
            raise HttpError(401, "Token has wrong type")
        return claims

    def _signing_key(self) -> Any:
        return (getattr(settings, "NINJA_JWT", None) or {}).get("SIGNING_KEY") or settings.SECRET_KEY
