"""``python -m load.people FILE NUMBER``: addresses with stamps signed by the demo issuer, one JSON object a line.

A process of its own: what signs needs threads, and locust's processes have greenlets in their place.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

from api.demo_issuer import Claim, sign_credentials

PROVIDERS = ("Google", "Github", "Discord", "Linkedin", "Ens", "NFT", "HolonymPhone", "CleanHands")


def write(file: Path, number: int) -> None:
    """New addresses at each call, so that every run begins with first scores."""
    owners = ["0x" + secrets.token_hex(20) for _ in range(number)]
    signed = iter(sign_credentials(Claim(owner, provider) for owner in owners for provider in PROVIDERS))
    with file.open("w") as lines:
        for owner in owners:
            stamps = [{"provider": provider, "stamp": next(signed)} for provider in PROVIDERS]
            lines.write(json.dumps({"address": owner, "stamps": stamps}) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
