"""Workflows to learn from. Run them from the root of the repository."""
