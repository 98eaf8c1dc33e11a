"""Extract and load: from the providers' APIs into the warehouse's raw schemas."""

import os

# dlt begins to report its use over the network while it is being imported: later is too late.
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
