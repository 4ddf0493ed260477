"""All curves in one tidy table, a row a run and epoch: CSV for anything, Parquet where pyarrow is installed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from kd_analysis.export.curves import epochs_of
from kd_analysis.reading.runs_table import Tree
from kd_hpc.disk.files import publish_bytes
from kd_hpc.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = ("run", "dataset", "method", "alpha", "teacher", "student", "seed", "verdict", "epoch")


def curves_frame(tree: Tree) -> pd.DataFrame:
    """The table; empty cells where a run has no such curve. Columns in the order of their first appearance."""
    import pandas as pd

    rows: list[dict[str, object]] = []
    for item in tree.runs:
        identity = item.run.identity
        fields = (identity.dataset, identity.method, identity.alpha, identity.teacher, identity.student, identity.seed)
        start = dict(zip(IDENTITY, (item.run.path, *fields, str(item.verdict)), strict=False))
        rows += [{**start, "epoch": epoch, **values} for epoch, values in epochs_of(item.run)]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(IDENTITY))


def export_table(tree: Tree, output: Path) -> int:
    """Write the table to `output`, in the form its ending names; returns the number of rows. Raises UsageError."""
    table, stream = curves_frame(tree), io.BytesIO()
    if output.suffix == ".csv":
        table.to_csv(stream, index=False)
    elif output.suffix == ".parquet":
        try:
            table.to_parquet(stream, index=False)
        except ImportError:
            raise UsageError(
                "Parquet is written by pyarrow, which is not installed.",
                remedy="Type: pip install pyarrow; or name a .csv file.",
            ) from None
    else:
        raise UsageError(f"{output} is neither .csv nor .parquet.", remedy="Name one of these: -o curves.csv")
    publish_bytes(output, stream.getvalue())
    return len(table)
