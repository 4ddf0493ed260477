"""Curves in the forms of other tools: TensorBoard's event files, one table."""
