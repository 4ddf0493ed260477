"""The command line of kd-core: registers one small module a command."""

from __future__ import annotations

from typing import NoReturn

from kd_core.commands import audit, bench, data, evaluate, extract, fork, methods, teacher, train
from kd_core.commands.recipe_options import RecipeCommand
from kd_hpc.entry import command_line, offer_completion, run

app = command_line(
    "kd-core",
    "Train distillation runs that resume to the bit. Runs inside a job, or by hand.",
    "Example: kd-core train --dataset Digits --model ResNet20 --seed 0\n\n"
    "A new method, data set or model: docs/guide/a-campaign-of-your-own.md",
)
app.command("train", cls=RecipeCommand)(train.train)
app.command("fork")(fork.fork)
app.command("audit")(audit.audit)
app.command("evaluate")(evaluate.evaluate)
app.command("extract")(extract.extract)
app.command("methods")(methods.methods)
app.command("bench")(bench.bench)
app.add_typer(data.app, name="data")
app.add_typer(teacher.app, name="teacher")
offer_completion(app)


def main() -> NoReturn:
    """Run the command line."""
    run("kd-core", app)
