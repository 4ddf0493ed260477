"""kd-core extract: representations of a finished run's weights."""

from __future__ import annotations

from pathlib import Path

from kd_core.commands.evaluate import RunArgument
from kd_core.commands.interrupted import if_interrupted
from kd_core.commands.options import DataOption, DeviceOption, ExperimentsOption


def extract(
    run: RunArgument,
    experiments: ExperimentsOption = Path("experiments"),
    data: DataOption = Path("data"),
    device: DeviceOption = "auto",
) -> None:
    """Write what a run's weights make of every test image.

    Of the last and of the best ones.

    Example: kd-core extract Digits/pure/ResNet20/0
    """
    from kd_core.artifacts.reload import experiment_at, load_weights, test_loader
    from kd_core.artifacts.representations import REPRESENTATIONS_BEST, save_representations
    from kd_core.artifacts.representations import extract as representations_of
    from kd_core.runtime.device import choose_device
    from kd_hpc.claim import owned
    from kd_hpc.records import StatusRecord
    from kd_hpc.store import BEST, LAST, REPRESENTATIONS, Store

    store, experiment = Store(experiments), experiment_at(run)
    chosen = choose_device(device)
    with if_interrupted("both files are as they were", "The same command begins again."):
        loader = test_loader(store, experiment, data, device)
        made = {
            file: representations_of(load_weights(store, experiment, weights, chosen), loader.test())
            for weights, file in ((LAST, REPRESENTATIONS), (BEST, REPRESENTATIONS_BEST))
        }
    with owned(store, experiment, role="kd-core extract") as mine:
        for file, arrays in made.items():
            save_representations(mine.fence, mine.directory / file, arrays)
            print(mine.directory / file)
        if isinstance(record := mine.read(), StatusRecord):
            files = record.files | {file: mine.fence.digests[file] for file in made}
            mine.write(record.model_copy(update={"files": files}))
