"""Nodes that fail jobs, as far as records tell."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from kd_hpc.campaign import Budgets, Campaign
from kd_hpc.inspection.rows import Row
from kd_hpc.planning.breaker import bad_nodes
from kd_hpc.queueing.runner import CONTROL
from kd_hpc.queueing.show import node_remarks
from kd_hpc.records import StatusRecord
from kd_hpc.schedulers.registry import make


def node_warnings(rows: Iterable[Row], campaign: Campaign | None, root: Path, now: datetime) -> tuple[str, ...]:
    """A sentence for each bad node, and what is done about it. No scheduler is asked."""
    records = [row.record for row in rows if isinstance(row.record, StatusRecord)]
    budgets = campaign.budgets if campaign else Budgets()
    nodes = bad_nodes(records, budgets.node_faults, now)
    avoided = bool(nodes and campaign and make(campaign, root / CONTROL).can_avoid_nodes)
    return tuple(node_remarks(nodes, avoided=avoided))
