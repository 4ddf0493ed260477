"""kd-core audit: train one epoch of a run again and compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kd_core.commands.evaluate import RunArgument
from kd_core.commands.options import DataOption, DeviceOption, ExperimentsOption

if TYPE_CHECKING:
    from kd_core.audit import Audit

_NAMED = 5


def audit(
    run: RunArgument,
    epoch: Annotated[int | None, typer.Option(min=1, help="Which one.  [default: the last that can be]")] = None,
    experiments: ExperimentsOption = Path("experiments"),
    data: DataOption = Path("data"),
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train one epoch of a run again and compare.

    It begins with the checkpoint before that epoch, and compares what comes out with what the run has after it: every
    bit on a machine of the same kind, by its curve on another. The last epoch of a run can always be audited, another
    if its checkpoint and the one before were kept (checkpoint_epochs). Exit status 1 if they disagree.

    Example: kd-core audit Digits/pure/ResNet20/0
    """
    from kd_core.artifacts.reload import experiment_at
    from kd_core.audit import audit as audit_run
    from kd_hpc.screen.terminal import print_json
    from kd_hpc.store import Store

    found = audit_run(Store(experiments), experiment_at(run), epoch, data, device)
    if as_json:
        fields = {"run": found.run, "epoch": found.epoch, "agrees": found.agrees, "differences": found.differences}
        print_json({**fields, "other_machine": found.other_machine, "code_changed": found.code_changed})
    else:
        print(_words(found))
    raise typer.Exit(0 if found.agrees else 1)


def _words(found: Audit) -> str:
    how = f"compared by its curve, for this machine is another ({', '.join(found.other_machine)})"
    compared = how if found.other_machine else "compared bit by bit"
    begin = f"{found.run}: epoch {found.epoch} was trained again and {compared}"
    code = " kd-core has changed since the run was trained." if found.code_changed else ""
    if found.agrees:
        return f"{begin}: it agrees.{code}"
    named = ", ".join(found.differences[:_NAMED])
    more = f" and {len(found.differences) - _NAMED} more" if len(found.differences) > _NAMED else ""
    return f"{begin}: it DISAGREES in {named}{more}.{code}"
