"""doblecheck …: parse, call, print. Data goes to stdout, everything else to stderr.

Nothing heavy is imported here: `doblecheck --help` has half a second.
"""

from __future__ import annotations

import atexit
import errno
import gc
import io
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from pipelines import logs
from pipelines.cli import asking, caring, running, serving, trying
from pipelines.cli.context import Context, end_at_once, tell
from pipelines.errors import DoblecheckError

UNUSABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)
"""What is wrong with a folder that can't be used."""

app = typer.Typer(
    name="doblecheck",
    help="How fast do we answer on WhatsApp, and how many 24-hour windows expire unanswered?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for part in (trying, running, serving, asking, caring):
    app.add_typer(part.app)


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(help="The configuration file [$DOBLECHECK_CONFIG, ./doblecheck.toml]."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", envvar="DOBLECHECK_LOG_JSON", help="Log JSON lines.")
    ] = False,
) -> None:
    """Options that stand before the command."""
    logs.set_up(is_verbose=verbose, as_json=log_json)
    context.obj = Context(config)


def main() -> None:
    """The console script: one line on what failed, one hint, and the exit code."""
    _open_what_is_closed()
    _write_what_can_be_written()
    _have_a_home()
    end_at_once()
    os.umask(0o077)  # the warehouse holds what customers wrote
    atexit.register(_end_quickly)
    try:
        app()
    except DoblecheckError as error:
        sys.exit(_told(str(error), error.hint, error.exit_code))
    except OSError as error:
        sys.exit(_of_the_machine(error))
    except Exception as error:  # noqa: BLE001 - a trace may show rows
        sys.exit(_unexpected(error))


def _open_what_is_closed() -> None:
    """Give a process that was started without streams some that go nowhere, before a file of ours
    gets the number of one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - to the end
            setattr(sys, name, stream)


def _write_what_can_be_written() -> None:
    """Where a terminal's encoding lacks a sign, a question mark stands for it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _have_a_home() -> None:
    """Say of a user whom the system does not know what containers say: their home is `/`. Streamlit
    and Prefect look for settings there, and give up where there is none to look into."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"


def _end_quickly() -> None:
    """The last thing: leave all that dbt and dlt made to the operating system. Python would look
    through it for garbage, which takes most of a second.

    DuckDB's bindings tell of everything that is left, on stderr: nobody is there to hear it.
    """
    gc.freeze()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _told(message: str, hint: str, code: int) -> int:
    """Tell people, and machines where they asked for JSON."""
    tell(message, hint)
    if "--json" in sys.argv:
        with suppress(OSError):  # nobody reads it any more
            typer.echo(
                json.dumps({"ok": False, "error": message, "hint": hint}, ensure_ascii=False)
            )
    return code


def _of_the_machine(error: OSError) -> int:
    """What a folder or a disk refused: it is named, and whose turn it is."""
    if error.errno == errno.ENOSPC:
        return _told("no room on the disk", "make some, then run again: what was done is kept", 1)
    if error.errno not in UNUSABLE or not isinstance(error.filename, str):
        return _unexpected(error)
    hint = "data_dir has to be a folder that you may write to: see `doblecheck doctor`"
    return _told(f"{error.filename}: {error.strerror}", hint, 1)


def _unexpected(error: Exception) -> int:
    if os.environ.get("DOBLECHECK_TRACE"):
        raise error
    return _told(
        f"unexpected {type(error).__name__}",
        "DOBLECHECK_TRACE=1 shows where; the trace may quote your data",
        1,
    )
