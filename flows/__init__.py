"""When runs happen, and that they happen again. The only package that imports Prefect."""

import os

# Prefect reads its settings when it is imported. What the environment says already, stays.
for _name, _value in {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",  # a result could hold what customers wrote
    "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "pipelines",  # our own lines, beside the run
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}.items():
    os.environ.setdefault(_name, _value)
