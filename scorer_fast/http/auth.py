"""The three ways a request says who it is. Failures are told apart by nothing but their problem."""

from __future__ import annotations

import hmac
from typing import NamedTuple

from django.http import HttpRequest
from ninja.security import APIKeyHeader, HttpBearer

from ..errors import Problem, Refused
from ..lookups.api_key_queries import ApiKeyRow
from ..lookups.api_keys import authenticate
from ..run import run_of
from ..settings import conf
from . import tokens


class ApiKeyAuth(APIKeyHeader):
    """``X-API-Key``; where it is absent or empty, the second word of ``Authorization``. ``request.auth`` is the key."""

    param_name = "X-API-Key"

    def __call__(self, request: HttpRequest) -> ApiKeyRow:
        return authenticate(run_of(request), given_api_key(request))

    def authenticate(self, request: HttpRequest, key: str | None) -> ApiKeyRow:
        return authenticate(run_of(request), key or "")


def key_of(request: HttpRequest) -> ApiKeyRow:
    """The API key an authenticated request came with."""
    key: ApiKeyRow = request.auth  # type: ignore[attr-defined]  # set by Ninja
    return key


def address_of(request: HttpRequest) -> str:
    """The address an authenticated request's token belongs to, lower-cased."""
    address: str = request.auth.address  # type: ignore[attr-defined]  # set by Ninja
    return address


def given_api_key(request: HttpRequest) -> str:
    """The API key of a request, good or not; empty without one."""
    # As the host reads it: a header that a test client sets as HTTP_X-API-KEY counts too.
    key: str = request.META.get("HTTP_X_API_KEY", "") or request.headers.get("X-API-Key", "")
    if not key:
        words = request.META.get("HTTP_AUTHORIZATION", "").split()
        key = words[1] if len(words) > 1 else ""
    return key


class InternalAuth(APIKeyHeader):
    """The ``Authorization`` header equals ``CGRANTS_API_TOKEN`` exactly; a setting turns the check off."""

    param_name = "Authorization"

    def __call__(self, request: HttpRequest) -> bool:
        return self.authenticate(request, request.META.get("HTTP_AUTHORIZATION", ""))

    def authenticate(self, request: HttpRequest, key: str | None) -> bool:
        if conf.check_internal_token:
            token = conf.internal_token
            if not token or not hmac.compare_digest((key or "").encode("utf-8", "replace"), token.encode()):
                raise Refused(Problem.UNAUTHORIZED)
        return True


class Token(NamedTuple):
    """A good access token: whose it is, lower-cased."""

    address: str


class TokenAuth(HttpBearer):
    """An access token of the host's (``http/tokens.py``). ``request.auth`` is the :class:`Token`."""

    def __call__(self, request: HttpRequest) -> Token:
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused(Problem.UNAUTHORIZED)
        return self.authenticate(request, token)

    def authenticate(self, request: HttpRequest, token: str) -> Token:
        return Token(tokens.authenticate(token))


api_key_auth = ApiKeyAuth()
internal_auth = InternalAuth()
token_auth = TokenAuth()
