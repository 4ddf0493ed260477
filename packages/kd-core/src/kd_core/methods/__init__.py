"""The six distillation methods by name, one file each."""

from __future__ import annotations

from kd_core.methods.attention_transfer import AttentionTransfer
from kd_core.methods.base import Method
from kd_core.methods.factor_transfer import FactorTransfer
from kd_core.methods.fitnets import FitNets
from kd_core.methods.logit import Logit
from kd_core.methods.nst import NST
from kd_core.methods.rkd import RKD

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (Logit, FactorTransfer, AttentionTransfer, FitNets, RKD, NST)
}
