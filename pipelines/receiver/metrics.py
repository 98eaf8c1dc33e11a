"""What the receiver counts, for Prometheus. No label holds anything that came from outside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pipelines.errors import LogError
from pipelines.receiver.log import Backlog, DeliveryLog

REASONS = (
    "signature",  # 401
    "empty",  # 400
    "framing",  # 400: what came is no HTTP, or contradicts itself about its length
    "path",  # 404
    "method",  # 405
    "length",  # 413
    "encoding",  # 415
    "slow",  # 408, or cut: the headers, the body or the reading of the answer took too long
    "crowded",  # 503, or cut: too many at once
    "log",  # 503: it could not be stored
    "late",  # 503: it was not stored in time
    "error",  # 503: a bug
    "gone",  # the sender left before its body was whole
)
"""Why something was not accepted."""

COMMIT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The counts of one receiver, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("provider", "account")
        self.accepted = self._counter("accepted", "Deliveries stored and acknowledged", labels)
        self.duplicates = self._counter(
            "duplicates", "Deliveries acknowledged that were stored before", labels
        )
        self.refused = self._counter("refused", "Requests that were not acknowledged", ("reason",))
        for reason in REASONS:
            self.refused.labels(reason)
        self.commits = Histogram(
            "doblecheck_receiver_commit_seconds",
            "Time until a group of deliveries was on disk",
            buckets=COMMIT_SECONDS,
            registry=self.registry,
        )

    def watch(self, log: DeliveryLog, connections: Callable[[], int]) -> None:
        """Also tell what waits for ingest, read when somebody asks."""
        self._gauge("backlog_records", "Deliveries not ingested yet").set_function(
            lambda: _told(log, lambda backlog: backlog.records)
        )
        self._gauge(
            "backlog_age_seconds", "Age of the oldest delivery not ingested yet"
        ).set_function(lambda: _told(log, age_seconds))
        self._gauge("log_records", "Deliveries ever stored").set_function(
            lambda: _told(log, lambda backlog: backlog.last_sequence)
        )
        self._gauge("connections", "Open connections").set_function(connections)

    def totals(self) -> dict[str, int]:
        """What happened so far, in few words: accepted, duplicates, refused per reason."""
        found: dict[str, int] = {}
        for family in (self.accepted, self.duplicates, self.refused):
            for metric in family.collect():
                for sample in metric.samples:
                    if sample.name.endswith("_total"):
                        name = sample.labels.get("reason") or metric.name.rpartition("_")[2]
                        found[name] = found.get(name, 0) + int(sample.value)
        return found

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"doblecheck_receiver_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"doblecheck_receiver_{name}", text, registry=self.registry)


def age_seconds(backlog: Backlog, now: datetime | None = None) -> float:
    """How long the oldest delivery has waited for ingest; 0 when none does."""
    if backlog.oldest_at is None:
        return 0.0
    return max(((now or datetime.now(UTC)) - backlog.oldest_at).total_seconds(), 0.0)


def _told(log: DeliveryLog, what: Callable[[Backlog], float]) -> float:
    try:
        return what(log.backlog())
    except LogError:
        return float("nan")
