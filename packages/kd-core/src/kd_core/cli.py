"""The command line of kd-core: registers one small module a command."""

from __future__ import annotations

from typing import NoReturn

import typer

from kd_core.commands import bench, data, evaluate, extract, methods, train
from kd_hpc.entry import run

app = typer.Typer(
    name="kd-core",
    help="Train distillation runs that resume to the bit. Runs inside a job, or by hand.",
    epilog="Example: kd-core train --experiments experiments --dataset Digits --model ResNet20 --seed 0 --epochs 3\n\n"
    "A new method, data set or model: docs/guide/a-campaign-of-your-own.md",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("extract")(extract.extract)
app.command("methods")(methods.methods)
app.command("bench")(bench.bench)
app.add_typer(data.app, name="data")


def main() -> NoReturn:
    """Run the command line."""
    run("kd-core", app)
