"""Run directories as one table."""
