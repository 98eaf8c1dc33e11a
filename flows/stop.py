"""Who was asked to end. Without Prefect: it is asked before Prefect is imported."""

import threading

stopping = threading.Event()
"""Set when the process is asked to end: what was read is loaded, and the run ends."""

cancelled: set[str] = set()
"""Ids of the flow runs that somebody called off."""
