"""The recipe beside the user's earlier trainer and published practice: what differs, and why.

docs/recipe.md is made from this, and a methodology quotes it. What is said of the earlier trainer was read in its code
or its records, of published practice in the code named there. A field of the recipe stands in one row at least.
"""

from __future__ import annotations

from typing import NamedTuple

SAME = "the same"
HEADER = ("", "earlier trainer", "here", "published practice", "why")


class Practice(NamedTuple):
    """One row; `fields` are those of the recipe it is about."""

    subject: str
    earlier: str
    ours: str
    published: str
    why: str
    fields: tuple[str, ...] = ()

    @property
    def cells(self) -> tuple[str, ...]:
        """Under HEADER."""
        return self.subject, self.earlier, self.ours, self.published, self.why


PRACTICE: dict[str, tuple[Practice, ...]] = {
    "Optimisation": (
        Practice(
            "epochs", SAME, "150", "240 (RepDistiller, mdistiller), 200 (Zagoruyko), 163 (Kim)",
            "comparable with the earlier rounds; published accuracies come from longer training", ("epochs",),
        ),
        Practice(
            "batch", SAME, "128", "64 (RepDistiller, mdistiller), 128 (Zagoruyko, Kim)",
            "comparable with the earlier rounds", ("batch_size",),
        ),
        Practice(
            "learning rate", "not on record; the same cosine to 0",
            "0.1, by a cosine to 0 over the epochs; or multistep, a factor of 0.1 at each of its milestones",
            "0.05, a tenth at 150, 180, 210 (RepDistiller, mdistiller); 0.1, a fifth at 60, 120, 160 (Zagoruyko)",
            "a cosine has no milestones to choose", ("lr", "schedule", "milestones", "factor"),
        ),
        Practice(
            "optimizer", SAME, "SGD, momentum 0.9, no Nesterov", "the same in all four; Adam in Park's metric learning",
            "", ("momentum",),
        ),
        Practice(
            "weight decay", SAME, "0.0005, of every trained parameter",
            "the same in all four", "", ("weight_decay",),
        ),
        Practice(
            "modules of a method", "factor transfer's by Adam", "in the student's own optimizer",
            "in the student's optimizer (RepDistiller); one of their own, of the same kind (Kim)",
            "one learning rate for all that is trained",
        ),
        Practice(
            "label smoothing", SAME, "0.1 for pure runs, none for distilled ones", "none",
            "a teacher's outputs already are soft labels; pure and hard runs therefore differ in it",
            ("label_smoothing",),
        ),
        Practice(
            "loss", SAME, "convex: (1 - alpha) CE + alpha (sum of weight times term); mix = sum: CE + alpha (...)",
            "CE + beta times the term; (1 - alpha) CE + alpha KD for logits alone",
            "one strength for all methods; equal alpha is not equal strength, see kd-core methods --probe",
            ("mix", "convex"),
        ),
    ),
    "Images": (
        Practice(
            "training images", "RandomResizedCrop and flip, SVHN flipped too",
            "auto: padded by 4, a random crop and a flip; without flip for SVHN and Digits",
            "padded by 4, a random crop and a flip (RepDistiller, Kim)",
            "what published accuracies were trained with; a mirrored digit is another thing. "
            "augmentation = resized-crop is the earlier trainer's", ("augmentation",),
        ),
        Practice(
            "test images", "resized by 8 pixels more, then the centre", "as they are", "as they are",
            "goes with the training images",
        ),
        Practice(
            "held-out images", SAME, "0: all are trained on, and the test images choose the best epoch",
            "none; best test accuracies are reported (RepDistiller, mdistiller)",
            "comparable; last epochs, which nobody chooses, are what is compared", ("validation",),
        ),
        Practice("normalisation", SAME, "mean and deviation of each channel of the data set", "the same", ""),
    ),
    "Networks and arithmetic": (
        Practice(
            "networks", SAME, "6n+2 layers, 1x1 shortcuts with BatchNorm; ResNet112 is the literature's resnet110",
            "the same (RepDistiller)", "weights of the earlier rounds fit",
        ),
        Practice(
            "initial weights", "torch's default", "Kaiming normal, fan-out, of every convolution",
            "the same (RepDistiller)", "the published tables start so",
        ),
        Practice(
            "teacher", SAME, "the pure run of the same seed, its best epoch, in eval mode",
            "one teacher for all students", "seeds are independent of each other",
        ),
        Practice(
            "forward passes", "evaluation in float32",
            "auto: float32 on a CPU, bfloat16 where a GPU has it, else float16; evaluation alike; losses in float32",
            "float32", "tensor cores; what was used is recorded", ("amp_dtype",),
        ),
        Practice(
            "how it is computed", "not on record",
            "fast step, device loader, a stop after 100 skipped steps, representations, checkpoints at the end alone",
            "none",
            "the fast step's bits are the plain one's for one and the same teacher; folding a teacher rounds anew",
            ("step", "loader", "watchdog_skips", "representation_epochs", "checkpoint_epochs"),
        ),
    ),
    "Methods": (
        Practice(
            "weights", "not on record", "of each term: the method's own, in the rows below",
            "in the rows below, beside CE with weight 1", "config, on record in each run", ("weights",),
        ),
        Practice(
            "calibrated", "no", "0, which leaves the weights as they are", "none",
            "calibrated = 0.5 makes every method pull half as hard as the labels when a student begins",
            ("calibrated",),
        ),
        Practice(
            "logit", SAME, "T = 4, T^2 KL, weight 1", "the same term; 0.9 KD + 0.1 CE (RepDistiller, mdistiller)", "",
            ("temperature",),
        ),
        Practice(
            "factor_transfer", "three layers, 1x1 and BatchNorm, 50 epochs of Adam, MSE",
            "layer3, 3x3 convolutions without BatchNorm; paraphraser 30 epochs of SGD with the run's rate, MSE; L1, "
            "weight 500",
            "the same layers, 5 epochs of L1, weight 500 (Kim); attention maps of factors, 30 epochs of MSE, a "
            "translator with BatchNorm, weight 200 (RepDistiller)",
            "the authors' factors; the reconstruction as the paper states it", ("paraphraser_epochs",),
        ),
        Practice(
            "attention_transfer", "not on record", "sum over positions, mean of three layers, weight 1",
            "mean over positions, sum of layers, weight 1000", "does not depend on the maps' size",
        ),
        Practice(
            "fitnets", "a connector with bias, the same hint layers",
            "student layer1 to teacher layer2 by a 1x1 convolution with bias, beside CE throughout, weight 1",
            "the same layer of both, 3x3 or 1x1 with BatchNorm and ReLU, weight 100 (RepDistiller, mdistiller)",
            "the hint layers of the earlier rounds",
        ),
        Practice(
            "rkd", "a matrix of cosines, mean detached",
            "distances and angles of triplets, gradient through the mean, weights 1 and 2",
            "the same terms; 25 and 50 (RepDistiller, mdistiller), 1 and 2 (Park, metric learning)",
            "at 25 and 50 beside alpha 0.5 the labels had 6 % of the gradient",
        ),
        Practice(
            "nst", "squared difference of Gram matrices",
            "MMD with the polynomial kernel, mean of three layers, weight 50",
            "the same kernel, sum of layers, weight 50 (RepDistiller, mdistiller)", "the paper's loss",
        ),
        Practice(
            "dkd", "none", "target and others apart, T = 4, both growing over 20 epochs, weights 1 and 2",
            "the same, 1 and 2 to 8 by pair (mdistiller)", "what logit distillation hides behind the label",
        ),
        Practice(
            "dist", "none", "correlation within items and within classes, T = 4, weights 2 and 2",
            "the same terms (torchdistill)", "for a teacher that is much stronger",
        ),
        Practice(
            "sp", "none", "similarity of the batch's layer3, weight 3000", "the same, weight 3000 (RepDistiller)", "",
        ),
    ),
}  # fmt: skip


def page() -> str:
    """docs/recipe.md."""
    return "\n".join([INTRODUCTION, *(line for title in PRACTICE for line in _section(title))]) + "\n"


def _section(title: str) -> list[str]:
    rows = (HEADER, ("---",) * len(HEADER), *(practice.cells for practice in PRACTICE[title]))
    return ["", f"## {title}", "", *(f"| {' | '.join(row)} |" for row in rows)]


INTRODUCTION = """\
# The recipe, and where it differs

How every run is trained unless its campaign says otherwise, beside the user's earlier trainer, which the earlier rounds
used, and published practice. `campaigns/charlie.toml` spells every field out. `kd-analysis methodology` quotes these
tables for runs that kd-core trained, and says which of their settings differ.

Published practice is what the code of these says: RepDistiller (CRD's table of CIFAR-100), mdistiller, and the authors
Zagoruyko (attention transfer), Kim (factor transfer) and Park (RKD). What a weight does to a gradient:
`kd-core methods --probe`."""
