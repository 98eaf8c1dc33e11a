"""Small threads that hypothesis thinks of, packed by the hundreds: one build costs seconds."""

from __future__ import annotations

from collections.abc import Sequence

from histories import EDGES, GAPS, STARTS, Step, Thread, thread
from history_kinds import KINDS
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

Script = tuple[int, Sequence[Step]]

steps = st.builds(Step, gap=st.sampled_from(GAPS + EDGES), kind=st.sampled_from(sorted(KINDS)))
scripts = st.tuples(st.sampled_from(STARTS), st.lists(steps, min_size=1, max_size=7))


def pack(first_seed: int, threads: int) -> list[Thread]:
    """So many different small threads, each on a channel and with a person of its own."""
    found: list[Script] = []

    @seed(first_seed)
    @settings(
        max_examples=threads,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # nothing fails here: the whole pack is judged after one build
        suppress_health_check=list(HealthCheck),
    )
    @given(scripts)
    def collect(script: Script) -> None:
        found.append(script)

    collect()
    return [thread(number, start, script) for number, (start, script) in enumerate(found)]
