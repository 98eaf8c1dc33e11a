"""The Prefect server that `serve` starts when it is told of no other: a process of its own, on
loopback, its data in the data folder, gone when the process that started it is.

    python -m flows.server PORT PARENT
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import MutableMapping
from pathlib import Path

from pipelines.errors import DoblecheckError

START_SECONDS = 120.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.1
HOST = "127.0.0.1"


def start(data_dir: Path, port: int) -> tuple[str, subprocess.Popen[bytes]]:
    """Start a server; return its address and its process. It ends with this process, after Prefect
    has sent it the last logs. Prefect is not imported yet, or it would end before.

    Args:
        data_dir: its database goes into `prefect` there.
        port: 0 takes any that is free.

    Raises:
        DoblecheckError: the port is taken, or it does not come up.
    """
    home = data_dir / "prefect"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    number = _free_port(port)
    address = f"http://{HOST}:{number}"
    _settle(os.environ, home, address)
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "flows.server", str(number), str(os.getpid())],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us: runs end before their server does
        )
    atexit.register(_end, process)
    _wait(process, number, home / "server.log")
    return address, process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _settle(environment: MutableMapping[str, str], home: Path, address: str) -> None:
    """Prefect's settings, for the server and for this process."""
    environment["PREFECT_HOME"] = str(home)
    environment["PREFECT_API_URL"] = f"{address}/api"
    for name, value in {
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": address,  # no other page in the browser may ask
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": '["events", "flow_runs"]',
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(14 * 86400),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P7D",
    }.items():
        environment.setdefault(name, value)


def _free_port(port: int) -> int:
    """The port, once nobody has it: a server whose parent was killed needs a moment to notice.

    Raises:
        DoblecheckError: somebody keeps it.
    """
    for _ in range(round(STOP_SECONDS / POLL_SECONDS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                time.sleep(POLL_SECONDS)
                continue
            return int(probe.getsockname()[1])
    raise DoblecheckError(
        f"port {port} is taken", hint="another one, or 0 for any: port under [schedule]"
    )


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    import httpx

    ends_at = time.monotonic() + START_SECONDS
    with httpx.Client(base_url=f"http://{HOST}:{port}/api", timeout=5) as client:
        while process.poll() is None and time.monotonic() < ends_at:
            try:
                if client.get("/health").is_success:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(POLL_SECONDS)
    raise DoblecheckError("the Prefect server does not start", hint=f"it says why in {log}")


def main(port: int, parent: int) -> None:
    """Serve until told to end, or until the parent is gone."""
    import uvicorn

    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host=HOST,
        port=port,
        log_level="error",
        lifespan="on",
        server_header=False,
    )


def _follow(parent: int) -> None:
    """End this process when another takes the parent's place: nobody is left to end it."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
