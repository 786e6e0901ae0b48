"""How runs are called: their folders, and the protocol together with the folds by which it was evaluated."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from jukemir_like.core.cache import Cache


def run_folder(cache: Cache, dataset: str, representation: str, task: str, protocol: str, seed: int, folds: str = "") -> Path:
    """The folder of a run. A task's name may be a column of the user's table: characters that folders cannot have are percent-encoded.

    ``folds`` is what :func:`folds_name` gives.
    """
    name = quote(task, safe=" ()[]+,;=@")
    of_task = cache.probe(dataset, representation) / (name if name.strip(".") else name.replace(".", "%2E"))
    return of_task / "-".join(filter(None, (protocol, folds, str(seed))))


def procedure_name(protocol: str, folds: int | None, seed: int | None) -> str:
    """The protocol, and the folds by which it was evaluated.

    >>> procedure_name("linear", None, None), procedure_name("linear", 5, None), procedure_name("jukemir", 5, 0)
    ('linear', 'linear, 5 folds', 'jukemir, 5 drawn folds')
    """
    if folds is None:
        return protocol
    drawn = "" if seed is None else "drawn "
    return f"{protocol}, {folds} {drawn}folds" + (f" (seed {seed})" if seed else "")


def folds_name(number: int, seed: int | None, *, beside_own: bool) -> str:
    """How folds are called in the name of a run's folder.

    Args:
        number: of folds.
        seed: that they were drawn with; None: they are the dataset's own.
        beside_own: whether the dataset has folds of its own.

    >>> folds_name(5, None, beside_own=True), folds_name(5, 0, beside_own=False), folds_name(5, 0, beside_own=True)
    ('5folds', '5folds', '5folds_seed0')
    """
    drawn_again = seed is not None and (seed != 0 or beside_own)
    return f"{number}folds" + (f"_seed{seed}" if drawn_again else "")
