"""One file a command; `cli` registers them."""
