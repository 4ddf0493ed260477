"""The data sets by name, one file each."""

from __future__ import annotations

from kd_core.catalogued import Catalogued
from kd_core.data.sources.base import Source
from kd_hpc.catalogue import DATASETS

SOURCES: Catalogued[Source] = Catalogued(
    "data set",
    DATASETS,
    "data/sources",
    "SOURCE",
    "kd_core.data.sources.base.Source",
    lambda thing: isinstance(thing, Source),
)
