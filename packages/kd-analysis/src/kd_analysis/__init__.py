"""Finished runs to tables, statistics, geometry, figures and a report: what runs on a laptop.

In a notebook: `kd_analysis.load("experiments")` and `kd_analysis.analyse("experiments")`; docs/results.ipynb.
"""

from kd_analysis.api import Results, analyse, load, schema

__all__ = ["Results", "analyse", "load", "schema"]
