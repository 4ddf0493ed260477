"""What an experiment is, what state it is in, and how it gets onto a cluster. No torch, no numpy."""
