"""This app's own tables; none has a foreign key to the host's."""

from .console import Console
from .experiment import GuardEvidence, GuardVerdict, HistogramBucket, Mismatch, MismatchSample, ShadowCount
from .flags import FlagLog, KillSwitch, Latch, OperationFlag
from .kept import KeptReading
from .rescore import RescoreBatch, RescoreFailure, RescoreRun
from .rollout import Rollout
from .verified import VerifiedCredential

__all__ = [
    "Console",
    "FlagLog",
    "GuardEvidence",
    "GuardVerdict",
    "HistogramBucket",
    "KeptReading",
    "KillSwitch",
    "Latch",
    "Mismatch",
    "MismatchSample",
    "OperationFlag",
    "RescoreBatch",
    "RescoreFailure",
    "RescoreRun",
    "Rollout",
    "ShadowCount",
    "VerifiedCredential",
]
