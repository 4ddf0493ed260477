"""A cluster that exists only in memory, with every fault a real one has shown, for the real planner and runner."""
