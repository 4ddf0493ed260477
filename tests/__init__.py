"""Evidence that the promises hold: see README.md."""
