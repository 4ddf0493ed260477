"""What a plan's needs look like: each reason once, commands whole, nothing left out."""

from __future__ import annotations

from pathlib import Path

from kd_hpc.experiment import Experiment
from kd_hpc.planning.decision import Action, Decision
from kd_hpc.queueing.plan_text import needs_lines

HERE = Path("experiments")
LONG = "failed: killed for using more memory than it asked for (=>> PBS: job killed: mem 18430964kb exceeded limit)"


def stopped(seed: int, reason: str, *, waiting: int = 0) -> list[Decision]:
    experiment = Experiment(dataset="Digits", student="ResNet20", seed=seed)
    remedy = f'Write memory = "24gb" under [resources] of the campaign, then: kd-hpc retry {experiment.label}'
    return [Decision(experiment, Action.BLOCK, reason, remedy)] * (waiting + 1)


def test_a_reason_that_many_runs_share_is_told_once() -> None:
    needs = [stopped(seed, LONG.replace("18430964", f"{seed}843"), waiting=2) for seed in range(7)]
    lines = list(needs_lines([*needs, stopped(8, "cancelled by you")], HERE, 80))
    assert sum("memory than" in line for line in lines) == 1
    assert lines[0].startswith("Digits/pure/ResNet20/0 and 20 more: failed: killed")
    assert "    Likewise 6 others; one command for all of them: kd-hpc status" in lines
    assert "Digits/pure/ResNet20/8: cancelled by you" in lines


def test_on_a_terminal_no_line_is_too_wide_and_every_command_stands_whole() -> None:
    lines = "\n".join(needs_lines([stopped(0, LONG)], HERE, 60)).splitlines()
    assert max(map(len, lines)) <= 60
    assert "    kd-hpc retry Digits/pure/ResNet20/0" in lines


def test_elsewhere_commands_name_the_folder_and_reasons_past_the_eighth_are_counted() -> None:
    needs = [stopped(seed, f"reason {'x' * seed}") for seed in range(1, 11)]
    lines = list(needs_lines(needs, Path("other"), 10_000))
    assert lines[1].endswith("kd-hpc retry Digits/pure/ResNet20/1 --experiments other")
    assert lines[-1] == "... and 2 more: kd-hpc status --all --experiments other"
    assert len(lines) == 17
