"""This app's own tables; none has a foreign key to the host's."""

from .experiment import GuardEvidence, GuardVerdict, HistogramBucket, Mismatch, MismatchSample, ShadowCount
from .flags import FlagLog, KillSwitch, Latch, OperationFlag
from .kept import Generation, KeptReading, SettledReading
from .rescore import RescoreBatch, RescoreFailure, RescoreRun
from .verified import VerifiedCredential

__all__ = [
    "FlagLog",
    "Generation",
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
    "SettledReading",
    "ShadowCount",
    "VerifiedCredential",
]
