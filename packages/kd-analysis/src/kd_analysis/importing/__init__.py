"""What others publish of their runs, read into folders that the report reads."""
