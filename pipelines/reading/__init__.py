"""Lists read to their end within the account's quota: no row missed, none twice."""
