"""What the receiver counts, for Prometheus. No label holds anything that came from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipelines.errors import LogError
from pipelines.receiver.log import DeliveryLog

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
        """Also tell what waits for ingest, asked when somebody asks."""
        self.registry.register(_Now(log, connections))

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


class _Now(Collector):
    """What is not counted but looked up, the log once for all. A log that can't be read has no
    figures."""

    def __init__(self, log: DeliveryLog, connections: Callable[[], int]) -> None:
        self._log, self._connections = log, connections

    def collect(self) -> Iterator[Metric]:
        yield _gauge("connections", "Open connections", self._connections())
        try:
            backlog = self._log.backlog()
        except LogError:
            return
        yield _gauge("backlog_records", "Deliveries not ingested yet", backlog.records)
        age = backlog.age_seconds(datetime.now(UTC)) or 0.0
        yield _gauge("backlog_age_seconds", "Age of the oldest delivery not ingested yet", age)
        yield _gauge("log_records", "Deliveries ever stored", backlog.last_sequence)

    def describe(self) -> list[Metric]:
        """Nothing: registering it asks no log."""
        return []


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"doblecheck_receiver_{name}", text, value)
