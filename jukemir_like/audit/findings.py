"""An audit as a short table, and the sentences that belong with every score on the dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jukemir_like.core.files import printable

Content = Mapping[str, Any]
"""The content of ``audit.json``, or a part of it."""

_EXAMPLES = 3


class Row(NamedTuple):
    """One row of the table: what was checked, how much was found, and details."""

    what: str
    found: str
    detail: str


def text(content: Content) -> str:
    """The table and the sentences for a terminal."""
    from tabulate import tabulate

    table = tabulate(
        rows(content),
        (content["dataset"], "found", ""),
        disable_numparse=True,
        colalign=("left", "right", "left"),
        maxcolwidths=[None, None, 110],
    )
    return "\n".join(map(printable, [*table.split("\n"), *sentences(content)]))


def rows(content: Content) -> list[Row]:
    """One row per check, those that found nothing too."""
    folds = content.get("folds", ())
    parts = {_part(part, folds) + ":" * bool(folds): count for part, count in content["items"].items()}
    items = Row("items", f"{sum(content['items'].values()):,}", _counted(parts))
    return [
        items,
        *_split_rows(content),
        *_audio_rows(content["audio"]),
        *_duplicate_rows(content["duplicates"]),
        *_label_rows(content["labels"], folds),
    ]


def sentences(content: Content) -> list[str]:
    """How far test items share artists, albums, recordings or sound with training items; one sentence each.

    Of folds each item is a test item, and the items of other folds are its training items.
    """
    splits = content["splits"]
    lines = [sentence for kind, overlap in splits.items() if overlap["in_several_splits"] for sentence in _shared(kind, overlap)]
    apart = [kind for kind, overlap in splits.items() if not overlap["in_several_splits"] and overlap["known"]["test"]]
    if apart:
        lines.append(f"No {_alternatives(apart)} is in more than one {'fold' if content.get('folds') else 'split'}.")
    if "artist" not in splits or not splits["artist"]["known"]["test"]:
        lines.append("The artists of the test items are not known here: they may be in training too.")
    return [*lines, _duplicates_in_training(content["duplicates"])]


def _shared(kind: str, overlap: Content) -> list[str]:
    """The sentence about one kind (artist, album, …) that occurs in several splits."""
    shared, number = overlap["heard"][0], f"{overlap['in_several_splits']:,}"
    if shared["items"]:
        amount = f"{share(shared['items'], shared['of'])} of the test items ({_of(shared['items'], shared['of'])})"
        return [f"{amount} have {_article(kind)} {kind} that is in training too."]
    if overlap["known"]["test"]:
        return [f"No test item has {_article(kind)} {kind} that is in training too; {kind}s in several splits: {number}."]
    return [f"{kind.capitalize()}s in both train and valid: {number}."]


def share(part: int, whole: int) -> str:
    """In percent, below 10 with a decimal.

    >>> share(1, 3), share(1, 40)
    ('33 %', '2.5 %')
    """
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.0f} %" if percent >= 10 or not part else f"{percent:.1f} %"


def _duplicates_in_training(duplicates: Content | None) -> str:
    if duplicates is None:
        return "There is no audio to search for duplicates."
    shared = duplicates["heard"][0]
    if not shared["items"]:
        return "No test item sounds like one in training."
    amount = f"{_of(shared['items'], shared['of'])} test items ({share(shared['items'], shared['of'])})"
    return f"{amount} sound like one in training, wholly or in part."


def _split_rows(content: Content) -> list[Row]:
    rows = []
    for kind, overlap in content["splits"].items():
        details = [
            f"{_of(pair['items'], pair['of'])} {pair['split']} items ({share(pair['items'], pair['of'])}) have one of {pair['in']}"
            for pair in overlap["heard"]
            if pair["items"]
        ]
        names = list(dict.fromkeys(name for pair in overlap["heard"] for name in pair["names"]))
        detail = "; ".join([*details, *([_such_as(names)] if names else [])])
        rows.append(Row(f"{kind}s in several splits", _of(overlap["in_several_splits"], overlap["values"]), detail))
    return rows


def _audio_rows(audio: Content | None) -> list[Row]:
    if audio is None:
        return [Row("WAV files", "0", "only meta.json was checked")]
    rows = [Row("WAV files", f"{audio['files']:,}", _described(audio))]
    reasons = Counter(audio["without"].values())
    rows.append(Row("items without audio", f"{len(audio['without']):,}", "; ".join(f"{n:,}: {why}" for why, n in reasons.most_common(3))))
    for what, uids in (
        ("WAV files that cannot be read", audio["unreadable"]),
        ("constant WAV files", audio["constant"]),
        ("near-silent WAV files", audio["near_silent"]),
        ("WAV files of no item", audio["not_in_meta"]),
    ):
        rows.append(Row(what, f"{len(uids):,}", _such_as(list(uids)) if uids else ""))
    return rows


def _described(audio: Content) -> str:
    if not audio["seconds"]:
        return ""
    low, middle, high = (audio["seconds"][name] for name in ("min", "median", "max"))
    length = f"{low:.1f} s each" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f} s, median {middle:.1f} s"
    rates = _alternatives([f"{int(rate):,} Hz" for rate in audio["sample_rates"]])
    return f"{sum(audio['hours'].values()):.2f} h; {length}; {rates}; channels: {_alternatives(list(audio['channels']))}"


def _duplicate_rows(duplicates: Content | None) -> list[Row]:
    if duplicates is None:
        return []
    rows = []
    for what, groups in (
        ("groups with the same samples", duplicates["same_samples"]),
        ("pairs that sound alike", duplicates["same_sound"]),
    ):
        across = sum(len(set(group["splits"]) - {None}) > 1 for group in groups)
        differ = sum(group["labels_differ"] for group in groups)
        details = [f"{across:,} across splits", f"{differ:,} with different labels"]
        examples = _such_as([" = ".join(group["items"][:_EXAMPLES]) for group in groups])
        rows.append(Row(what, f"{len(groups):,}", "; ".join([*details, examples]) if groups else ""))
    return rows


def _label_rows(tasks: Content, folds: Sequence[str]) -> list[Row]:
    rows = []
    for name, task in tasks.items():
        without = sum(task["without_label"].values())
        details = [f"{without:,} items without a label"] if without else []
        if "values" in task:
            for label, splits in task["values"].items():
                means = (f"{_part(split, folds)} {of_split['mean']:.2f} ± {of_split['std']:.2f}" for split, of_split in splits.items())
                details.append(f"{label} {', '.join(means)}")
            rows.append(Row(f"outputs of {name}", f"{len(task['values'])}", "; ".join(details)))
            continue
        totals = {label: sum(counts.values()) for label, counts in task["counts"].items()}
        fewest, most = (choose(totals, key=totals.__getitem__) for choose in (min, max))
        details.append(f"from {totals[fewest]:,} items ({printable(fewest)}) to {totals[most]:,} ({printable(most)})")
        details += [f"not in {_part(split, folds)}: {_such_as(absent)}" for split, absent in task["absent"].items() if absent]
        if task["undeclared"]:
            details.append(f"not declared: {_such_as(list(task['undeclared']))}")
        rows.append(Row(f"labels of {name}", f"{len(totals)}", "; ".join(details)))
    return rows


def _such_as(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_EXAMPLES])
    return shown if len(names) <= _EXAMPLES else f"{shown} and {len(names) - _EXAMPLES:,} more"


def _part(name: str, folds: Sequence[str]) -> str:
    """A split, or a fold, which may be called ``1``, in words."""
    return f"fold {name}" if name in folds and not name.casefold().startswith("fold") else name


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {count:,}" for split, count in counts.items())


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}"


def _article(kind: str) -> str:
    return "an" if kind[:1] in "aeiou" else "a"


def _alternatives(names: Iterable[str]) -> str:
    *rest, last = [str(name) for name in names] or [""]
    return f"{', '.join(rest)} or {last}" if rest else last
