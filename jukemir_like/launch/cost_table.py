"""The table of `make plan COST=1`: what extraction costs, as text."""

from __future__ import annotations

from jukemir_like.downloads.summary import format_bytes
from jukemir_like.launch.amounts import RECORDS
from jukemir_like.launch.estimates import Costed, Estimate, total
from jukemir_like.launch.speeds import CPU, Speed

_UNKNOWN = "–"


def table(estimated: Estimate) -> str:
    """The estimate as text: the datasets, the representations, and a sentence on each thing that is assumed."""
    from tabulate import tabulate

    amounts, several = estimated.amounts, len(estimated.amounts) > 1
    of_datasets = [
        [amount.dataset, f"{amount.count:,}", _number(amount.hours), _size(amount.download), _size(amount.wav), amount.known_from]
        for amount in amounts
    ]
    headers = ["dataset", "clips", "hours", "download", "as WAV", "known from"]
    parts = [tabulate(of_datasets, headers, disable_numparse=True, colalign=("left", *["right"] * 4, "left"))]
    columns = ["representation", "s per hour", *([one.dataset for one in amounts] if several else [])]
    columns += ["core hours", "GPU hours", "MB", "weights", "vectors", "measured"]
    rows = [_row(row, estimated, several) for row in estimated.rows]
    if len(rows) > 1:
        sums = [total([row.hours(one) for row in estimated.rows if row.hours(one) is not None]) for one in amounts] if several else []
        gpu = total([hours for row in estimated.rows if (hours := estimated.hours(row, gpu=True)) is not None])
        all_hours = ["all", "", *map(_number, sums), _number(estimated.core_hours), _number(gpu)]
        rows.append([*all_hours, "", _size(estimated.weights), _size(estimated.vectors), ""])
    parts.append(tabulate(rows, columns, disable_numparse=True, colalign=("left", *["right"] * (len(columns) - 2), "left")))
    return "\n\n".join([*parts, "\n".join(_sentences(estimated))])


def _row(row: Costed, estimated: Estimate, several: bool) -> list[str]:
    cpu = next((speed for speed in row.speeds if speed.device == CPU), None)
    layers = f" ({row.layers} layers)" if row.layers > 1 else ""
    weights = "none" if row.weights is None else _size(row.weights[1])
    if row.archives is not None:
        sizes = [row.archives[amount.dataset] for amount in estimated.amounts]
        weights = _size(total(sizes))
    measured = "published vectors" if row.archives is not None else "; ".join(map(_measured, row.speeds)) or "not measured"
    return [
        f"{row.name}{layers}",
        _UNKNOWN if cpu is None else _number(cpu.seconds),
        *([_number(row.hours(amount)) for amount in estimated.amounts] if several else []),
        _number(estimated.hours(row)),
        _number(estimated.hours(row, gpu=True)),
        _UNKNOWN if cpu is None or cpu.peak_mb is None else f"{cpu.peak_mb:,}",
        weights,
        _size(sum(map(row.vector_bytes, estimated.amounts))),
        measured,
    ]


def _measured(speed: Speed) -> str:
    device = "" if speed.device == CPU else f"{speed.device} "
    return f"{device}here" if speed.is_own else f"{device}elsewhere{', see below' if speed.how else ''}"


def _sentences(estimated: Estimate) -> list[str]:
    machines = sorted({f"{speed.machine} ({speed.date})" for row in estimated.rows for speed in row.speeds if not speed.is_own})
    parts = {f"{row.name}: {speed.how}" for row in estimated.rows for speed in row.speeds if speed.how}
    lines = ["s per hour: seconds of one core for an hour of audio; MB: peak of one process. Twice the cores take half the time."]
    if any(speed.is_own for row in estimated.rows for speed in row.speeds):
        lines.append("here: by the records of extractions in this cache; one that shared its cores with other work took longer.")
    if machines:
        lines.append(f"elsewhere: measured for this package on {', '.join(machines)}; another processor may take half or twice as long.")
    lines += [f"{part}." for part in sorted(parts)]
    if any(amount.known_from != RECORDS for amount in estimated.amounts):
        lines.append("Clips that are known from a declaration are counted as all of one length.")
    if any(amount.download is None for amount in estimated.amounts):
        lines.append("A download without a size (–): its publisher declares none.")
    if all(estimated.hours(row, gpu=True) is None for row in estimated.rows):
        lines.append("GPU hours: no speed on a GPU was measured.")
    if estimated.not_measured:
        lines.append(f"Not measured, and not in the sums: {', '.join(estimated.not_measured)}.")
    lines.append("What the cache has already is counted too. DEFORM, processing, training, probes are not: see docs/benchmarks.md.")
    return lines


def _number(value: float | None) -> str:
    """Two digits or more.

    >>> _number(1234.5), _number(12.34), _number(0.01234), _number(1e-5), _number(0.0), _number(None)
    ('1,234', '12.3', '0.012', '<0.001', '0', '–')
    """
    if value is None:
        return _UNKNOWN
    if 0 < value < 0.001:
        return "<0.001"
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def _size(size: float | None) -> str:
    return _UNKNOWN if size is None else format_bytes(round(size)) if size else "none"
