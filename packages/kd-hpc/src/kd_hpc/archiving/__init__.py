"""Closing a round: every run told, the folder moved aside."""
