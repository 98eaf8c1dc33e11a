"""The Kapso room: everything that is true only of Kapso. Facts and their sources: README.md."""

from pipelines.provider import Provider
from pipelines.providers.kapso.tables import OPT_IN, RESOURCES, TABLES

PROVIDER = Provider(
    name="kapso",
    title="Kapso",
    package=__name__,
    base_urls={
        "base_url": "https://api.kapso.ai",
        "legacy_base_url": "https://app.kapso.ai",
    },
    requests_per_minute=100,  # the free plan; 500 and 1000 on the others
    tables=TABLES,
    resources=tuple(table.name for table in RESOURCES),
    opt_in=OPT_IN,
    webhook_headers=(
        "x-webhook-event",
        "x-idempotency-key",
        "x-webhook-payload-version",
        "x-webhook-batch",
        "x-batch-size",
    ),
    ranged=("conversations", "messages", "calls"),
)
