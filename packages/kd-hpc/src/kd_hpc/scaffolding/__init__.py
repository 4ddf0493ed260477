"""A first campaign file, and the settings with which a laptop reaches a cluster."""
