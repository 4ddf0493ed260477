"""What choosing an epoch, or an alpha, on the test images would have flattered."""

from __future__ import annotations

from kd_analysis.accuracy.choosing import flattery
from kd_analysis.analysis import Analysis
from kd_analysis.report.document import Column, Section, Text, table

COLUMNS = (
    Column("dataset", label="data set"),
    Column("method", kind="method"),
    "runs",
    Column("epoch", 2, signed=True, label="epoch chosen on the test images (points)"),
    Column("alpha", 2, signed=True, label="alpha and epoch (points)"),
)
INTRO = (
    "These runs held training images out, and those chose the best epoch. The test images were scored each epoch and "
    "chose nothing. So the table can say by how much an accuracy would be too high had they chosen: it is never "
    "negative, and it differs between methods as their curves do."
)
NONE = (
    "No run here held images out, so best accuracies are those of epochs that the test images chose: too high by an "
    "amount that these runs cannot tell. Last epochs are chosen by nobody. validation = N in a recipe holds images out."
)


def choosing_section(analysis: Analysis) -> Section:
    """A row a data set and method."""
    title = "What choosing on the test images flatters"
    found = flattery(item.run for item in analysis.tree.usable.values())
    if not found:
        return Section("choosing", title, (Text(NONE),))
    rows = [(each.dataset, each.method, each.runs, each.epoch, each.alpha) for each in found]
    caption = "Test accuracy of what the test images would choose, less that of what held-out images choose; means"
    return Section("choosing", title, (Text(INTRO), table("choosing", caption, COLUMNS, rows)))
