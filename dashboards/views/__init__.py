"""The pages: each draws itself on a sheet."""
