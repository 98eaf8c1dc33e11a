"""What a thing was seen as, and since when: a history that no provider tells.

A list shows what a conversation or a template is, not when it became so. So whenever a row says
something else than it last did, a state is kept with the time of that look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pipelines.cursors import Page
from pipelines.provider import Row, Table
from pipelines.reading.landing import as_text
from pipelines.reading.pull import Pull

Told = tuple[str | None, ...]


def note_states(pull: Pull, table: Table, seen: Mapping[str, Row], seen_at: datetime) -> None:
    """Keep the state of each thing that was last seen in another.

    Args:
        pull: the pull that saw them.
        table: its columns are `id`, the thing's id, what a state is made of, and `observed_from`.
        seen: thing → what it was seen as, by the names of those columns.
        seen_at: when.
    """
    _, thing, *columns, _ = table.columns
    known = newest_states(pull, table, list(seen))
    since = seen_at.isoformat(timespec="microseconds")
    new = [
        {
            "id": f"{identity}|{since}",
            f"@{thing}": identity,
            **{f"@{name}": state.get(name) for name in columns},
            "@observed_from": since,
        }
        for identity, state in seen.items()
        if known.get(identity) != tuple(as_text(state.get(name)) for name in columns)
    ]
    for row in new:
        told = tuple(as_text(row[f"@{name}"]) for name in columns)
        pull.states[table.name][str(row[f"@{thing}"])] = told
    pull.keep(table, Page(new, None, seen_at))


def newest_states(pull: Pull, table: Table, things: Sequence[str]) -> Mapping[str, Told]:
    """Thing → the newest state it was seen in, in the order of the table's columns."""
    _, thing, *columns, observed_from = table.columns
    known = pull.states[table.name]
    asked = [identity for identity in things if identity not in known]
    rows = pull.stored.rows(table, (observed_from, thing, *columns), of=(thing, asked))
    # What was noted by a clock that was ahead is no news for ever.
    past = [row for row in rows if (row[0] or "") <= datetime.now(UTC).isoformat()]
    known |= {str(row[1]): row[2:] for row in sorted(past, key=lambda row: row[0] or "")}
    return {identity: known[identity] for identity in things if identity in known}
