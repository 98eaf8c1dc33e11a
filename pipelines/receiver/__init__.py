"""The webhook receiver: what providers send is checked, stored, and only then acknowledged."""
