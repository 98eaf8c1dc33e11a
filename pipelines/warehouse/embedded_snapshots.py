"""The snapshots of a DuckDB file: copies, each under a name of its own, and a link to the newest.

DuckDB hands out its cached instance for a path that is still open: a name is never used twice.
"""

from __future__ import annotations

import errno
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from pipelines.failpoint import failpoint

MOST_AT_ONCE = 1024**3  # bytes

NOT_BY_THE_KERNEL = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF}
"""What some file systems answer when the kernel is asked to copy a file."""


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
            _copy(file, partial)
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


def _copy(source: Path, target: Path) -> None:
    """Copy a file. A file system that lets files share blocks (XFS, Btrfs) copies nothing."""
    with source.open("rb") as read, target.open("wb") as written:
        try:
            while os.copy_file_range(read.fileno(), written.fileno(), MOST_AT_ONCE):
                pass
        except (AttributeError, OSError) as error:  # macOS does not have it
            if getattr(error, "errno", errno.ENOSYS) not in NOT_BY_THE_KERNEL:
                raise
            read.seek(0)
            written.seek(0)
            shutil.copyfileobj(read, written, 1024 * 1024)


def flush(path: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
