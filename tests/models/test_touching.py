"""Which model may note what has to be recomputed, and when, as the whole project says it.

A model deletes the rows of touched things and adds them anew. If another one notes more of the same
kind in between, PostgreSQL adds rows that were not deleted: so no two such models may ever run side
by side. One has to come after the other, whichever.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from pipelines.building import dbt_runner

NOTED = (
    re.compile(r"note\('\w+', \[(.+?)\]\)"),
    re.compile(r"\btouch\((\'\w+\'),"),
    re.compile(r"touch_renewed\((\'\w+\'),"),
)
INSERTED = re.compile(r"^ +select distinct\s+('\w+'),$", re.MULTILINE)
MACRO = re.compile(r"\{\{ (touch_\w+)\(\) \}\}")
READ = (
    re.compile(r"(?:where_)?touched(?:_raw)?\('(\w+)'"),
    re.compile(r"forget\('\w+', '(\w+)'\)"),
)


@pytest.fixture(scope="module")
def project(warehouse: Any) -> Any:
    """dbt's manifest: models by name, and the macros."""
    warehouse.build()
    return next(reversed(dbt_runner._manifests.values()))


def hooks(node: Any, project: Any) -> str:
    """What a model's hooks say, and the macros that they call."""
    said = "".join(hook.sql for hook in (*node.config.pre_hook, *node.config.post_hook))
    called = (project.macros[f"macro.doblecheck.{name}"] for name in MACRO.findall(said))
    return said + "".join(macro.macro_sql for macro in called)


def noted(node: Any, project: Any) -> set[str]:
    """The kinds of things that a model notes."""
    said = hooks(node, project)
    found = [text for each in (*NOTED, INSERTED) for text in each.findall(said)]
    return {kind for text in found for kind in re.findall(r"'(\w+)'", text)}


def replaced(node: Any, project: Any) -> set[str]:
    """The kinds of things whose rows a model makes anew."""
    said = node.raw_code + hooks(node, project)
    return {kind for each in READ for kind in each.findall(said)}


def models(project: Any) -> dict[str, Any]:
    return {i: n for i, n in project.nodes.items() if n.resource_type == "model"}


def ancestors(project: Any) -> dict[str, set[str]]:
    """Model → all that are made before it."""
    found: dict[str, set[str]] = {}

    def of(model: str) -> set[str]:
        if model not in found:
            parents = [i for i in nodes[model].depends_on.nodes if i in nodes]
            found[model] = {*parents}.union(*map(of, parents))
        return found[model]

    nodes = models(project)
    for model in nodes:
        of(model)
    return found


def test_nobody_notes_what_a_model_beside_it_makes_anew(project: Any) -> None:
    nodes, before = models(project), ancestors(project)
    writers = {i: kinds for i, n in nodes.items() if (kinds := noted(n, project))}
    readers = {i: kinds for i, n in nodes.items() if (kinds := replaced(n, project))}
    assert len(writers) > 8
    assert len(readers) > 15
    side_by_side = {
        (writer.rpartition(".")[2], reader.rpartition(".")[2], kind)
        for writer, reader in itertools.product(writers, readers)
        for kind in writers[writer] & readers[reader]
        if writer != reader and writer not in before[reader] and reader not in before[writer]
    }
    assert side_by_side == set()


def test_tests_of_what_is_new_look_for_threads_among_threads(project: Any) -> None:
    """A generic test that looks for threads among keys of another kind finds none, and passes."""
    told = {n.name: n.config.meta.get("threads", "thread_key") for n in models(project).values()}
    kept_by_thread = re.compile(r"by\('thread_key', kind='(\w+)'")
    of_their_own = {
        node.name: kinds[1]
        for node in models(project).values()
        if (kinds := kept_by_thread.search(node.raw_code))
    }
    assert of_their_own.keys() == {"fct_messages", "fct_template_sends"}
    assert {name: kind for name, kind in told.items() if kind != "thread_key"} == of_their_own
    assert all(set(node.config.meta) <= {"threads"} for node in models(project).values())
