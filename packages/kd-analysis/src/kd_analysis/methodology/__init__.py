"""What was done, for the chapter of a thesis."""
