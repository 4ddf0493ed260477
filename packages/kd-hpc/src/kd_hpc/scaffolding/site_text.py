"""The settings with which a laptop reaches a cluster: the example that comes with the project, filled in. Pure."""

from __future__ import annotations

import re

from kd_hpc.errors import UsageError

EXAMPLE, SETTINGS = "toolbox/chpc.env.example", "toolbox/chpc.env"
_WORD = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@:+-]*")
"""What neither bash nor ssh nor rsync takes for its own."""


def site_text(example: str, login: str, folder: str, campaign: str) -> str:
    """`example` for the cluster reached as `login`, USER@HOST, with the clone in `folder` there. Raises UsageError."""
    user, _, host = login.partition("@")
    values = {"CHPC_USER": user, "CHPC_HOST": host, "CHPC_FOLDER": folder, "CHPC_CAMPAIGN": campaign}
    options = {"CHPC_USER": "--login", "CHPC_HOST": "--login", "CHPC_FOLDER": "--folder", "CHPC_CAMPAIGN": "--output"}
    for name, value in values.items():
        if not _WORD.fullmatch(value):
            raise UsageError(
                f"{value!r} will not do as {name}.",
                remedy=f"Write {options[name]} anew, such as --login me@login.example.org --folder /scratch/me/kd.",
            )
        example, found = re.subn(rf"^{name}=.*$", f"{name}={value}", example, flags=re.MULTILINE)
        if found != 1:
            raise UsageError(f"{EXAMPLE} has no line {name}=...", remedy=f"Restore it: git checkout {EXAMPLE}")
    return example
