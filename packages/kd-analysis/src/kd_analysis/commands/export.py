"""`kd-analysis export`: curves in the forms of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Write curves for other tools: TensorBoard, or one table.",
    epilog="Example: kd-analysis export curves experiments\n\nWeights in plain torch: docs/guide/your-own-tools.md",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ExperimentsArgument = Annotated[Path, typer.Argument(help="Folder of runs, of any round.")]


@app.command()
def tensorboard(
    experiments: ExperimentsArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path("tensorboard"),
) -> None:
    """Write one event file a run, for TensorBoard.

    Neither torch nor tensorflow is needed.

    Example: kd-analysis export tensorboard experiments -o tensorboard

    Then: tensorboard --logdir tensorboard
    """
    from kd_analysis.export.tensorboard import export_tensorboard

    exported = export_tensorboard(experiments, output)
    print(f"{len(exported)} runs in {output}: tensorboard --logdir {output}")


@app.command()
def curves(
    experiments: ExperimentsArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .csv or .parquet.")] = Path(
        "curves.csv"
    ),
) -> None:
    """Write all curves as one tidy table, a row a run and epoch.

    Example: kd-analysis export curves experiments -o curves.csv
    """
    from kd_analysis.export.table import export_table
    from kd_analysis.reading.runs_table import collect

    rows = export_table(collect(experiments), output)
    print(f"{rows} rows in {output}")
