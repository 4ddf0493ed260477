"""The words of the report, in one line each, for a reader who knows training but not this analysis."""

from __future__ import annotations

from kd_analysis.analysis import Analysis
from kd_analysis.report import references
from kd_analysis.report.document import Bullets, Section, Text

STATISTICS = {
    "alpha": "the share of distillation in the loss: (1 - alpha) cross-entropy + alpha times the method's terms.",
    "pure student": "trained on the labels alone, without a teacher; with label smoothing where its recipe has it.",
    "hard-label student": "the same without label smoothing: it differs from distilled ones in the teacher alone.",
    "reference": "what cells are compared with: the hard-label student where there is one, else the pure one.",
    "cell": "one method at one alpha on one data set and pair of networks; its seeds are its n.",
    "points": "percentage points of test accuracy.",
    "95 % interval": "of one number: holds the true value in 95 of 100 repetitions, if errors are normal.",
    "simultaneous interval": "of several at once: in 95 of 100 repetitions all of them hold theirs. Wider, therefore.",
    "p, adjusted": "as small as it would be by chance for the best of all comparisons of its family (Dunnett, Holm).",
    "supported, contradicted": "a declared test says so after adjustment; the sign decides which.",
    "equivalent": "the difference is shown to be smaller than the smallest effect of interest.",
    "suggestive": "the data lean one way, without such a test to carry it.",
    "inconclusive": "everything else; never a proof that there is no effect.",
    "slope": "the change of accuracy per unit of alpha: from 0.25 to 0.75 half of it.",
    "permuted": "the same question asked by exchanging labels within seeds, which assumes no distribution.",
    "detectable": "the effect that this many seeds would find, at the 5 % level, four times out of five.",
    "block": "one data set and seed.",
    "Page's test": "whether the ranks within blocks rise or fall with alpha; exact.",
    "interquartile mean": "the mean of the middle half of the blocks.",
    "P(improvement)": "the share of blocks above the reference, a tie counting half.",
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
    "by classes alone": "what a measure gives when items are permuted within class: networks that know classes only.",
    "copied error": "the student answers as its teacher does where the teacher is wrong.",
    "ECE, Brier score": "how far a network's certainty is from its accuracy; smaller is better.",
    "error consistency": "do two networks err on the same images, beyond what their accuracies imply? Cohen's kappa.",
}


def glossary_section(analysis: Analysis) -> Section:
    """Words of the tables and figures above, and their sources; those of the geometry only where there is any."""
    words = {**STATISTICS, **(GEOMETRY if analysis.values else {})}
    sources = (*references.STATISTICS, *(references.GEOMETRY if analysis.values else ()))
    lines = tuple(f"{word}: {meaning}" for word, meaning in words.items())
    blocks = (Bullets(lines), Text("Sources, also in references.bib:"), Bullets(references.cited(sources)))
    return Section("words", "Words used here, and their sources", blocks)
