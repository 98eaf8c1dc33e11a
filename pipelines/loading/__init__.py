"""One account's source through dlt into its raw tables."""
