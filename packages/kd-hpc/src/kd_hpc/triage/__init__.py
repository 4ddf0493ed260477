"""A verdict with evidence for every run directory, whatever round wrote it."""
