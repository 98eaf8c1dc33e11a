"""`python -m pipelines.cli` is `doblecheck`."""

from pipelines.cli import main

main()
