"""How the report shows each number of the measures: label, decimals, and the table it belongs to.

A number that is not listed here is shown all the same, under its own name among the further ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FURTHER = "further"
SERIES = ("variance_of_", "angle_", "class_", "superclass_", "best_for_", "ica_r_", "umap_")
"""Numbers that come in rows have figures or tables of their own."""
NULL = "_null"


@dataclass(frozen=True)
class Quantity:
    """A number by its name in geometry.csv."""

    name: str
    label: str
    digits: int
    group: str


QUANTITIES = (
    Quantity("participation_ratio", "participation ratio", 2, "dimensions"),
    Quantity("effective_rank", "effective rank", 2, "dimensions"),
    Quantity("components_90", "components for 90 %", 1, "dimensions"),
    Quantity("components_95", "components for 95 %", 1, "dimensions"),
    Quantity("two_nn", "TwoNN", 2, "dimensions"),
    Quantity("two_nn_over_2", "TwoNN, half the items", 2, "dimensions"),
    Quantity("two_nn_over_4", "TwoNN, a quarter", 2, "dimensions"),
    Quantity("fisher_ratio", "Fisher ratio", 3, "classes"),
    Quantity("fisher_null", "by chance", 3, "classes"),
    Quantity("nc1", "NC1", 3, "classes"),
    Quantity("knn_probe", "10-NN probe (%)", 2, "classes"),
    Quantity("fisher_ratio_superclasses", "Fisher ratio of superclasses", 3, "superclasses"),
    Quantity("fisher_null_superclasses", "by chance", 3, "superclasses"),
    Quantity("nc1_superclasses", "NC1 of superclasses", 3, "superclasses"),
    Quantity("knn_probe_superclasses", "10-NN probe of superclasses (%)", 2, "superclasses"),
    Quantity("ica_components", "ICA components", 1, "classes"),
    Quantity("ica_ceiling", "ICA match with itself", 3, "classes"),
    Quantity("ica_converged", "ICA restarts converged", 2, "classes"),
    Quantity("cka", "CKA, plain", 3, "robustness"),
    Quantity("cka_debiased", "CKA, debiased", 3, "robustness"),
    Quantity("cka_debiased_null", "by classes alone", 3, "robustness"),
    Quantity("cka_class_residual", "class means removed", 3, "robustness"),
    Quantity("cka_without_top_component", "top component removed", 3, "robustness"),
    Quantity("cka_without_outliers", "1 % largest norms removed", 3, "robustness"),
    Quantity("cka_rbf_0.2", "RBF 0.2", 3, "robustness"),
    Quantity("cka_rbf_0.4", "RBF 0.4", 3, "robustness"),
    Quantity("cka_rbf_0.8", "RBF 0.8", 3, "robustness"),
    Quantity("cka_rbf_0.4_null", "RBF 0.4 by classes alone", 3, "robustness"),
    Quantity("cka_rbf_minus_linear", "RBF 0.4 minus linear CKA", 3, "shape"),
    Quantity("procrustes_similarity", "Procrustes similarity", 3, "shape"),
    Quantity("procrustes_similarity_null", "Procrustes by classes alone", 3, "nulls"),
    Quantity("procrustes_distance", "Procrustes distance (radians)", 3, "shape"),
    Quantity("mean_principal_angle", "mean angle (degrees)", 1, "shape"),
    Quantity("mutual_knn", "mutual 10-NN", 3, "neighbourhood"),
    Quantity("mutual_knn_null", "mutual 10-NN by classes alone", 3, "nulls"),
    Quantity("rsa", "RSA (Spearman)", 3, "neighbourhood"),
    Quantity("rsa_null", "RSA by classes alone", 3, "nulls"),
    Quantity("ica_match", "ICA match", 3, "neighbourhood"),
    Quantity("ica_strong", "ICA pairs above 0.5", 1, "neighbourhood"),
    Quantity("cka_cross", "CKA across layers", 3, "cross"),
    Quantity("cka_cross_null", "CKA across layers by classes alone", 3, "cross"),
    Quantity("top1_agreement", "top-1 agreement", 3, "predictions"),
    Quantity("top1_agreement_null", "by classes alone", 3, "predictions"),
    Quantity("kl_from_reference", "KL (nats)", 3, "predictions"),
    Quantity("error_consistency", "error kappa", 3, "predictions"),
    Quantity("error_consistency_null", "by classes alone", 3, "predictions"),
    Quantity("agreement_teacher_right", "as the teacher, where it is right (%)", 2, "ledger"),
    Quantity("agreement_teacher_wrong", "as the teacher, where it is wrong (%)", 2, "ledger"),
    Quantity("teacher_wrong_items", "items the teacher gets wrong", 0, "ledger"),
    Quantity("ece", "ECE (points)", 2, "calibration"),
    Quantity("brier", "Brier score", 4, "calibration"),
    Quantity("confidence", "mean top probability", 3, "calibration"),
)
KNOWN = {quantity.name: quantity for quantity in QUANTITIES}


def in_group(group: str) -> tuple[Quantity, ...]:
    """The group's quantities in the order they are shown."""
    return tuple(quantity for quantity in QUANTITIES if quantity.group == group)


def further(names: Iterable[str]) -> tuple[Quantity, ...]:
    """The names that nothing above lists, each as a quantity under its own name."""
    unknown = sorted(name for name in set(names) - KNOWN.keys() if not name.startswith(SERIES))
    return tuple(Quantity(name, name.replace("_", " "), 3, FURTHER) for name in unknown)


def label(name: str) -> str:
    """The name in words."""
    return KNOWN[name].label if name in KNOWN else name.replace("_", " ")
