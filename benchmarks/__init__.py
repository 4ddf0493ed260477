"""One module a question; each prints its table. Run from the repository: `.venv/bin/python -m benchmarks.NAME`."""
