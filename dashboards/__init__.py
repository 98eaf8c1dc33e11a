"""The dashboard: reads the published marts and computes no metric of its own."""
