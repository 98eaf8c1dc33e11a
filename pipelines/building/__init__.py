"""Raw rows become marts: what SQL can't know, what is new, and dbt."""
