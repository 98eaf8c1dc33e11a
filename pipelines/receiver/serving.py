"""The receiver as a running server: log, writer, HTTP with its limits, metrics, an orderly end."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import FrameType

import uvicorn
from prometheus_client import start_http_server

from pipelines.errors import ConfigError
from pipelines.provider import Provider
from pipelines.receiver.app import MOST_HEADER_BYTES, Receiver
from pipelines.receiver.doors import doors, without_door
from pipelines.receiver.guard import Crowd, Guarded
from pipelines.receiver.log import DeliveryLog, open_log
from pipelines.receiver.metrics import Metrics
from pipelines.receiver.writer import Writer
from pipelines.settings import Settings
from pipelines.settings.checks import is_loopback

GRACE_SECONDS = 7
"""For what is being received when the end is asked for; with the last commit, below ten."""

LAST_COMMIT_SECONDS = 2.0
BACKLOG = 1024
"""Connections that wait in the system until they are accepted."""

ACCEPTED_AT_ONCE = 16
"""Between two looks at what the others sent: a flood of connections must not make a good one give
way to it before its first bytes are read."""

TELL_SECONDS = 60.0
TICKS_PER_SECOND = 10  # of uvicorn's main loop

LOOPBACK = "127.0.0.1"


class _Server(uvicorn.Server):
    """uvicorn with a watch over its connections.

    Args:
        on_tick: called ten times a second, in the event loop.
    """

    def __init__(self, config: uvicorn.Config, on_tick: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._on_tick = on_tick

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)
        self.ready.set()

    async def on_tick(self, counter: int) -> bool:
        self._on_tick()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop in order; the next signal ends the process at once."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        self.should_exit = True


@dataclass
class Receiving:
    """A receiver that is ready to be run.

    Attributes:
        url: where it listens, or will.
        accounts: `<provider>:<name>` of those whose deliveries are let in.
        closed: of the others.
    """

    url: str
    accounts: list[str]
    closed: list[str]
    metrics: Metrics
    server: _Server
    listener: socket.socket

    def run(self) -> None:
        """Serve until it is stopped by a signal, or from another thread."""
        self.server.run([self.listener])

    def stop(self) -> None:
        """Ask it to end."""
        self.server.should_exit = True


@contextmanager
def prepared(
    settings: Settings,
    rooms: Sequence[Provider],
    *,
    host: str | None = None,
    port: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Receiving]:
    """A receiver with its log open and its socket bound.

    Args:
        host: instead of the settings'.
        port: likewise; 0: a free one.
        say: told in a line what happened, now and then.

    Raises:
        ConfigError: no account has a webhook secret, one can't be used, or a port is taken.
        LogError: the log can't be written.
    """
    open_doors = doors(settings, rooms)
    chosen = settings.receiver
    metrics, log = Metrics(), open_log(settings)
    crowd = Crowd(on_cut=lambda reason: metrics.refused.labels(reason).inc())
    with ExitStack() as stack:
        writer = Writer(log, on_commit=metrics.commits.observe)
        stack.callback(_end, writer, log)
        log.check()
        receiver = Receiver(
            open_doors, writer, metrics, chosen.max_body_bytes, clock=lambda: datetime.now(UTC)
        )
        listener = _listen(host or chosen.host, chosen.port if port is None else port)
        stack.callback(listener.close)
        metrics.watch(log, lambda: len(crowd))
        if chosen.metrics_port:
            _serve_metrics(stack, metrics, chosen.metrics_port)
        writer.start()
        yield Receiving(
            url=_url(listener),
            accounts=[f"{provider}:{name}" for provider, name in open_doors],
            closed=without_door(settings, open_doors),
            metrics=metrics,
            server=_Server(_config(receiver, crowd), _watch(crowd, metrics, say)),
            listener=listener,
        )


@contextmanager
def serve(settings: Settings, rooms: Sequence[Provider], *, port: int = 0) -> Iterator[Receiving]:
    """A receiver that serves from a background thread, on loopback; for tests and the demo."""
    with prepared(settings, rooms, host=LOOPBACK, port=port) as receiving:
        thread = threading.Thread(target=receiving.run, daemon=True)
        thread.start()
        receiving.server.ready.wait(timeout=10)
        try:
            yield receiving
        finally:
            receiving.stop()
            thread.join(timeout=GRACE_SECONDS + 2)


def _end(writer: Writer, log: DeliveryLog) -> None:
    """Write what waits, and close the log; a commit that hangs is left to itself."""
    if writer.close(LAST_COMMIT_SECONDS):
        log.close()


def _config(receiver: Receiver, crowd: Crowd) -> uvicorn.Config:
    return uvicorn.Config(
        receiver.app(),
        http=partial(Guarded, crowd),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level="critical",  # it quotes requests, and says a line for each that is broken
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        backlog=ACCEPTED_AT_ONCE,  # asyncio takes this number for both
    )


def _watch(crowd: Crowd, metrics: Metrics, say: Callable[[str], None]) -> Callable[[], None]:
    """What is done ten times a second: cut who is slow, and tell once a minute what happened."""
    told, ticks = metrics.totals(), 0

    def tick() -> None:
        nonlocal told, ticks
        crowd.sweep(asyncio.get_running_loop().time())
        ticks += 1
        if ticks % (TELL_SECONDS * TICKS_PER_SECOND) == 0 and (now := metrics.totals()) != told:
            say(summary({name: count - told.get(name, 0) for name, count in now.items()}))
            told = now

    return tick


def summary(counts: dict[str, int]) -> str:
    """One line: what was accepted, what came twice, what was refused and why."""
    refused = [f"{name} {n:,}" for name, n in counts.items() if n and name not in KEPT]
    kept = [f"{counts.get(name, 0):,} {name}" for name in KEPT]
    return ", ".join(kept) + (f"; refused: {', '.join(refused)}" if refused else "")


KEPT = ("accepted", "duplicates")


def _serve_metrics(stack: ExitStack, metrics: Metrics, port: int) -> None:
    try:
        server, thread = start_http_server(port, addr=LOOPBACK, registry=metrics.registry)
    except OSError as error:
        raise _port_error("metrics_port", port, error) from None
    stack.callback(thread.join, 1)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # asyncio turns Nagle's delay off only where the protocol is named.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except (OSError, UnicodeError):  # the latter: of no name that there could be
        raise ConfigError(f"no address for receiver.host {host!r}", hint="127.0.0.1") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)  # who connects from now on waits until it runs
    except OSError as error:
        listener.close()
        raise _port_error("port", port, error) from None
    return listener


def _port_error(key: str, port: int, error: OSError) -> ConfigError:
    return ConfigError(
        f"port {port} can't be used: {error.strerror or type(error).__name__}",
        hint=f"stop what listens there, or set {key} under [receiver]",
    )


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def opening(receiving: Receiving, settings: Settings) -> Iterator[str]:
    """What to say when it begins."""
    yield f"receiving on {receiving.url}/webhooks/… for {', '.join(receiving.accounts)}"
    if settings.receiver.metrics_port:
        yield f"metrics on http://{LOOPBACK}:{settings.receiver.metrics_port}/metrics"
    for account in receiving.closed:
        yield f"nothing is received for {account}: it has no webhook secret"
    host = receiving.listener.getsockname()[0]
    if not is_loopback(host):
        yield (
            f"warning: {host} can be reached from outside, and HTTP is not encrypted: "
            "let nothing but a proxy with TLS reach it"
        )
