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
    match operation:
        case "v2_score":
            return Request("GET", f"/v2/stamps/1/score/{owner}", headers=key())
        case "internal_score":
            return Request("GET", f"/internal/score/v2/1/{owner}", headers=INTERNAL)
        case "embed_score":
            return Request("GET", f"/internal/embed/score/1/{owner}")
        case "embed_add_stamps":
            body = {"scorer_id": 1, "stamps": [entry(owner=owner)["stamp"]]}
            return Request("POST", f"/internal/embed/stamps/{owner}", body, INTERNAL)
        case "embed_validate_api_key":
            return Request("GET", "/internal/embed/validate-api-key", headers=key())
        case "embed_weights":
            return Request("GET", "/internal/embed/weights?community_id=1")
        case "cache_add_stamps":
            return Request("POST", "/ceramic-cache/stamps/bulk", [entry(owner=owner)], bearer(owner))
        case "cache_patch_stamps":
            return Request("PATCH", "/ceramic-cache/stamps/bulk", [entry(owner=owner)], bearer(owner))
        case "cache_delete_stamps":
            return Request("DELETE", "/ceramic-cache/stamps/bulk", [{"provider": "Google"}], bearer(owner))
        case "cache_get_score":
            return Request("GET", f"/ceramic-cache/score/{owner}", headers=bearer(owner))
        case "cache_calc_score":
            return Request("POST", f"/ceramic-cache/score/{owner}", {"alternate_scorer_id": 1}, bearer(owner))
        case "cache_get_stamps":
            return Request("GET", f"/ceramic-cache/stamp?address={owner}")
        case "cache_weights":
            return Request("GET", "/ceramic-cache/weights")
        case "check_bans":
            return Request("POST", "/internal/check-bans", [subject()], INTERNAL)
        case "check_revocations":
            return Request("POST", "/internal/check-revocations", {"proof_values": ["a", "b"]}, INTERNAL)
        case "allow_list":
            return Request("GET", f"/internal/allow-list/friends/{owner}", headers=INTERNAL)
        case "credential_definition":
            return Request("GET", "/internal/customization/credential/Custom", headers=INTERNAL)
        case "gtc_stake":
            return Request("GET", f"/internal/stake/gtc/{owner}", headers=INTERNAL)
        case "legacy_gtc_stake":
            return Request("GET", f"/internal/stake/legacy-gtc/{owner}/1", headers=INTERNAL)
        case "contributor_statistics":
            path = f"/internal/cgrants/contributor_statistics?address={owner}"
            return Request("GET", path, headers=INTERNAL)
    raise LookupError(operation)


GOOD_STATUS = {"cache_add_stamps": 201}
