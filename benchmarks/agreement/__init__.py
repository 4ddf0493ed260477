"""Our losses beside those of other code, to rounding."""
