"""Publishing what `torch.save` makes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from kd_hpc.files import publish_bytes


def publish_torch(path: Path, content: Any) -> None:
    """Publish `content` at `path`. Raises StoreError.

    Made in memory first: writing straight to a file, torch.save turns a full disk into a RuntimeError without a cause.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    publish_bytes(path, buffer.getvalue())
