"""The ways onto a machine, all behind the seam in `base`."""
