"""Named places where a test can make a run die or fail; free while no one asks for it.

DOBLECHECK_FAILPOINT=load.normalized=kill          dies there as from `kill -9`
DOBLECHECK_FAILPOINT=pull.page:3=raise             fails when it gets there the third time
DOBLECHECK_FAILPOINT=publish.copy=enospc           fails as a full disk does
DOBLECHECK_FAILPOINT=log.commit=eio                fails as a broken disk does
DOBLECHECK_FAILPOINT=transport.ask=sleep           stands still for a minute

`NAMES` lists every place, so that a test can try them all.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from dataclasses import dataclass

VARIABLE = "DOBLECHECK_FAILPOINT"
SLEEP_SECONDS = 60.0

NAMES: dict[str, str] = {
    "sync.begin": "before the raw tables are made",
    "sync.account": "before an account is read",
    "load.open": "before dlt's working directory is opened",
    "load.pending": "before what a killed run left is loaded",
    "load.extract": "before anything is asked",
    "transport.ask": "before a request",
    "transport.answered": "after an answer, before it is decoded",
    "pull.page": "before a page's rows are taken",
    "pull.taken": "after a page's rows are taken",
    "pull.position": "after a walk, before its position is noted",
    "pull.read": "after a resource is read, before its rows go to dlt",
    "pull.yielded": "after a resource's rows went to dlt",
    "load.extracted": "after all rows went to dlt's files",
    "load.normalize": "before dlt prepares a package",
    "load.normalized": "after dlt prepared a package",
    "load.loaded": "after a package is in the warehouse",
    "load.set_aside": "before a package that can't be loaded is moved",
    "load.moved": "after it was moved",
    "sync.positions": "after the load, before the positions are written",
    "sync.position": "between two positions",
    "sync.written": "after the positions are written",
    "sync.end": "after an account",
    "ingest.read": "before some deliveries are stored",
    "ingest.inserted": "after they are stored, before the position is",
    "ingest.stored": "after the transaction of both",
    "ingest.loaded": "after all are loaded, before the log hears of it",
    "ingest.end": "after the log heard of it",
    "hooks.forgotten": "after what an older reader understood is taken away",
    "hooks.understand": "before some deliveries are read",
    "hooks.understood": "after their events are in",
    "build.begin": "before the build",
    "build.prepared": "before the staging models",
    "build.staged": "after the staging models",
    "build.keyed": "after the phone keys",
    "build.clocked": "before the models",
    "build.tested": "after the models and their tests",
    "build.built": "after what was built counts as built",
    "publish.checkpoint": "before the writer's file is made whole",
    "publish.copy": "before the copy",
    "publish.copied": "after the copy, before it is on disk",
    "publish.flushed": "before the copy gets its name",
    "publish.renamed": "before the new link",
    "publish.linked": "after the new link, before it takes the old one's place",
    "publish.pointed": "after readers see the new snapshot",
    "publish.forget": "before old snapshots are removed",
    "publish.end": "after a publication",
    "receive.begin": "before a delivery's body is read",
    "receive.verified": "after its signature was right, before it is stored",
    "receive.stored": "after it is stored, before it is acknowledged",
    "receive.answered": "after it was answered",
    "log.begin": "in a commit of the delivery log, before its rows",
    "log.commit": "after its rows, before they are on disk",
    "log.committed": "after they are on disk",
}
"""Place → what it stands before or after."""


_FAILURES = {"enospc": errno.ENOSPC, "eio": errno.EIO}


class Injected(Exception):
    """The failure that a test asked for."""


@dataclass
class _Armed:
    name: str
    count: int
    action: str

    def reach(self, name: str) -> None:
        if name != self.name:
            return
        self.count -= 1
        if self.count == 0:
            _act(self.action)


def _act(action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action in _FAILURES:
        raise OSError(_FAILURES[action], os.strerror(_FAILURES[action]))
    elif action == "sleep":
        time.sleep(SLEEP_SECONDS)
    else:
        raise Injected


def _read(text: str) -> _Armed | None:
    place, _, action = text.partition("=")
    name, _, count = place.partition(":")
    return _Armed(name, int(count or 1), action) if name in NAMES else None


_armed = _read(os.environ.get(VARIABLE, ""))


def arm(text: str) -> None:
    """Arm one place as the environment variable does; an empty text disarms."""
    global _armed  # noqa: PLW0603 - one process, one failure
    _armed = _read(text)


def failpoint(name: str) -> None:
    """Do nothing, or what was asked for at this place."""
    if _armed is not None:
        _armed.reach(name)
