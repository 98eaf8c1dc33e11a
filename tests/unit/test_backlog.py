"""What moved and is not read: a run forgets none of it, however little it names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.reading.backlog import Backlog, Moved

NAMED, ENOUGH = 8, 2

times = st.none() | st.sampled_from("abcdef")
news = st.lists(st.tuples(st.integers(0, 30), times), max_size=12)


@given(st.lists(news, min_size=1, max_size=4), st.integers(1, 5))
def test_whatever_moves_is_read_in_its_newest_state_before_a_run_knows_of_nothing_left(
    arrivals: list[list[tuple[int, str | None]]], read_per_pull: int
) -> None:
    backlog = Backlog()
    stored: dict[str, Moved] = {}  # what moved and is not read, as a warehouse would find it
    coming = list(arrivals)
    asked = pulls = left = 0
    while coming or left:
        came = coming.pop(0) if coming else []
        if backlog.is_short(ENOUGH):
            ranked = sorted(stored.values(), key=lambda t: t.last_at or "", reverse=True)
            backlog.fill(ranked[:NAMED], len(ranked[NAMED:]))
            asked += 1
        for number, last_at in came:
            thing = Moved(str(number), last_at, f"mark of pull {pulls}")
            stored[thing.id] = thing
            backlog.add(thing)
        handed, more = backlog.newest(max(ENOUGH, read_per_pull), named=NAMED)
        assert len(handed) + more >= len(stored)
        for thing in handed:
            backlog.drop(thing.id, "an older mark")  # says nothing of what it is now
        read = handed[:read_per_pull]
        for thing in read:
            assert stored.pop(thing.id) == thing
            backlog.drop(thing.id, thing.mark)
        left = len(handed) - len(read) + more
        pulls += 1
        assert pulls < 200
    assert not stored
    if len({number for came in arrivals for number, _ in came}) <= NAMED:
        assert asked == 1  # all could be named, so nobody had to look again


def test_the_newest_come_first_and_what_tells_no_time_last() -> None:
    backlog = Backlog()
    backlog.fill([Moved("old", "1", ""), Moved("none", None, ""), Moved("new", "2", "")], 0)
    assert [thing.id for thing in backlog.newest(2, named=3)[0]] == ["new", "old"]
    assert backlog.newest(2, named=3)[1] == 1
