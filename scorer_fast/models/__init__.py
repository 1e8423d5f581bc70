"""This app's own tables; none has a foreign key to the host's."""

from .verified import VerifiedCredential

__all__ = ["VerifiedCredential"]
