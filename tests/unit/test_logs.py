"""One line per record, in words or in JSON."""

from __future__ import annotations

import json
import logging

import pytest

from pipelines.logs import JsonLines, Lines

HOSTILE = "a name\nERROR forged\x1b[31m \u2028 ñ"


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord(
        "pipelines.reading.pull", logging.INFO, "", 0, "read %s", (message,), None
    )


@pytest.mark.parametrize("formatter", [Lines(), JsonLines()])
def test_text_from_outside_stays_on_its_line(formatter: logging.Formatter) -> None:
    line = formatter.format(record(HOSTILE))
    assert len(line.split("\n")) == 1
    assert "\x1b" not in line
    assert "ñ" in line


def test_a_json_line_says_when_where_and_what() -> None:
    told = json.loads(JsonLines().format(record("12 rows")))
    assert (told["level"], told["logger"], told["message"]) == (
        "info",
        "pipelines.reading.pull",
        "read 12 rows",
    )
    assert told["at"].endswith("+00:00")


def test_an_error_is_named_and_its_words_are_not_shown() -> None:
    failed = record("a page")
    failed.exc_info = (ValueError, ValueError("+54 9 11 5555 1234"), None)
    line = JsonLines().format(failed)
    assert json.loads(line)["error"] == "ValueError"
    assert "5555" not in line
