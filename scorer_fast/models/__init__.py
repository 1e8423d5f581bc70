"""This app's own tables; none has a foreign key to the host's."""

from .flags import FlagLog, KillSwitch, Latch, OperationFlag
from .verified import VerifiedCredential

__all__ = ["FlagLog", "KillSwitch", "Latch", "OperationFlag", "VerifiedCredential"]
