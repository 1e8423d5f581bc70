"""Posted stamps that didkit is asked about while the scoring read is still under way.

What is read decides, as ever: which stamps are candidates, which signatures are remembered, and whether PostgreSQL
has the very credential that was asked about. Only then is an answer given ahead of it used. A signature that this
process has met is not asked about ahead of the read: it is remembered, nearly always.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from ..domain import bounds, credentials
from ..domain.credentials import Stamp, Valid
from . import context, verifier, verifier_local
from .plan import Rules
from .stamps import NewStamp

MET = 8192  # proof values a process keeps in mind: some 200 bytes each

_lock = threading.Lock()
_met: dict[str, None] = {}


class Ahead(NamedTuple):
    """The question under way: the credentials by the keys that the read gives posted stamps, and the answers to come.

    ``credentials``: as JSON whose names are in order, to be compared.
    """

    credentials: dict[int, bytes]
    answers: verifier_local.Question

    def covers(self, stamp: Valid) -> bool:
        """Whether the question is about this very credential: number for number as PostgreSQL wrote it."""
        asked = self.credentials.get(stamp.key)
        return asked is not None and stamp.text is not None and asked == _normal(stamp.text)

    def wait(self, timeout: float) -> dict[int, bool]:
        """The answers by key; VerifierDown when they take over ``timeout`` seconds from now."""
        return dict(zip(self.credentials, self.answers.wait(timeout), strict=True))


def ask(stamps: Sequence[NewStamp], *, address: str, rules: Rules, now: datetime) -> Ahead | None:
    """Ask about those of the posted stamps that everything but the signature speaks for; None where there is none."""
    if not stamps or not context.is_live() or not verifier.is_local():
        return None
    read = [
        _as_read(-place, stamp)
        for place, stamp in enumerate(stamps, start=1)
        if stamp.proof_value not in _met  # where that proof is another credential's, it is asked about after the read
    ]
    candidates = credentials.read_stamps(
        [stamp for stamp in read if stamp is not None],
        address=address,
        trusted_issuers=rules.trusted_issuers,
        now=now,
        multi=rules.multi_nullifier,
    ).candidates
    candidates = tuple(stamp for stamp in candidates if bounds.check(stamp.text or "") is None)
    if not candidates:
        return None
    answers = verifier_local.start([stamp.text or "" for stamp in candidates])
    return Ahead({stamp.key: _normal(stamp.text or "") for stamp in candidates}, answers)


def meet(texts: Iterable[str]) -> None:
    """Keep in mind the signatures of credentials that are good, or are remembered to be; as PostgreSQL writes them."""
    for text in texts:
        _, found, rest = text.partition('"proofValue": "')
        if found:
            with _lock:
                _met[rest.partition('"')[0]] = None
                if len(_met) > MET:
                    del _met[next(iter(_met))]


def _as_read(key: int, stamp: NewStamp) -> Stamp | None:
    """The posted stamp as the read would give it; None where it cannot be told without PostgreSQL."""
    credential = _loads(stamp.stamp)
    subject = credential.get("credentialSubject")
    if not isinstance(subject, dict):
        return None
    return Stamp(
        key=key,
        provider=stamp.provider,
        version=None,
        digest="",
        remembered=False,
        text=stamp.stamp,
        issuer=credential.get("issuer"),
        expiration_date=credential.get("expirationDate"),
        subject_id=subject.get("id"),
        subject_provider=subject.get("provider"),
        hash=subject.get("hash"),
        nullifiers=subject.get("nullifiers"),
    )


def _loads(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:  # a number beyond a double
        return {}
    return value if isinstance(value, dict) else {}


def _normal(text: str) -> bytes:
    return orjson.dumps(_loads(text), option=orjson.OPT_SORT_KEYS)
