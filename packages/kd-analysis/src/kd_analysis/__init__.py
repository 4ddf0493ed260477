"""Finished runs to tables, statistics, geometry, figures and a report: what runs on a laptop."""
