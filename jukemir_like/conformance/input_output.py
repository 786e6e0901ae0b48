"""C1, C2, C5, C7: a folder of everything that a folder may contain, in one run; what is an input, and what an output is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from jukemir_like.conformance import npy, snapshots, synthetic_audio
from jukemir_like.conformance.interruption import Killed, killed
from jukemir_like.conformance.rules import Rules
from jukemir_like.conformance.session import Observation, Session
from jukemir_like.conformance.snapshots import Snapshot, is_hidden, output_of, outputs, visible
from jukemir_like.core.errors import DONE
from jukemir_like.core.files import printable

RULES = Rules()


@dataclass(frozen=True)
class FolderObservation(Observation):
    """A run on a folder of everything.

    Args:
        input_before: the input folder before the run.
        input_after: the input folder after it.
        written_in_place: names in the output folder whose files were written to under that name.
    """

    input_before: Snapshot
    input_after: Snapshot
    written_in_place: frozenset[str]


# ---- scenarios ----


def everything(session: Session) -> FolderObservation:
    """All formats, durations and depths, with hidden files and others that are no inputs; without options, without a terminal."""
    source = session.new_folder({**synthetic_audio.all_kinds(), **synthetic_audio.hidden(), **synthetic_audio.other_endings()})
    (source / "nothing in it").mkdir()
    target = session.new_folder()
    before = snapshots.take(source)
    with snapshots.written_in_place(target) as names:
        outcome = session.run(source, target)
    return FolderObservation(outcome, synthetic_audio.all_kinds(), snapshots.take(target), before, snapshots.take(source), frozenset(names))


def unusual_names(session: Session) -> Observation:
    """Names that are easily lost."""
    return session.observe(synthetic_audio.unusual_names())


def terminal(session: Session) -> Observation:
    """With a terminal, as ``docker run -it`` gives one."""
    return session.observe(synthetic_audio.few(), tty=True, stdin_open=True)


def volumes(session: Session) -> Observation:
    """With named volumes, the output's a new one, as the user that the image names."""
    observation, _ = session.observe_in_volumes(synthetic_audio.few(), session.new_volume(), user=None)
    return observation


# ---- C1: start ----


@RULES.rule("C1.start", "IMAGE alone, without options, processes the whole folder", everything)
def _start(observed: FolderObservation) -> Iterator[str]:
    yield from observed.outcome.code_faults(DONE)
    if not outputs(observed.output):
        yield "no output at all"


@RULES.rule("C1.terminal", "with a terminal it does the same", terminal)
def _terminal(observed: Observation) -> Iterator[str]:
    yield from observed.faults()


@RULES.rule("C1.volumes", "it works with named volumes, new ones too, as the image's own user", volumes)
def _volumes(observed: Observation) -> Iterator[str]:
    yield from observed.faults()


# ---- C2: inputs ----


@RULES.rule("C2.endings", ".wav, .flac, .ogg and .mp3 are inputs", everything)
def _endings(observed: FolderObservation) -> Iterator[str]:
    yield from observed.missing_outputs(*synthetic_audio.formats())


@RULES.rule("C2.upper-case", "and so they are in any case", everything)
def _upper_case(observed: FolderObservation) -> Iterator[str]:
    yield from observed.missing_outputs(*synthetic_audio.upper_case())


@RULES.rule("C2.kinds", "any sample rate, duration and number of channels", everything)
def _kinds(observed: FolderObservation) -> Iterator[str]:
    yield from observed.missing_outputs(*synthetic_audio.kinds())


@RULES.rule("C2.sub-folders", "sub-folders are searched, with any name", everything)
def _sub_folders(observed: FolderObservation) -> Iterator[str]:
    recorded = snapshots.records(observed.output)
    # By name alone: whether an output is in the right folder is judged by C5.place.
    names_of_outputs = {path.rpartition("/")[2] for path in outputs(observed.output)}
    for path in synthetic_audio.sub_folders():
        if output_of(path).rpartition("/")[2] not in names_of_outputs and path not in recorded:
            yield f"{path} was not found"
    if "folder.wav" in recorded or "folder.npy" in observed.output:
        yield "the folder folder.wav was taken for an input"


@RULES.rule("C2.hidden", "hidden files and files in hidden folders are no inputs", everything)
def _hidden(observed: FolderObservation) -> Iterator[str]:
    yield from _taken_for_inputs(observed, synthetic_audio.hidden())


@RULES.rule("C2.others", "nor are files with other endings", everything)
def _others(observed: FolderObservation) -> Iterator[str]:
    yield from _taken_for_inputs(observed, synthetic_audio.other_endings())


@RULES.rule("C2.names", "a name may contain any byte", unusual_names)
def _names(observed: Observation) -> Iterator[str]:
    yield from observed.faults()
    expected = {output_of(path) for path in observed.inputs}
    yield from (f"{printable(path)} is the output of no input" for path in outputs(observed.output) if path not in expected)


def _taken_for_inputs(observed: Observation, no_inputs: dict[str, bytes]) -> Iterator[str]:
    recorded = snapshots.records(observed.output)
    for path in no_inputs:
        if path in recorded or _output_of_any_file(path) in observed.output:
            yield f"{path} was taken for an input"


def _output_of_any_file(path: str) -> str:
    """Where a program that takes any file would write: ``wav`` → ``wav.npy``."""
    folder, _, name = path.rpartition("/")
    return output_of(path) if "." in name[1:] else f"{folder}/{name}.npy".lstrip("/")


# ---- C5: outputs ----


@RULES.rule("C5.place", "a/b.wav gives a/b.npy", everything)
def _place(observed: FolderObservation) -> Iterator[str]:
    yield from observed.missing_outputs(*synthetic_audio.sub_folders())


@RULES.rule("C5.npy", "outputs are .npy files, strictly by the format", everything)
def _npy(observed: FolderObservation) -> Iterator[str]:
    yield from _unreadable_outputs(observed.output)


@RULES.rule("C5.dtype", "float32, little-endian", everything)
def _dtype(observed: FolderObservation) -> Iterator[str]:
    yield from (f"{path} is {array.descr!r}, not '<f4'" for path, array in _arrays(observed.output) if array.descr != npy.FLOAT32)


@RULES.rule("C5.order", "in C order", everything)
def _order(observed: FolderObservation) -> Iterator[str]:
    yield from (f"{path} is in Fortran order" for path, array in _arrays(observed.output) if array.fortran_order)


@RULES.rule("C5.rank", "of one dimension", everything)
def _rank(observed: FolderObservation) -> Iterator[str]:
    yield from (f"{path} has the shape {array.shape}" for path, array in _arrays(observed.output) if len(array.shape) != 1)


@RULES.rule("C5.finite", "all values are finite", everything)
def _finite(observed: FolderObservation) -> Iterator[str]:
    import numpy as np

    for path, array in _arrays(observed.output):
        if np.dtype(array.descr).kind == "f" and not np.isfinite(np.frombuffer(array.data, array.descr)).all():
            yield f"{path} has values that are not finite"


@RULES.rule("C5.length", "all vectors have the same length, and are not empty", everything)
def _length(observed: FolderObservation) -> Iterator[str]:
    shapes = {path: array.shape for path, array in _arrays(observed.output)}
    usual = Counter(shapes.values()).most_common(1)
    yield from (f"{path} has the shape {shape}, others have {usual[0][0]}" for path, shape in shapes.items() if shape != usual[0][0])
    yield from (f"{path} has no values" for path, shape in shapes.items() if 0 in shape)


def _unreadable_outputs(snapshot: Snapshot) -> Iterator[str]:
    for path, entry in outputs(snapshot).items():
        try:
            npy.parse(entry.content or b"")
        except npy.NotNpyError as error:
            yield f"{path} {error}"


def _arrays(snapshot: Snapshot) -> Iterator[tuple[str, npy.Array]]:
    """The outputs that can be read; the others are judged by C5.npy."""
    for path, entry in outputs(snapshot).items():
        try:
            yield path, npy.parse(entry.content or b"")
        except npy.NotNpyError:
            continue


# ---- C7: complete or not at all ----


@RULES.rule("C7.whole", "a file with an output's name is complete at any moment", everything, killed)
def _whole(observed: FolderObservation, interrupted: Killed) -> Iterator[str]:
    for name in sorted(observed.written_in_place):
        if name.endswith(".npy") and not is_hidden(name):
            yield f"{printable(name)} had its name before its content: write under another name and rename"
    for snapshot in interrupted.left:
        yield from (f"after SIGKILL, {fault}" for fault in _unreadable_outputs(snapshot))


@RULES.rule("C7.nothing-else", "anything else in the output folder is hidden", everything)
def _nothing_else(observed: FolderObservation) -> Iterator[str]:
    # Outputs of files that are no inputs are judged by C2.others.
    places = {output_of(path) for path in (*observed.inputs, *synthetic_audio.other_endings())}
    folders = {path.rpartition("/")[0] for path in places}
    for path, entry in visible(observed.output).items():
        if not entry.is_folder and not path.endswith(".npy"):
            yield f"{printable(path)} is visible"
        elif entry.is_folder and not any(folder == path or folder.startswith(f"{path}/") for folder in folders):
            yield f"the folder {printable(path)} is visible"
