"""dlt's part of a sync: rows go to files of a working directory, and from there to the warehouse.

Nothing in that directory is needed. Positions are written only after a load, so whatever it holds
can be read again: a package that can't be loaded, or files that a crash tore, are set aside, and
the same run reads on. They are kept, for whoever wants to know why.

    <data_dir>/dlt/pipelines/<room>_<account>/    packages on their way; a dot is written `~`
    <data_dir>/dlt/set_aside/<load id>/           what could not be loaded
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import (
    DiskFull,
    DoblecheckError,
    WarehouseAway,
    WarehouseBusy,
    WarehouseError,
)
from pipelines.failpoint import failpoint
from pipelines.provider import Provider
from pipelines.warehouse import Warehouse

if TYPE_CHECKING:
    from dlt import Pipeline
    from dlt.extract import DltSource

log = logging.getLogger(__name__)

_LOAD_ID = re.compile(r"[0-9]{9,11}([.][0-9]+)?")
"""A package's name, as dlt gives it: when it was made, in seconds since 1970."""

writing = threading.RLock()
"""Held while an account is written: accounts are read side by side, but those of one room go
through the same staging tables of dlt, and one would empty them under the other."""


class Loader:
    """One account's way into the warehouse.

    Attributes:
        problems: what was set aside, and why.
    """

    def __init__(self, warehouse: Warehouse, room: Provider, account: str) -> None:
        self._warehouse, self._room, self._account = warehouse, room, account
        self._home = warehouse.data_dir / "dlt"
        self._folder = self._home / "pipelines" / _pipeline_name(room.name, account)
        self.problems: list[WarehouseError] = []
        self._pipeline = self._opened()

    def finish_pending(self, read_at: datetime | None = None) -> None:
        """Load what a killed run had read. What can't be loaded is set aside; what was in the
        middle of it is dropped, and read again.

        Args:
            read_at: when the account was last read, as the warehouse knows. What is older is
                dropped too: another machine went on since, and its rows are newer.

        Raises:
            DiskFull, WarehouseAway, WarehouseBusy: it can be loaded later; it stays where it is.
        """
        failpoint("load.pending")
        if self._is_half_loaded() or self._is_overtaken(read_at):
            # Loading what is half there would double the rows that are in dlt's staging tables
            # already: an upsert inserts both. Nothing is wrong with either, so nobody needs it.
            shutil.rmtree(self._folder)
            self._pipeline = self._make()
        try:
            self._load()
        except (DiskFull, WarehouseAway, WarehouseBusy):
            raise
        except WarehouseError as error:
            self._start_anew(error)

    def extract(self, source: DltSource) -> None:
        """Read a source into files.

        Raises:
            DoblecheckError: it could not be read.
        """
        merge: Any = {
            "disposition": "merge",
            "strategy": self._warehouse.merge_strategy,
            "deduplicated": True,  # a pull has one row per id
        }
        for resource in source.resources.values():
            resource.apply_hints(write_disposition=merge)
        with self._explained("reading"):
            failpoint("load.extract")
            self._pipeline.extract(source, loader_file_format=self._warehouse.load_format)
        failpoint("load.extracted")

    def load(self) -> None:
        """Load what was read.

        Raises:
            WarehouseError: it could not be loaded; then it is set aside, so that no later run
                stumbles over it, unless time may help.
        """
        try:
            self._load()
        except (DiskFull, WarehouseAway, WarehouseBusy):
            raise
        except WarehouseError as error:
            self._start_anew(error)
            raise

    def _is_half_loaded(self) -> bool:
        """Whether a run was killed while it loaded: dlt writes this file when it begins to."""
        return any(self._folder.glob("load/normalized/*/applied_schema_updates.json"))

    def _is_overtaken(self, read_at: datetime | None) -> bool:
        """Whether what is on its way was read before the account was last read."""
        if read_at is None:
            return False
        made = [_time_of(load_id) for load_id in self._waiting() if _LOAD_ID.fullmatch(load_id)]
        return bool(made) and min(made) < read_at

    def _load(self) -> None:
        with writing, self._explained("loading"):
            while self._pipeline.has_pending_data:
                failpoint("load.normalize")
                self._pipeline.normalize()
                failpoint("load.normalized")
                self._pipeline.load(raise_on_failed_jobs=True)
                failpoint("load.loaded")
        self._forget_loaded()

    def _forget_loaded(self) -> None:
        """Remove what dlt keeps of every package that it ever loaded: a schema, 80 KB each, which
        come to gigabytes in a year."""
        for package in self._folder.glob("load/loaded/*"):
            shutil.rmtree(package, ignore_errors=True)  # what stays is removed the next time

    def _opened(self) -> Pipeline:
        failpoint("load.open")
        try:
            pipeline = self._make()
            _look_through(pipeline)
        except Exception as error:  # noqa: BLE001 - torn files fail in every way
            explained = self._warehouse.explain(error)
            if explained:
                raise explained from None
            self._set_aside(_torn(error))
            return self._make()
        return pipeline

    def _start_anew(self, error: WarehouseError) -> None:
        self._set_aside(error)
        self._pipeline = self._make()

    def _set_aside(self, error: WarehouseError) -> None:
        """Move the working directory away, whole: packages, and the schema they were made with."""
        if not self._folder.exists():
            return
        failpoint("load.set_aside")
        place = _free(self._home / "set_aside" / self._load_id())
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.rename(place)
        failpoint("load.moved")
        self.problems.append(
            WarehouseError(
                f"{error}; what was on its way is set aside in {place.name} and read again",
                hint=f"nothing is lost; to look into it: {place}",
            )
        )

    def _load_id(self) -> str:
        """The id of the package on its way; the time, which dlt's ids are, when there is none."""
        return next(iter(self._waiting()), str(time.time()))

    def _waiting(self) -> list[str]:
        """The ids of the packages on their way, those that have come furthest first."""
        steps = ("load/normalized", "normalize/extracted")
        return [p.name for step in steps for p in sorted(self._folder.glob(f"{step}/*"))]

    def _make(self) -> Pipeline:
        """The dlt pipeline, with every setting given, in a folder of ours: dlt would take the
        current one and the user's home."""
        os.environ["DLT_PROJECT_DIR"] = os.environ["DLT_DATA_DIR"] = str(self._home)
        with _unimported("streamlit", "pandas", "sqlalchemy", "numpy", "chardet"):
            return self._configured()

    def _configured(self) -> Pipeline:
        import dlt  # slow to import
        import pyarrow as pa
        import pyarrow.compute  # here, where there is no numpy: dlt does it later

        from pipelines.loading.dlt_context import settle

        # Arrow's own allocator keeps a hundred megabytes of what it once held.
        pa.set_memory_pool(pa.system_memory_pool())
        _return_memory()
        # Decoded rows are many objects and no garbage: looking for some took an eighth of the CPU.
        gc.set_threshold(20_000)
        pa.array([])  # the first array looks for pandas, and remembers that there is none
        settle()
        return dlt.pipeline(
            pipeline_name=self._folder.name,
            pipelines_dir=str(self._folder.parent),
            destination=self._warehouse.dlt_destination(),
            dataset_name=self._room.schema,
        )

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Turn dlt's errors into ours: their messages may quote rows."""
        try:
            yield
        except DoblecheckError:
            raise
        except Exception as error:  # noqa: BLE001 - dlt lets more than its own errors through
            causes = list(_causes(error))
            ours = [cause for cause in causes if isinstance(cause, DoblecheckError)]
            ours += [told for cause in causes if (told := self._warehouse.explain(cause))]
            if ours:
                raise ours[0] from None
            if any(map(self._warehouse.lacked_memory, causes)):
                self._warehouse.give_more_memory()
                raise _needs_memory() from None
            raise _unexplained(doing, error, causes[-1]) from None


@contextmanager
def _unimported(*names: str) -> Iterator[None]:
    """Keep modules out that are imported when they are installed: Streamlit by dlt, to look for
    secrets there, pandas and numpy by Arrow, to see whether a list is one of theirs, chardet by
    requests, which has another of its kind. Together they take 100 MB and a second."""
    absent = _Absent(names)
    sys.meta_path.insert(0, absent)
    try:
        yield
    finally:
        sys.meta_path.remove(absent)


def _return_memory() -> None:
    """Have glibc return every freed piece of 128 KiB to the system. By itself it takes ever larger
    pieces for small, and keeps them: memory would grow with the messages that were ever read."""
    mmap_threshold = -3  # its number in malloc.h
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(mmap_threshold, 128 * 1024)


class _Absent(MetaPathFinder):
    """Finds that some modules are not there."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname in self._names:
            raise ModuleNotFoundError(name=fullname)


def _pipeline_name(room: str, account: str) -> str:
    """A name that dlt takes: it refuses a dot. No account's own name has a `~`."""
    return f"{room}_{account}".replace(".", "~")


def _look_through(pipeline: Pipeline) -> None:
    """Read what dlt would read later, when it is too late to begin without it."""
    _ = pipeline.state, pipeline.has_pending_data
    for name in pipeline.schema_names:
        _ = pipeline.schemas[name]


def _time_of(load_id: str) -> datetime:
    """When a package was made."""
    return datetime.fromtimestamp(float(load_id), UTC)


def _torn(error: BaseException) -> WarehouseError:
    return WarehouseError(f"dlt's working files can't be used ({type(error).__name__})")


def _free(place: Path) -> Path:
    """A path that is not taken yet."""
    return place if not place.exists() else _free(place.with_name(f"{place.name}_"))


def _needs_memory() -> WarehouseError:
    return WarehouseError(
        "the warehouse needs more memory for this",
        hint="nothing is lost: run it again, it may use more from now on",
    )


def _unexplained(doing: str, error: Any, cause: BaseException) -> WarehouseError:
    step = getattr(error, "step", doing)
    return WarehouseError(
        f"{doing} failed in dlt's {step} step ({type(cause).__name__})",
        hint="nothing is lost: run it again; if it stays, report it with this line",
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from, the first cause last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
