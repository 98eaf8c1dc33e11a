"""Extract and load: from the providers' APIs into the warehouse's raw schemas."""
