"""Two caches that hold the same are the same, whatever their times and folders; any other difference is named."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from jukemir_like.core.matrices import write_matrix

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "compare_caches.py"


def write(cache, *, seconds=1.0, value=0.5, weight=1.0, order=(0, 1)):
    (cache / ".records").mkdir(parents=True)
    (cache / ".snakemake").mkdir()
    (cache / ".snakemake" / "log").write_text(str(seconds))
    np.save(cache / "a.npy", np.arange(3, dtype="<f4"))
    (cache / "run.json").write_text(json.dumps({"value": value, "seconds": seconds, "versions": {"numpy": str(seconds)}, "at": str(cache)}))
    lines = [json.dumps({"input": name, "status": "done", "time": seconds}) for name in ("x.wav", "y.wav")]
    (cache / ".records" / "all.jsonl").write_text("\n".join(lines[place] for place in order) + "\n")
    (cache / "results.csv").write_text(
        f'metric,value,seconds,valid/seconds,lineage\nr2,{value},{seconds},{seconds},"{{""version"": {seconds}}}"\n'
    )
    costs = f'<h2 id="costs">Costs</h2>\n<table><td>{seconds}</td></table>\n<h3>Score and cost</h3>\n<div><svg>{seconds}</svg>\n</div>'
    costs += f'\n<p class="says">{seconds} times less</p>\n<details class="copy"><textarea>{seconds}</textarea></details>'
    (cache / "index.html").write_text(f"<td>{value}</td>\n{costs}\n<p>end</p>\n")
    buffer = io.BytesIO()
    np.savez(buffer, scores=np.full(3, value))
    (cache / "predictions.npz").write_bytes(buffer.getvalue())
    (cache / "w.safetensors").write_bytes(save({"w": np.full(2, weight, np.float32)}, {"versions": str(seconds), "settings": '{"lr": 1}'}))


def compared(*caches):
    done = subprocess.run([sys.executable, SCRIPT, *caches], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_times_versions_folders_and_the_order_of_records_do_not_matter(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", seconds=2.0, order=(1, 0))
    code, text = compared(tmp_path / "a", tmp_path / "b")
    assert (code, text) == (0, "7 files compared, 0 of them differ\n")


@pytest.mark.parametrize(
    ("changes", "names"),
    [({"value": 0.25}, ["index.html", "predictions.npz", "results.csv", "run.json"]), ({"weight": 2.0}, ["w.safetensors"])],
)
def test_every_other_difference_is_named(tmp_path, changes, names):
    write(tmp_path / "a")
    write(tmp_path / "b", **changes)
    code, text = compared(tmp_path / "a", tmp_path / "b")
    assert code == 1
    assert [line.partition(":")[0] for line in text.splitlines()[:-1]] == names


def test_a_row_of_a_matrix_is_the_file_that_it_stands_for(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b")
    path = tmp_path / "b" / "a.npy"
    write_matrix(tmp_path / "b", "all", 3, [("a", path.read_bytes())])
    path.unlink()
    assert compared(tmp_path / "a", tmp_path / "b") == (0, "7 files compared, 0 of them differ\n")
    (matrix,) = (tmp_path / "b").rglob("all-*.npy")
    np.save(matrix, np.zeros((1, 3), "<f4"))
    code, text = compared(tmp_path / "a", tmp_path / "b")
    assert (code, text.splitlines()[0]) == (1, "a.npy: bytes differ")


def test_a_bit_of_a_vector_and_a_missing_file_are_differences(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b")
    data = bytearray((tmp_path / "b" / "a.npy").read_bytes())
    data[-1] ^= 1
    (tmp_path / "b" / "a.npy").write_bytes(data)
    (tmp_path / "a" / "run.json").unlink()
    code, text = compared(tmp_path / "a", tmp_path / "b")
    assert code == 1
    assert text.splitlines()[0] == "a.npy: bytes differ"
    assert text.splitlines()[1].startswith("run.json: is missing in")


def test_what_was_measured_of_stems_may_differ_and_stems_of_a_dataset_may_not(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name)
        for folder in ("stems", "datasets/synthband/stems"):
            (tmp_path / name / folder).mkdir(parents=True)
            (tmp_path / name / folder / f"{name}.json").write_text("{}")
    code, text = compared(tmp_path / "a", tmp_path / "b")
    assert code == 1
    assert [line.partition(":")[0] for line in text.splitlines()[:-1]] == [f"datasets/synthband/stems/{name}.json" for name in ("a", "b")]
