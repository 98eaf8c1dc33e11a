"""A room of a made-up provider: only tests know it."""

from pipelines.provider import Provider
from toy.tables import TABLES

PROVIDER = Provider(
    name="toy",
    title="Toy",
    package=__name__,
    base_urls={"base_url": "https://api.toy.example"},
    requests_per_minute=600,
    tables=TABLES,
    resources=tuple(table.name for table in TABLES),
)
