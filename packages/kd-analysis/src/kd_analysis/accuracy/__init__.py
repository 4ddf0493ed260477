"""Accuracies in cells, and what may be concluded from them."""
