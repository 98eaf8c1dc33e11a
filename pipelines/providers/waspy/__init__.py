"""The Waspy room: everything that is true only of Waspy. Facts and their sources: README.md."""

from pipelines.provider import Provider
from pipelines.providers.waspy.tables import RESOURCES, TABLES

PROVIDER = Provider(
    name="waspy",
    title="Waspy",
    package=__name__,
    base_urls={"base_url": "https://api.waspytech.com"},
    requests_per_minute=120,  # no limit is documented: two a second is polite
    tables=TABLES,
    resources=tuple(table.name for table in RESOURCES),
    ranged=("conversations", "messages"),
    resumed=frozenset({"messages"}),
)
