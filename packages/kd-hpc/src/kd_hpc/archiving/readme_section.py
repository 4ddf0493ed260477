"""The part of a README that tells which campaign is running: found between two comments, kept, replaced."""

from __future__ import annotations

from pathlib import Path

from kd_hpc.campaign import Campaign

BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"


def between(text: str, begin: str, end: str) -> str | None:
    """What stands between two marks that each occur once, in this order; None otherwise."""
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        return None
    return text.split(begin)[1].split(end)[0]


def replaced(text: str, section: str) -> str:
    """`text`, which has a campaign section, with another one."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{section}{END}{after}"


def next_section(closed: str, page: Path, campaign: tuple[Path, Campaign] | None) -> str:
    """The section for the time after round `closed`, whose page lies at `page`."""
    ended = f"Round **{closed}** is closed: its runs, results and failures are in [{page.parent}]({page}).\n"
    if campaign is None:
        return f"\nNo campaign is running. {ended}The next begins with a file in `campaigns/` and `kd-hpc queue`.\n"
    path, found = campaign
    runs = found.experiments()
    methods = f"{', '.join(found.methods)} at alpha {', '.join(map(str, found.alphas))}" if found.methods else "none"
    return (
        f"\n**{found.name}**, {len(runs)} runs: `kd-hpc queue {path}`\n\n"
        f"- data sets: {', '.join(found.datasets)}\n"
        f"- models: {found.teacher} teaches {found.student}\n"
        f"- methods: {methods}\n"
        f"- seeds: {', '.join(map(str, found.seeds))}\n\n{ended}"
    )
