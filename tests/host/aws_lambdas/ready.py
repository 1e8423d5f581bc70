"""What every one of these modules imports first: secrets into the environment, then Django.

`HOST_SECRETS` names a file of JSON that stands for the store of secrets.
"""

import json
import os
from pathlib import Path

if "HOST_SECRETS" in os.environ:
    os.environ.update(json.loads(Path(os.environ["HOST_SECRETS"]).read_text()))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.host.settings")

import django

django.setup()
