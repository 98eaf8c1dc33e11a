"""Deliveries into the warehouse: from the receiver's log, and from logs that others kept."""
