"""The words of the report, in one line each, for a reader who knows training but not this analysis."""

from __future__ import annotations

from kd_analysis.analysis import Analysis
from kd_analysis.report.document import Bullets, Section, Text

STATISTICS = {
    "alpha": "the share of distillation in the loss: (1 - alpha) cross-entropy + alpha times the method's terms.",
    "pure": "trained on the labels alone, without a teacher.",
    "cell": "one method at one alpha on one data set and pair of networks; its seeds are its n.",
    "block": "one data set and seed; the unit that the tests treat as independent.",
    "points": "percentage points of test accuracy.",
    "paired difference": "a student minus the pure student of the same seed.",
    "95 % t interval": "holds the true mean in 95 of 100 repetitions, if values scatter normally; wide at few seeds.",
    "detectable at 80 % power": "the effect that this many seeds would find, at the 5 % level, four times out of five.",
    "sign-flip test": "how often random signs of the block differences give a mean as far from zero; exact.",
    "Page's test": "whether the ranks within blocks rise with alpha; exact.",
    "Holm": "p values adjusted for the number of tests in the family.",
    "interquartile mean": "the mean of the middle half of the blocks.",
    "P(improvement)": "the share of blocks above pure, a tie counting half.",
    "supported, contradicted": "a declared test says so after adjustment.",
    "suggestive": "the data lean one way, without such a test to carry it.",
    "inconclusive": "everything else; never a proof that there is no effect.",
}
GEOMETRY = {
    "layer1 to layer3": "outputs of a network's three stages, averaged over image positions: 16, 32, 64 channels.",
    "linear CKA": "similarity of two layers up to rotation and scale, 0 to 1; debiased: 0 for unrelated ones.",
    "RBF CKA": "the same with a Gaussian kernel, whose width is given in median distances.",
    "Procrustes similarity": "1 where a rotation and a scale turn one layer into the other.",
    "principal angles": "between the spaces spanned by two layers' largest principal components; 0: the same.",
    "mutual 10-NN": "the share of the ten nearest neighbours of an image that both networks agree on.",
    "RSA": "rank correlation of the distances between all pairs of images.",
    "ICA match": "mean correlation of independent components paired one to one.",
    "participation ratio, effective rank, TwoNN": "three different numbers of dimensions that a layer uses.",
    "Fisher ratio, NC1": "scatter between classes over that within; and the reverse, falling to 0 as they collapse.",
    "10-NN probe": "accuracy of a vote of the ten nearest neighbours.",
    "error consistency": "do two networks err on the same images, beyond what their accuracies imply? Cohen's kappa.",
}


def glossary_section(analysis: Analysis) -> Section:
    """Words of the tables and figures above; those of the geometry only where there is any."""
    words = {**STATISTICS, **(GEOMETRY if analysis.values else {})}
    lines = tuple(f"{word}: {meaning}" for word, meaning in words.items())
    return Section("words", "Words used here", (Text("In the order in which they are met."), Bullets(lines)))
