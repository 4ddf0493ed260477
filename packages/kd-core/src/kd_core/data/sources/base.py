"""What the file of a data set holds: its published files, how they are read, and the constants of its images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kd_core.data.images import Channels, Split


class PublishedFile(NamedTuple):
    """`digest` is the SHA-256 of the file, or of what a .gz file holds: nothing else is read, whoever sent it."""

    url: str
    digest: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def is_compressed(self) -> bool:
        """True for a .gz file, whose compression may differ from one publication to the next."""
        return self.name.endswith(".gz") and not self.name.endswith(".tar.gz")


class Source(NamedTuple):
    """A data set: where it is published, how it is read, what its images are normalised with.

    `read` takes the folder of the published files and gives the train and the test split, in the files' own order.
    `mean` and `deviation` are those of each channel of the training images as trained on (padding included), scaled to
    [0, 1]; of grey images, the same number three times.
    """

    files: tuple[PublishedFile, ...]
    read: Callable[[Path], tuple[Split, Split]]
    mean: Channels
    deviation: Channels
    mirrored: bool = True
    """Whether a mirrored image is still one of its class, so that `auto` augmentation may flip it."""
    read_subset: Callable[[Path], tuple[Split, Split, tuple[str, ...]]] | None = None
    """Both splits and the names of the classes of an archive that has the published structure and holds less."""
