"""One good request to each operation, and how to send it."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from django.http import HttpResponse
from django.test import Client

from api.demo_issuer import sign_credential
from tests.factories.rows import API_KEY, INTERNAL_TOKEN, OWNER
from tests.host import world

JSON = "application/json"


@dataclass(frozen=True)
class Request:
    """What is sent; ``raw`` goes before ``body``."""

    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None

    def with_(self, **changes: Any) -> "Request":
        return replace(self, **changes)

    def header(self, name: str, value: str | None) -> "Request":
        """The same request with a header set, or without it."""
        headers = {key: given for key, given in self.headers.items() if key.lower() != name.lower()}
        return replace(self, headers=headers if value is None else headers | {name: value})

    def send(self, client: Client | None = None) -> HttpResponse:
        """Through Django's middleware and URLs; an exception that nobody answers is raised."""
        content = self.raw if self.raw is not None else b"" if self.body is None else json.dumps(self.body)
        client = client or Client()
        return client.generic(self.method, self.path, content, content_type=JSON, headers=self.headers)


def bearer(owner: str = OWNER) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.token(owner)}"}


def key(value: str = API_KEY) -> dict[str, str]:
    return {"X-API-Key": value}


INTERNAL = {"Authorization": INTERNAL_TOKEN}


def entry(provider: str = "Google", owner: str = OWNER, **claim: Any) -> dict[str, Any]:
    """A payload's entry with a signed stamp."""
    return {"provider": provider, "stamp": sign_credential(owner, provider, **claim)}


def subject(**fields: Any) -> dict[str, Any]:
    """One credential as check_bans is asked about it."""
    given = {"hash": "v0.0.0:h", "provider": "Google", "id": f"did:pkh:eip155:1:{OWNER}"}
    return {"credentialSubject": given | fields}


def good(operation: str, owner: str = OWNER) -> Request:
    """A request that the operation answers with its 2xx, given community 1, its key, and one stamp to delete."""
    from tests.factories.operations import TABLE

    return TABLE[operation].good(owner)


GOOD_STATUS = {"cache_add_stamps": 201}
