"""Does every method learn, at every strength, on real images? See `__main__`."""
