"""Where the measures and tests of the report come from: shown beside the words it uses, and as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Reference(NamedTuple):
    """`what` it is the source of; `kind` and `where` as BibTeX has them: an article's journal, a paper's book."""

    key: str
    what: str
    authors: str
    year: int
    title: str
    kind: str
    where: str
    more: str = ""


STATISTICS = (
    Reference(
        "dunnett1955",
        "simultaneous intervals against one reference",
        "Dunnett, Charles W.",
        1955,
        "A Multiple Comparison Procedure for Comparing Several Treatments with a Control",
        "article",
        "Journal of the American Statistical Association",
        "volume = {50}, pages = {1096--1121}",
    ),
    Reference(
        "holm1979",
        "Holm's adjustment",
        "Holm, Sture",
        1979,
        "A Simple Sequentially Rejective Multiple Test Procedure",
        "article",
        "Scandinavian Journal of Statistics",
        "volume = {6}, pages = {65--70}",
    ),
    Reference(
        "brownforsythe1974",
        "do cells scatter alike?",
        "Brown, Morton B. and Forsythe, Alan B.",
        1974,
        "Robust Tests for the Equality of Variances",
        "article",
        "Journal of the American Statistical Association",
        "volume = {69}, pages = {364--367}",
    ),
    Reference(
        "page1963",
        "trend of ranks within blocks",
        "Page, Ellis Batten",
        1963,
        "Ordered Hypotheses for Multiple Treatments: A Significance Test for Linear Ranks",
        "article",
        "Journal of the American Statistical Association",
        "volume = {58}, pages = {216--230}",
    ),
    Reference(
        "schuirmann1987",
        "equivalence by two one-sided tests",
        "Schuirmann, Donald J.",
        1987,
        "A Comparison of the Two One-Sided Tests Procedure and the Power Approach for Assessing the Equivalence of "
        "Average Bioavailability",
        "article",
        "Journal of Pharmacokinetics and Biopharmaceutics",
        "volume = {15}, pages = {657--680}",
    ),
    Reference(
        "gelman2006",
        "priors on the spread between few groups",
        "Gelman, Andrew",
        2006,
        "Prior Distributions for Variance Parameters in Hierarchical Models",
        "article",
        "Bayesian Analysis",
        "volume = {1}, pages = {515--534}",
    ),
    Reference(
        "landemets1983",
        "levels for a second look",
        "Lan, K. K. Gordon and DeMets, David L.",
        1983,
        "Discrete Sequential Boundaries for Clinical Trials",
        "article",
        "Biometrika",
        "volume = {70}, pages = {659--663}",
    ),
    Reference(
        "agarwal2021",
        "interquartile mean and probability of improvement",
        "Agarwal, Rishabh and Schwarzer, Max and Castro, Pablo Samuel and Courville, Aaron and Bellemare, Marc G.",
        2021,
        "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
        "inproceedings",
        "Advances in Neural Information Processing Systems",
        "volume = {34}",
    ),
)
GEOMETRY = (
    Reference(
        "kornblith2019",
        "linear and RBF CKA",
        "Kornblith, Simon and Norouzi, Mohammad and Lee, Honglak and Hinton, Geoffrey",
        2019,
        "Similarity of Neural Network Representations Revisited",
        "inproceedings",
        "International Conference on Machine Learning",
    ),
    Reference(
        "song2012",
        "unbiased HSIC",
        "Song, Le and Smola, Alex and Gretton, Arthur and Bedo, Justin and Borgwardt, Karsten",
        2012,
        "Feature Selection via Dependence Maximization",
        "article",
        "Journal of Machine Learning Research",
        "volume = {13}, pages = {1393--1434}",
    ),
    Reference(
        "nguyen2021",
        "CKA over minibatches",
        "Nguyen, Thao and Raghu, Maithra and Kornblith, Simon",
        2021,
        "Do Wide and Deep Networks Learn the Same Things? Uncovering How Neural Network Representations Vary with "
        "Width and Depth",
        "inproceedings",
        "International Conference on Learning Representations",
    ),
    Reference(
        "williams2021",
        "Procrustes distance",
        "Williams, Alex H. and Kunz, Erin and Kornblith, Simon and Linderman, Scott W.",
        2021,
        "Generalized Shape Metrics on Neural Representations",
        "inproceedings",
        "Advances in Neural Information Processing Systems",
        "volume = {34}",
    ),
    Reference(
        "bjorckgolub1973",
        "principal angles",
        'Bj{\\"o}rck, {\\AA}ke and Golub, Gene H.',
        1973,
        "Numerical Methods for Computing Angles Between Linear Subspaces",
        "article",
        "Mathematics of Computation",
        "volume = {27}, pages = {579--594}",
    ),
    Reference(
        "kriegeskorte2008",
        "RSA",
        "Kriegeskorte, Nikolaus and Mur, Marieke and Bandettini, Peter",
        2008,
        "Representational Similarity Analysis: Connecting the Branches of Systems Neuroscience",
        "article",
        "Frontiers in Systems Neuroscience",
        "volume = {2}, pages = {4}",
    ),
    Reference(
        "hyvarinen1999",
        "ICA",
        'Hyv{\\"a}rinen, Aapo',
        1999,
        "Fast and Robust Fixed-Point Algorithms for Independent Component Analysis",
        "article",
        "IEEE Transactions on Neural Networks",
        "volume = {10}, pages = {626--634}",
    ),
    Reference(
        "royvetterli2007",
        "effective rank",
        "Roy, Olivier and Vetterli, Martin",
        2007,
        "The Effective Rank: A Measure of Effective Dimensionality",
        "inproceedings",
        "European Signal Processing Conference",
    ),
    Reference(
        "facco2017",
        "TwoNN",
        "Facco, Elena and d'Errico, Maria and Rodriguez, Alex and Laio, Alessandro",
        2017,
        "Estimating the Intrinsic Dimension of Datasets by a Minimal Neighborhood Information",
        "article",
        "Scientific Reports",
        "volume = {7}, pages = {12140}",
    ),
    Reference(
        "fisher1936",
        "Fisher ratio",
        "Fisher, Ronald A.",
        1936,
        "The Use of Multiple Measurements in Taxonomic Problems",
        "article",
        "Annals of Eugenics",
        "volume = {7}, pages = {179--188}",
    ),
    Reference(
        "papyan2020",
        "NC1",
        "Papyan, Vardan and Han, X. Y. and Donoho, David L.",
        2020,
        "Prevalence of Neural Collapse During the Terminal Phase of Deep Learning Training",
        "article",
        "Proceedings of the National Academy of Sciences",
        "volume = {117}, pages = {24652--24663}",
    ),
    Reference(
        "geirhos2020",
        "error consistency",
        "Geirhos, Robert and Meding, Kristof and Wichmann, Felix A.",
        2020,
        "Beyond Accuracy: Quantifying Trial-by-Trial Behaviour of CNNs and Humans by Measuring Error Consistency",
        "inproceedings",
        "Advances in Neural Information Processing Systems",
        "volume = {33}",
    ),
    Reference(
        "guo2017",
        "expected calibration error",
        "Guo, Chuan and Pleiss, Geoff and Sun, Yu and Weinberger, Kilian Q.",
        2017,
        "On Calibration of Modern Neural Networks",
        "inproceedings",
        "International Conference on Machine Learning",
    ),
    Reference(
        "brier1950",
        "Brier score",
        "Brier, Glenn W.",
        1950,
        "Verification of Forecasts Expressed in Terms of Probability",
        "article",
        "Monthly Weather Review",
        "volume = {78}, pages = {1--3}",
    ),
)


def cited(references: Iterable[Reference]) -> tuple[str, ...]:
    """For readers: what each is the source of, who wrote it, when and where."""
    return tuple(f"{each.what}: {_people(each.authors)} ({each.year}), {each.where}" for each in references)


def bibtex(references: Iterable[Reference] = (*STATISTICS, *GEOMETRY)) -> str:
    """references.bib."""
    return "\n".join(map(_entry, references))


def _people(authors: str) -> str:
    """Family names without TeX's accents."""
    names = [name.split(",")[0].replace('{\\"o}', "ö").replace('{\\"a}', "ä") for name in authors.split(" and ")]
    return f"{names[0]} et al." if len(names) > 2 else " and ".join(names)


def _entry(each: Reference) -> str:
    home = "journal" if each.kind == "article" else "booktitle"
    fields = [f"author = {{{each.authors}}}", f"title = {{{each.title}}}", f"{home} = {{{each.where}}}"]
    fields += [f"year = {{{each.year}}}", *([each.more] if each.more else [])]
    return f"@{each.kind}{{{each.key},\n  " + ",\n  ".join(fields) + "\n}\n"
