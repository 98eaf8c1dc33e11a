"""Logs: one format for every command, on stderr, and JSON when asked.

Counts, names of resources and cursors; nothing of a customer. Text from outside can't break a line.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
QUIET = ("httpx", "httpcore", "aiohttp.access")
"""They would log addresses, and an alert's address is a secret."""


class Lines(logging.Formatter):
    """One line per record: what would start a new one or move the cursor is escaped."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        text = super().format(record)
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class JsonLines(logging.Formatter):
    """One JSON object per record: at, level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        """The object."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "at": at,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False)


def set_up(*, is_verbose: bool, as_json: bool) -> None:
    """Log to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else Lines())
    logging.basicConfig(
        handlers=[handler], level=logging.INFO if is_verbose else logging.WARNING, force=True
    )
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
