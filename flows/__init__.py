"""Prefect flows: when the pipelines run, and when they run again."""
