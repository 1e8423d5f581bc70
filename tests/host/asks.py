"""Requests to the host: as data, and one that succeeds for each operation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpResponse
from django.test import Client

from api.demo_issuer import sign_credential
from tests.host import world


@dataclass(frozen=True)
class Ask:
    """One request; `body` is sent as JSON unless it is None."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def sent(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "path": self.path,
            "data": "" if self.body is None else json.dumps(self.body),
            "content_type": "application/json",
            "headers": self.headers,
        }

    def answer(self) -> HttpResponse:
        """What the current URLconf's own view answers, through all middleware."""
        return Client(raise_request_exception=False).generic(**self.sent())


def of_operation(operation: str, owner: str, kept: str, new: str) -> Ask:
    """A good request of `owner`, who keeps a stamp of the provider `kept` and has none of `new` yet."""
    key = {"X-API-Key": world.API_KEY}
    token = {"Authorization": f"Bearer {world.token(owner)}"}
    internal = {"Authorization": world.INTERNAL_TOKEN}
    entry = {"provider": new, "stamp": sign_credential(owner, new)}
    subject = {"hash": "h", "provider": kept, "id": f"did:pkh:eip155:1:{owner}"}
    embedded = {"scorer_id": 1, "stamps": [entry["stamp"]]}
    calculated = {"alternate_scorer_id": 1}
    statistics = f"/internal/cgrants/contributor_statistics?address={owner}"
    asks = {
        "v2_score": Ask("GET", f"/v2/stamps/1/score/{owner}", None, key),
        "internal_score": Ask("GET", f"/internal/score/v2/1/{owner}", None, internal),
        "embed_score": Ask("GET", f"/internal/embed/score/1/{owner}"),
        "embed_add_stamps": Ask("POST", f"/internal/embed/stamps/{owner}", embedded, internal),
        "embed_validate_api_key": Ask("GET", "/internal/embed/validate-api-key", None, key),
        "embed_weights": Ask("GET", "/internal/embed/weights?community_id=1"),
        "embed_config": Ask("GET", "/internal/embed/config?community_id=1"),
        "cache_add_stamps": Ask("POST", "/ceramic-cache/stamps/bulk", [entry], token),
        "cache_patch_stamps": Ask("PATCH", "/ceramic-cache/stamps/bulk", [entry, {"provider": "Absent"}], token),
        "cache_delete_stamps": Ask("DELETE", "/ceramic-cache/stamps/bulk", [{"provider": kept}], token),
        "cache_get_score": Ask("GET", f"/ceramic-cache/score/{owner}", None, token),
        "cache_calc_score": Ask("POST", f"/ceramic-cache/score/{owner}", calculated, token),
        "cache_get_stamps": Ask("GET", f"/ceramic-cache/stamp?address={owner}"),
        "cache_weights": Ask("GET", "/ceramic-cache/weights"),
        "check_bans": Ask("POST", "/internal/check-bans", [{"credentialSubject": subject}] * 20, internal),
        "check_revocations": Ask("POST", "/internal/check-revocations", {"proof_values": ["p"] * 20}, internal),
        "allow_list": Ask("GET", f"/internal/allow-list/some/{owner}", None, internal),
        "credential_definition": Ask("GET", "/internal/customization/credential/Custom", None, internal),
        "gtc_stake": Ask("GET", f"/internal/stake/gtc/{owner}", None, internal),
        "legacy_gtc_stake": Ask("GET", f"/internal/stake/legacy-gtc/{owner}/1", None, internal),
        "contributor_statistics": Ask("GET", statistics, None, internal),
    }
    return asks[operation]
