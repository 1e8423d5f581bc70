"""Log lines as collectors read them."""

import json
import logging
import sys

from django.test import RequestFactory

from settings.logs import JsonFormatter


def test_a_line_is_one_json_object_with_what_came_through_extra() -> None:
    logger = logging.getLogger("scorer_fast.request")
    record = logger.makeRecord(
        logger.name, logging.INFO, "file.py", 1, "scored %s", ("0xä",), None, extra={"status": 200, "at": {1}}
    )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "INFO",
        "logger": "scorer_fast.request",
        "message": "scored 0xä",
        "status": 200,
        "at": "{1}",
    }


def test_what_orjson_cannot_write_is_written_all_the_same() -> None:
    logger = logging.getLogger("scorer_fast")
    extra = {"beyond": 2**70, "alone": "\ud800"}
    record = logger.makeRecord(logger.name, logging.INFO, "file.py", 1, "text", (), None, extra=extra)
    line = JsonFormatter().format(record)
    line.encode()
    assert {name: json.loads(line)[name] for name in extra} == extra


def test_a_request_that_django_logs_is_left_out() -> None:
    """Its text is `<WSGIRequest: GET '/path?api_key=…'>`."""
    request = RequestFactory().get("/v2?api_key=secret-in-the-query")
    logger = logging.getLogger("django.request")
    extra = {"status_code": 500, "request": request}
    record = logger.makeRecord(logger.name, logging.ERROR, "file.py", 1, "Internal Server Error", (), None, extra=extra)
    line = JsonFormatter().format(record)
    assert "secret-in-the-query" not in line
    assert "request" not in json.loads(line)
    assert json.loads(line)["status_code"] == 500


def test_a_traceback_comes_along() -> None:
    try:
        raise ValueError("why")
    except ValueError:
        record = logging.LogRecord("name", logging.ERROR, "file.py", 1, "failed", None, sys.exc_info())
    found = json.loads(JsonFormatter().format(record))
    assert found["exception"].splitlines()[-1] == "ValueError: why"
