"""The dbt project, shipped inside the wheel as package data."""
