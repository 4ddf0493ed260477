"""The distillation methods by name, one file each."""

from __future__ import annotations

from kd_core.catalogued import Catalogued
from kd_core.methods.base import Method
from kd_hpc.catalogue import LOSS_TERMS

METHODS: Catalogued[type[Method]] = Catalogued(
    "method",
    LOSS_TERMS,
    "methods",
    "METHOD",
    "subclass of kd_core.methods.base.Method",
    lambda thing: isinstance(thing, type) and issubclass(thing, Method),
)
