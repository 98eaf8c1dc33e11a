"""The snapshots of a DuckDB file: copies, each under a name of its own, and a link to the newest.

DuckDB hands out its cached instance for a path that is still open: a name is never used twice.

A build changes a fiftieth of a large file, so a new snapshot is made of the oldest, which nobody is
pointed to: only what differs is written. A file system that lets files share blocks (XFS, Btrfs,
ZFS) writes nothing at all.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pipelines.disk import flush
from pipelines.failpoint import failpoint

CHUNK = 256 * 1024
"""Bytes that are compared and written at once: a block of DuckDB's."""

FICLONE = 0x40049409
"""Linux's request, of linux/fs.h, to let a file share the blocks of another."""


class Snapshots:
    """The snapshots of one data folder.

    Attributes:
        link: always names the newest.
        folder: holds the last two.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.link = data_dir / "analytics.duckdb"
        self.folder = data_dir / "published"

    def add(self, file: Path) -> Path:
        """Make a copy of a file the newest snapshot; return its path.

        A reader sees the old snapshot or the new one: the link changes in one step, after the
        copy is on disk.

        Raises:
            OSError: the copy could not be written; the old snapshot stays.
        """
        name = f"analytics-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.duckdb"
        target, partial = self.folder / name, self.folder / f"{name}.part"
        try:
            failpoint("publish.copy")
            self._make_alike(file, partial)
            failpoint("publish.copied")
            flush(partial)
            failpoint("publish.flushed")
            partial.rename(target)
            failpoint("publish.renamed")
            self._point_to(target)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        return target

    def _make_alike(self, file: Path, partial: Path) -> None:
        """Have a new file say what another says, in the way that writes least."""
        if _shares_blocks(file, partial):
            return
        if spare := self._spare():
            spare.replace(partial)  # from here on nobody finds it: it can't be opened any more
            if _is_unread(partial):
                _write_what_differs(file, partial)
                return
        partial.unlink()
        shutil.copyfile(file, partial)

    def _spare(self) -> Path | None:
        """The newest snapshot that readers are not pointed to."""
        read = self.link.resolve().name
        others = [path for path in self.folder.glob("analytics-*.duckdb") if path.name != read]
        return max(others, default=None)

    def forget_but(self, *kept: Path) -> None:
        """Remove every other snapshot."""
        names = {path.name for path in kept}  # the folder may have several
        for other in self.folder.glob("analytics-*.duckdb*"):
            if other.name not in names:
                other.unlink(missing_ok=True)

    def keep_only(self, newest: Path) -> None:
        """Remove every other file of the folder, whatever it is."""
        for old in self.folder.iterdir():
            if old != newest:
                old.unlink()

    def _point_to(self, target: Path) -> None:
        link = self._data_dir / f"{self.link.name}.new"
        link.unlink(missing_ok=True)
        link.symlink_to(target.relative_to(self._data_dir))
        failpoint("publish.linked")
        link.replace(self.link)
        failpoint("publish.pointed")
        flush(self._data_dir)


def _shares_blocks(source: Path, target: Path) -> bool:
    """Whether the file system lets a new file share the blocks of another."""
    with source.open("rb") as shared, target.open("wb") as new, suppress(OSError):
        fcntl.ioctl(new, FICLONE, shared.fileno())
        return True
    return False


def _is_unread(path: Path) -> bool:
    """Whether nobody has a file open, as far as can be told: only then Linux lets it be leased.

    The lease is given back at once. Should somebody open the file in between, this process gets a
    signal, which would end it if it were not one that is ignored.
    """
    with path.open("r+b") as file, suppress(AttributeError, OSError):  # macOS has no leases
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return os.fstat(file.fileno()).st_nlink == 1  # a backup may share it by another name
    return False


def _write_what_differs(source: Path, target: Path) -> None:
    """Make a file equal to another."""
    with source.open("rb") as read, target.open("r+b") as written:
        place = 0
        while chunk := read.read(CHUNK):
            if written.read(len(chunk)) != chunk:
                written.seek(place)
                written.write(chunk)
            place += len(chunk)
        written.truncate(place)
