"""Representations of networks: read, measured, compared."""
