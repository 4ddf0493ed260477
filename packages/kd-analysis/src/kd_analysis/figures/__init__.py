"""Figures for a thesis: one function a figure. Data come in as plain objects, a matplotlib Figure goes out."""
