"""This app's own tables; none has a foreign key to the host's."""

from .experiment import GuardVerdict, HistogramBucket, Mismatch, MismatchSample, ShadowCount
from .flags import FlagLog, KillSwitch, Latch, OperationFlag
from .kept import KeptReading
from .rescore import RescoreBatch, RescoreFailure, RescoreRun
from .verified import VerifiedCredential

__all__ = [
    "FlagLog",
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
    "ShadowCount",
    "VerifiedCredential",
]
