"""The distillation methods by name, one file each."""

from __future__ import annotations

from kd_core.catalogued import Catalogued
from kd_core.methods.base import Method
from kd_hpc import catalogue

METHODS: Catalogued[type[Method]] = Catalogued("method", catalogue.METHODS, "methods", "METHOD")
