"""Where things are, for tests: the repository, its programs, and evidence beside it that a clone may lack."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
"""Where kd-hpc, kd-core and kd-analysis are installed."""
SHARED = ROOT.parent / "shared"
"""Recordings and real files too large for the repository; tests that want them skip where they are missing."""
BETA = SHARED / "real" / "beta" / "experiments"
"""All of the project's second round."""
HPC_FIXTURES = ROOT / "tests" / "hpc" / "fixtures"
