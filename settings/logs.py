"""Log lines on standard error: plain for people, JSON for collectors."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

import orjson

# What every record carries; whatever else one has came through `extra`. Django hands its loggers the request
# itself, whose text repeats the query string.
_NOT_EXTRA = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "request"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the record's `extra`, and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _NOT_EXTRA}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except TypeError:  # a number beyond 64 bits, or text that is none
            return json.dumps(line, default=str)


def configuration(level: str, form: str) -> dict[str, Any]:
    """`LOGGING` for Django; `form` is json or plain."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": JsonFormatter},
            "plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        },
        "handlers": {"standard_error": {"class": "logging.StreamHandler", "formatter": form}},
        "root": {"handlers": ["standard_error"], "level": level},
        # Django's own handlers would write each line a second time.
        "loggers": {"django": {"handlers": [], "level": level, "propagate": True}},
    }
