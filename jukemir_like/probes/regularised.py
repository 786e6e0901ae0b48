"""Protocol ``linear``, fitted and selected: of a path of strengths, the one that is best on validation.

:mod:`jukemir_like.probes.linear` fits the path.
"""

from __future__ import annotations

from collections.abc import Iterator

from jukemir_like.core.progress import Progress
from jukemir_like.core.rows import Rows, as_array, as_rows
from jukemir_like.probes.chunked_path import RotatedRows
from jukemir_like.probes.linear import Rotation, fit_path
from jukemir_like.probes.protocols import RegularisationPath
from jukemir_like.probes.selection import Candidate, FittedProbe, Selection, tested
from jukemir_like.probes.targets import targets
from jukemir_like.probes.tasks import SCORED_SPLITS, ProbeData, Scores


def fit(data: ProbeData, settings: RegularisationPath, name: str) -> FittedProbe:
    """The probe of the best strength.

    Args:
        data: of one task.
        settings: of the protocol.
        name: of the work, for the progress bar.

    Raises:
        RequestError: scores are not finite.
    """
    selection = Selection(data)
    with Progress(len(set(settings.strengths)), name, "probe") as bar:
        for strength, scores in _scores_by_strength(data, settings):
            selection.consider(Candidate(-strength, {"strength": strength}, scores, {}))
            bar.update()
    return tested(selection)


def _scores_by_strength(data: ProbeData, settings: RegularisationPath) -> Iterator[tuple[float, Scores]]:
    """Strength and scores, the strongest first."""
    X = {name: split.X for name, split in data.splits.items()}
    task, labels, y = data.task.type, len(data.task.labels), data.train.y
    if task == "tempo":
        y = targets(data.task, y)  # shares of neighbouring classes
    train = X["train"]
    if isinstance(train, Rows) and len(train) >= train.shape[1]:
        rotated_rows = RotatedRows.fit(train)
        models = fit_path(task, rotated_rows, rotated_rows.variance, y, labels, settings)
        by_split = {split: rotated_rows.scores(models, as_rows(X[split])) for split in SCORED_SPLITS}
        yield from ((strength, {split: by_split[split][strength] for split in SCORED_SPLITS}) for strength in models)
    else:  # rows that are fewer than the dimension are not many
        rotation, Z = Rotation.fit(as_array(train))
        rotated = {split: rotation(as_array(X[split])) for split in SCORED_SPLITS}
        models = fit_path(task, Z, rotation.variance, y, labels, settings)
        yield from ((strength, {split: model.scores(rotated[split]) for split in SCORED_SPLITS}) for strength, model in models.items())
