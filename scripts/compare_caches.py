"""Are two caches the same? Compares what two runs of the line wrote, file by file: after an upgrade, on another machine, ….

    python scripts/compare_caches.py CACHE OTHER_CACHE

Vectors, audio, weights, predictions and tables must be equal to the bit; whether vectors have a file each, or are rows of matrices
(extract --matrix), does not matter. Left out of the comparison are times, durations, versions of
software and the names of the two folders. Exit codes: 0 the same, 1 different (each file is named, with the first difference).
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load

from jukemir_like.core.matrices import FOLDER
from jukemir_like.core.vector_folder import VectorFolder

NOT_COMPARED = {"seconds", "time", "versions", "version", "jukemir-like", "created", "host", "examples_per_second"}
"""Fields of JSON and columns of tables that differ between any two runs, also as the last part of a name: ``valid/seconds``."""
SKIPPED_FOLDERS = {".snakemake", ".stages", "tensorboard", "states", FOLDER}
MEASURED = "stems"
"""The folder of what is measured of stems, which may be deleted: its files are called by processes, and by paths and times of files."""
SKIPPED_FILES = {".lock", "inputs.manifest", "outcome.json"}  # the last has times of files


def main() -> int:
    """Compares the two folders of the command line."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    first, second = (Path(argument).resolve() for argument in sys.argv[1:])
    rows = {cache: _rows(cache) for cache in (first, second)}
    names = sorted({*_names(first), *_names(second), *rows[first], *rows[second]})
    differences = {name: difference for name in names if (difference := compare(first, second, name, rows))}
    for name, difference in differences.items():
        print(f"{name}: {difference}")
    print(f"{len(names)} files compared, {len(differences)} of them differ")
    return int(bool(differences))


def compare(first: Path, second: Path, name: str, rows: dict[Path, dict[str, VectorFolder]]) -> str | None:
    """The first difference between the file ``name`` of two caches; None where they are the same."""
    contents = []
    for cache in (first, second):
        if name in rows[cache]:
            vectors = rows[cache][name]
            contents.append(vectors.read((cache / name).relative_to(vectors.folder).as_posix().removesuffix(".npy")))
        elif (cache / name).is_file():
            contents.append((cache / name).read_bytes())
        else:
            return f"is missing in {cache}"
    if contents[0] == contents[1]:
        return None
    read = READERS.get(Path(name).suffix)
    if read is None:
        return "bytes differ"
    return _first_difference(
        *(read(content.replace(str(cache).encode(), b"CACHE")) for content, cache in zip(contents, (first, second), strict=True))
    )


def _names(cache: Path) -> Iterator[str]:
    for path in cache.rglob("*"):
        relative = path.relative_to(cache)
        skipped = path.name in SKIPPED_FILES or SKIPPED_FOLDERS.intersection(relative.parts) or relative.parts[0] == MEASURED
        if path.is_file() and not skipped:
            yield relative.as_posix()


def _rows(cache: Path) -> dict[str, VectorFolder]:
    """The files that rows of matrices stand for, and the folder of vectors that each is in."""
    rows = {}
    for matrices in cache.rglob(FOLDER):
        vectors = VectorFolder(matrices.parent, "extract again")
        rows |= {(vectors.folder / f"{name}.npy").relative_to(cache).as_posix(): vectors for name in vectors.names() if vectors.row(name)}
    return rows


def _of_json(content: bytes) -> Any:
    return _without_times(json.loads(content))


def _of_records(content: bytes) -> Any:
    """Lines of ``.records`` by input: workers finish in any order."""
    records = [_of_json(line) for line in content.splitlines()]
    return {record["input"]: record for record in records}


def _of_table(content: bytes) -> Any:
    return [
        {
            column: _of_json(cell.encode()) if cell.startswith(("{", "[")) else cell
            for column, cell in row.items()
            if column.rpartition("/")[2] not in NOT_COMPARED
        }
        for row in csv.DictReader(io.StringIO(content.decode()))
    ]


def _of_arrays(content: bytes) -> Any:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}


def _of_weights(content: bytes) -> Any:
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = {
        name: _of_json(value.encode()) if value.startswith(("{", "[")) else value for name, value in header.get("__metadata__", {}).items()
    }
    tensors = {name: (tensor.dtype.str, tensor.shape, tensor.tobytes()) for name, tensor in load(content).items()}
    return {"metadata": _without_times(metadata), "tensors": tensors}


def _of_page(content: bytes) -> Any:
    """Lines of the results page without the tables and plots of durations and versions."""
    page = content.decode()
    page = re.sub(r'<h2 id="ran">.*?<h2 id="provenance">', "", page, flags=re.DOTALL)
    page = re.sub(r'<details class="copy">.*?</details>', "", page, flags=re.DOTALL)  # the same again as in the table before it
    page = re.sub(r'<h2 id="costs">.*?</table>', "", page, flags=re.DOTALL)
    page = re.sub(r'<h3>Score and cost</h3>.*?</svg>(?:\s*</div>\s*<p class="says">.*?</p>)?', "", page, flags=re.DOTALL)
    page = re.sub(r"<dt>made with</dt><dd>.*?</dd>", "", page, flags=re.DOTALL)
    page = re.sub(r'(<tr id="[^"]*"><td><code>.*?</td><td class="left">.*?</td><td class="left">.*?</td>)<td>.*?</td>', r"\1", page)
    return re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]*", "PICTURE", page).splitlines()


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(part) for name, part in value.items() if name not in NOT_COMPARED}
    if isinstance(value, list):
        return [_without_times(part) for part in value]
    return value


def _first_difference(first: Any, second: Any, place: str = "") -> str | None:
    if isinstance(first, dict) and isinstance(second, dict):
        for name in sorted({*first, *second}, key=str):
            if name not in first or name not in second:
                return f"{place}/{name} is in one only"
            if difference := _first_difference(first[name], second[name], f"{place}/{name}"):
                return difference
        return None
    if isinstance(first, list) and isinstance(second, list):
        for number, (one, other) in enumerate(zip(first, second, strict=False)):
            if difference := _first_difference(one, other, f"{place}[{number}]"):
                return difference
        return None if len(first) == len(second) else f"{place}: {len(first)} and {len(second)} entries"
    same = first == second or (first != first and second != second)  # NaN
    return None if same else f"{place or 'content'}: {str(first)[:80]!r} and {str(second)[:80]!r}"


READERS: dict[str, Callable[[bytes], Any]] = {
    ".json": _of_json,
    ".jsonl": _of_records,
    ".csv": _of_table,
    ".npz": _of_arrays,
    ".safetensors": _of_weights,
    ".html": _of_page,
}


if __name__ == "__main__":
    sys.exit(main())
