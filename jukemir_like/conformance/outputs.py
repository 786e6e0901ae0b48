"""C5, C7: what an output is, and what may stand beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from jukemir_like.conformance import material, npy
from jukemir_like.conformance.folder import Snapshot, is_hidden, output_of, outputs, visible
from jukemir_like.conformance.inputs import Whole, whole
from jukemir_like.conformance.interruption import Killed, killed
from jukemir_like.conformance.rule import rule
from jukemir_like.core.files import printable


@rule("C5.place", "a/b.wav gives a/b.npy", whole)
def _place(whole: Whole) -> Iterator[str]:
    yield from whole.missing(*material.sub_folders())


@rule("C5.npy", "outputs are .npy files to the letter", whole)
def _npy(whole: Whole) -> Iterator[str]:
    for path, entry in outputs(whole.output).items():
        try:
            npy.parse(entry.content or b"")
        except npy.NotNpyError as error:
            yield f"{path} {error}"


@rule("C5.dtype", "float32, little-endian", whole)
def _dtype(whole: Whole) -> Iterator[str]:
    yield from (f"{path} is {array.descr!r}, not '<f4'" for path, array in _arrays(whole.output) if array.descr != npy.FLOAT32)


@rule("C5.order", "in C order", whole)
def _order(whole: Whole) -> Iterator[str]:
    yield from (f"{path} is in Fortran order" for path, array in _arrays(whole.output) if array.fortran_order)


@rule("C5.rank", "of one dimension", whole)
def _rank(whole: Whole) -> Iterator[str]:
    yield from (f"{path} has the shape {array.shape}" for path, array in _arrays(whole.output) if len(array.shape) != 1)


@rule("C5.finite", "all values are finite", whole)
def _finite(whole: Whole) -> Iterator[str]:
    import numpy as np

    for path, array in _arrays(whole.output):
        if np.dtype(array.descr).kind == "f" and not np.isfinite(np.frombuffer(array.data, array.descr)).all():
            yield f"{path} has values that are not"


@rule("C5.length", "all vectors have the same length, and not none", whole)
def _length(whole: Whole) -> Iterator[str]:
    shapes = {path: array.shape for path, array in _arrays(whole.output)}
    usual = Counter(shapes.values()).most_common(1)
    yield from (f"{path} has the shape {shape}, others have {usual[0][0]}" for path, shape in shapes.items() if shape != usual[0][0])
    yield from (f"{path} has no values" for path, shape in shapes.items() if 0 in shape)


@rule("C7.whole", "what has an output's name is complete at any moment", whole, killed)
def _whole(whole: Whole, killed: Killed) -> Iterator[str]:
    for name in sorted(whole.written):
        if name.endswith(".npy") and not is_hidden(name):
            yield f"{printable(name)} had its name before its content: write beside it and rename"
    for moment in killed.left:
        for path, entry in outputs(moment).items():
            try:
                npy.parse(entry.content or b"")
            except npy.NotNpyError as error:
                yield f"after SIGKILL, {path} {error}"


@rule("C7.nothing-else", "anything else in the output folder is hidden", whole)
def _nothing_else(whole: Whole) -> Iterator[str]:
    places = {output_of(path) for path in (*whole.inputs, *material.others())}  # inputs that are none are another rule's
    folders = {path.rpartition("/")[0] for path in places}
    for path, entry in visible(whole.output).items():
        if not entry.is_folder and not path.endswith(".npy"):
            yield f"{printable(path)} is visible"
        elif entry.is_folder and not any(folder == path or folder.startswith(f"{path}/") for folder in folders):
            yield f"the folder {printable(path)} is visible"


def _arrays(seen: Snapshot) -> Iterator[tuple[str, npy.Array]]:
    """Those outputs that can be read; the others are another rule's."""
    for path, entry in outputs(seen).items():
        try:
            yield path, npy.parse(entry.content or b"")
        except npy.NotNpyError:
            continue
