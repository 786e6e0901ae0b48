"""The whole line under Snakemake: it ends, survives SIGKILL at random moments with the same numbers, and then does nothing."""

import contextlib
import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from jukemir_like.core.cache import Cache
from jukemir_like.packs import origin

ROOT = Path(__file__).resolve().parents[2]
SONGS = "24"
STEPS = "4"  # of training
TIMINGS = {"seconds"}

pytestmark = pytest.mark.slow


def start(cache, *more, **environment):
    command = [sys.executable, ROOT / "scripts" / "reproduce.py", "--cache", cache, "--datasets", "synthband"]
    command += [
        "--representations",
        "mfcc stemjepa-reproduce",
        "--songs",
        SONGS,
        "--steps",
        STEPS,
        "--batch-size",
        "9",
        "--jobs",
        "2",
        *more,
    ]
    with open(cache.parent / f"{cache.name}.log", "ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=cache.parent, env=os.environ | environment
        )


def finish(process, cache):
    assert process.wait(timeout=600) == 0, (cache.parent / f"{cache.name}.log").read_text()[-4000:]


def members(session):
    """Processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(int(path.parent.name))
    return found


def hears(process):
    """Whether it has its own way with SIGTERM."""
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return bool(int(next(line for line in status if line.startswith("SigCgt:")).split()[1], 16) >> signal.SIGTERM - 1 & 1)


def kill(process):
    """As when the power fails: Snakemake, stages and workers at once."""
    while found := members(process.pid):
        for number in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


def numbers(cache):
    """Weights, vectors and raw audio to the byte, and the results but for the columns of timings."""
    found = {str(path.relative_to(cache)): path.read_bytes() for path in sorted(cache.rglob("*.npy"))}
    found["weights"] = (cache / "checkpoints" / "reproduce.safetensors").read_bytes()
    found["retrieval"] = (cache / "retrieval" / "synthband_stems" / "reproduce" / "retrieval.csv").read_bytes()
    found |= {str(path.relative_to(cache)): path.read_bytes() for path in sorted(cache.glob("processed/**/*.wav"))}
    for path in sorted(cache.rglob("results.csv")):
        with open(path, newline="") as file:
            rows = [{name: value for name, value in row.items() if name not in TIMINGS} for row in csv.DictReader(file)]
        found[str(path.relative_to(cache))] = rows
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    cache = tmp_path_factory.mktemp("whole") / "cache"
    finish(start(cache), cache)
    return cache


@pytest.mark.xdist_group("whole")  # the line runs once for all of them
def test_it_ends_with_a_page_and_all_results(whole):
    assert (whole / "report" / "index.html").stat().st_size > 10_000
    with open(whole / "report" / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["representation"] for row in rows} == {"mfcc", "stemjepa-reproduce", "trivial"}
    assert {row["task"] for row in rows} == {"key", "genre", "tags", "emotion", "tempo"}
    test = [row for row in rows if row["split"] == "test" and row["primary"] == "true"]
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in test if row["low"])


@pytest.mark.xdist_group("whole")  # the line runs once for all of them
def test_started_once_more_it_does_nothing(whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file() and ".snakemake" not in path.parts}
    finish(start(whole), whole)
    after = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file() and ".snakemake" not in path.parts}
    changed = {path.name for path in after if after[path] != before.get(path)} - {".lock"}
    assert changed == set()


@pytest.mark.xdist_group("whole")  # the line runs once for all of them
def test_killed_at_random_moments_it_ends_in_the_same_numbers(whole, tmp_path):
    moments = random.Random(1)
    cache = tmp_path / "cache"
    kills = 0
    for _ in range(5):
        process = start(cache)
        time.sleep(moments.uniform(1, 25))
        if process.poll() is None:
            kill(process)
            kills += 1
        process.wait()
    finish(start(cache), cache)
    assert kills
    assert numbers(cache) == numbers(whole)
    assert not [path for path in cache.rglob(".tmp-*") if ".snakemake" not in path.parts]


def test_layers_go_through_the_line_by_name_and_all_together(tmp_path):
    cache = tmp_path / "cache"
    more = ("--representations", "stemjepa@layer=2 stemjepa-untrained@layer=1@pool=mean+std", "--layers", "stemjepa stemjepa@pool=max")
    finish(start(cache, *more), cache)
    with open(cache / "report" / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    depth = len([path for path in (cache / "representations" / "synthband").glob("stemjepa.layer*") if path.suffix != ".max"])
    layers = {f"stemjepa@layer={layer}{pool}" for layer in range(depth) for pool in ("", "@pool=max")}
    assert {row["representation"] for row in rows} == layers | {"stemjepa-untrained@layer=1@pool=mean+std", "trivial"}
    with open(cache / "report" / "comparisons.csv", newline="") as file:
        compared = {row[side] for row in csv.DictReader(file) for side in ("first", "second")}
    shown = {"stemjepa@layer=2", "stemjepa-untrained@layer=1@pool=mean+std", "trivial"}
    assert compared == shown | {"stemjepa, chosen layer", "stemjepa@pool=max, chosen layer"}
    retrieval = {path.name for path in (cache / "retrieval" / "synthband_stems").iterdir()} if (cache / "retrieval").exists() else set()
    assert not [name for name in retrieval if "layer" in name]
    page = (cache / "report" / "index.html").read_text()
    assert page.count("Curves over layers: ") == 5
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file() and ".snakemake" not in path.parts}
    finish(start(cache, *more), cache)
    after = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file() and ".snakemake" not in path.parts}
    assert {path.name for path in after if after[path] != before.get(path)} - {".lock"} == set()


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ("mfcc", "mfcc has no layers: leave it out of LAYERS"),
        ("stemjepa@layer=2", "stemjepa@layer=2 names a layer already"),
        ("crepe", "crepe has no layers: leave it out of LAYERS"),
    ],
)
def test_layers_that_cannot_be_are_one_line(tmp_path, layers, reason):
    cache = tmp_path / "cache"
    assert start(cache, "--layers", layers).wait(timeout=120) == 2
    (line,) = (tmp_path / "cache.log").read_text().strip().splitlines()
    assert reason in line


def test_the_plan_says_what_would_run_and_runs_nothing(tmp_path):
    cache = tmp_path / "cache"
    finish(start(cache, "--plan"), cache)
    log = (tmp_path / "cache.log").read_text()
    assert all(stage in log for stage in ("download", "process", "train", "extract", "retrieval", "probe", "report"))
    assert not (cache / "datasets").exists()


@pytest.mark.xdist_group("whole")  # the line runs once for all of them
def test_a_second_run_on_the_same_cache_waits_for_the_first(whole):
    first, second = start(whole), start(whole)
    finish(first, whole)
    finish(second, whole)


@pytest.mark.parametrize("name", ["nosuch", "mert-95m@layer=13", "musicnn-msd@layer=2", "hf:nosuch"])
def test_a_wrong_name_is_one_clear_line(tmp_path, name):
    cache = tmp_path / "cache"
    process = start(cache, "--representations", name)
    assert process.wait(timeout=120) == 2
    log = (tmp_path / "cache.log").read_text().strip()
    assert len(log.splitlines()) == 1
    assert name.partition("@")[0] in log


def test_the_plan_gets_the_weights_of_each_encoder_once(tmp_path):
    cache = tmp_path / "cache"
    encoders = "mfcc clmr clmr-59049 mert-95m@layer=3 mert-95m@pool=max hf:some-one/a.model@layer=3"
    finish(start(cache, "--representations", encoders, "--layers", "mert-95m hf:some-one/another", "--plan"), cache)
    log = (tmp_path / "cache.log").read_text()
    wanted = {"clmr", "mert-95m", "hf--some-one--a.model", "hf--some-one--another"}
    assert sorted(re.findall(r"output: (weights/.*)", log)) == sorted(f"weights/{name}/{name}.safetensors" for name in wanted)
    probed = set(re.findall(r"output: \.stages/(probe\w*/synthband/.*)/linear-0", log))
    names = {"mfcc", "clmr", "clmr-59049", "mert-95m.layer3", "mert-95m.max", "hf--some-one--a.model.layer3", "trivial"}
    assert probed == {f"probe/synthband/{name}" for name in names} | {
        f"probe_layers/synthband/{name}" for name in ("mert-95m", "hf--some-one--another")
    }
    assert not (cache / "weights").exists()


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The cache of Hugging Face's own library, with one tiny model, as variables of the environment; the hub itself cannot be reached."""
    transformers = pytest.importorskip("transformers")
    root, commit = tmp_path_factory.mktemp("hub"), "a" * 40
    repository = root / "models--some-one--a.model"
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "conv_dim": [8] * 7}
    net = transformers.HubertModel(transformers.HubertConfig(**sizes, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2))
    net.save_pretrained(repository / "snapshots" / commit)
    preprocessor = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": True, "sampling_rate": 16000}
    (repository / "snapshots" / commit / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    return {"HF_HUB_CACHE": str(root), "HF_ENDPOINT": "http://127.0.0.1:9"}


def times(cache):
    """When each file was written, but for those of Snakemake and the lock."""
    files = [path for path in cache.rglob("*") if path.is_file() and ".snakemake" not in path.parts and path.name != ".lock"]
    return {str(path.relative_to(cache)): path.stat().st_mtime_ns for path in files}


def test_weights_of_encoders_are_brought_and_those_that_cannot_be_had_stop_no_other(tmp_path, hub, command):
    cache = tmp_path / "cache"
    fewer = ("--songs", "12", "--representations")
    ours = "mfcc hf:some-one/a.model@layer=1 hf:some-one/a.model@pool=max"
    assert start(cache, *fewer, f"hf:some-one/nothing {ours}", **hub).wait(timeout=300) == 2
    said = (tmp_path / "cache.log").read_text()
    assert re.search(r"make reproduce: weights hf--some-one--nothing has failed \(exit code 2\): .*cannot be reached", said)
    names = {"mfcc", "hf--some-one--a.model.layer1", "hf--some-one--a.model.max"}
    assert {path.name for path in (cache / "representations" / "synthband").iterdir()} == names
    assert {path.name for path in (cache / "probes" / "synthband").iterdir()} == names | {"trivial"}
    before = times(cache)

    finish(start(cache, *fewer, ours, **hub), cache)
    after = times(cache)
    assert {path.partition("/")[0] for path in after if after[path] != before.get(path)} == {"report", ".stages"}
    with open(cache / "report" / "results.csv", newline="") as file:
        assert {row["representation"] for row in csv.DictReader(file)} == {*ours.split(), "trivial"}

    finish(start(cache, *fewer, ours, **hub), cache)
    assert times(cache) == after
    shutil.rmtree(cache / "weights")  # to have more room: vectors are there
    finish(start(cache, *fewer, ours, **hub), cache)
    assert times(cache) == {path: time for path, time in after.items() if not path.startswith("weights/")}

    repository = Path(hub["HF_HUB_CACHE"]) / "models--some-one--a.model"
    shutil.copytree(repository / "snapshots" / ("a" * 40), repository / "snapshots" / ("b" * 40))
    (repository / "refs" / "main").write_text("b" * 40)
    config = repository / "snapshots" / ("b" * 40) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"layer_norm_eps": 1e-3}))
    assert command("download", "hf:some-one/a.model", "--cache", cache, environment=hub).returncode == 0
    finish(start(cache, *fewer, ours, **hub), cache)
    vectors = {path for path in after if path.endswith(".npy")}
    assert {path for path in vectors if times(cache)[path] != after[path]} == {path for path in vectors if "/hf--" in path}


@pytest.mark.xdist_group("whole")  # the line runs once for all of them
def test_a_stage_that_fails_is_named_with_its_reason_its_log_and_what_to_do(whole, tmp_path):
    """And make ends with more than "Error 1"."""
    cache = tmp_path / "cache"
    shutil.copytree(whole, cache)
    (cache / "processed" / "synthband" / "meta.json").write_text("no JSON")
    shutil.rmtree(cache / ".stages" / "probe" / "synthband" / "mfcc")
    (cache / "report" / "index.html").unlink()
    process = start(cache)
    assert process.wait(timeout=300) == 2  # as the stage
    said = (tmp_path / "cache.log").read_text()
    log = cache / ".stages" / "logs" / "probe" / "synthband" / "mfcc" / "linear-0.log"
    reason = log.read_text().splitlines()[-1]
    assert "meta.json" in reason or "synthband" in reason
    assert f"make reproduce: probe synthband mfcc linear-0 has failed (exit code 2): {reason}\n  its log: {log}\n" in said
    assert said.rstrip().endswith("give the same command again, and it goes on from there")
    shutil.copy(whole / "processed" / "synthband" / "meta.json", cache / "processed" / "synthband" / "meta.json")
    finish(start(cache), cache)
    assert "has failed" not in (tmp_path / "cache.log").read_text()[len(said) :]
    assert numbers(cache) == numbers(whole)


def test_changed_vectors_are_never_under_the_page_of_before(tmp_path):
    """A stage that ran again failed: the same command fails again, after a plan too. Removed vectors are computed again."""
    cache, more = tmp_path / "cache", ("--songs", "12", "--representations", "mfcc")
    finish(start(cache, *more), cache)
    page, vectors = cache / "report" / "index.html", Cache(cache).representation("synthband", "mfcc")
    made, first = page.stat().st_mtime_ns, {path.name: path.read_bytes() for path in vectors.glob("*.npy")}
    meta = cache / "processed" / "synthband" / "meta.json"
    right = meta.read_text()
    meta.write_text("no JSON")
    origin.write(vectors, origin.Origin("mfcc.zip", "0" * 64))  # other vectors, so it says
    for _ in range(2):
        assert start(cache, *more).wait(timeout=300) == 2
        finish(start(cache, *more, "--plan"), cache)
        plan = (tmp_path / "cache.log").read_text().rpartition("has failed")[2]
        assert all(f"rule {stage}:" in plan for stage in ("probe", "report"))
        assert list((cache / ".stages" / "logs").rglob("*.failed"))
    assert page.stat().st_mtime_ns == made
    meta.write_text(right)
    finish(start(cache, *more), cache)
    assert page.stat().st_mtime_ns > made
    before = times(cache)
    finish(start(cache, *more), cache)
    assert times(cache) == before

    shutil.rmtree(vectors)
    finish(start(cache, *more), cache)
    assert first == {path.name: path.read_bytes() for path in vectors.glob("*.npy")}


def test_of_more_songs_everything_is_computed_again(tmp_path):
    cache, more = tmp_path / "cache", ("--representations", "mfcc", "--deform", "noise-20", "--jobs", "1")
    for songs in ("24", "28"):
        finish(start(cache, *more, "--songs", songs), cache)
        of_clean, of_deformed = (Cache(cache).representation(name, "mfcc") for name in ("synthband", "synthband~noise-20"))
        assert len(list(of_clean.rglob("*.npy"))) == int(songs)
        meta = json.loads((Cache(cache).processed("synthband") / "meta.json").read_text())
        assert len(list(of_deformed.rglob("*.npy"))) == sum(item["split"] == "test" for item in meta.values())
        page = (cache / "report" / "index.html").read_text()
        assert "other labels than the cache has now" not in page
        items = json.loads((Cache(cache).processed("synthband") / "audit.json").read_text())["items"]
        assert sum(items.values()) == int(songs)


@pytest.mark.parametrize("seed", ["²", "0 ٣", "-1", "x"])
def test_a_seed_that_is_no_number_is_one_line(tmp_path, seed):
    cache = tmp_path / "cache"
    assert start(cache, "--seed", seed if seed[0] != "-" else f" {seed}").wait(timeout=120) == 2
    (line,) = (tmp_path / "cache.log").read_text().strip().splitlines()
    assert "is not a number" in line


def test_a_workflow_that_fails_says_why(tmp_path):
    """Without a stage that did: here, nobody can write what Snakemake keeps."""
    cache = tmp_path / "cache"
    (cache / ".snakemake").parent.mkdir()
    (cache / ".snakemake").touch()
    process = start(cache)
    assert process.wait(timeout=120) == 1
    said = (tmp_path / "cache.log").read_text()
    assert "the workflow itself has failed:" in said
    assert ".snakemake" in said.partition("itself has failed:")[2]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_signals_end_it_with_all_its_stages(tmp_path, seed):
    draw = random.Random(seed)
    cache = tmp_path / "cache"
    process = start(cache)
    while not hears(process) and process.poll() is None:  # Python's own way with signals, until the program has its own
        time.sleep(0.01)
    time.sleep(draw.uniform(0, 11))
    number = draw.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    for gap in (0.0, draw.uniform(0.1, 0.5))[: draw.choice([1, 2])]:
        time.sleep(gap)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
    assert process.wait(timeout=20) == 130
    assert [Path(f"/proc/{number}/cmdline").read_bytes() for number in members(process.pid)] == []  # or it says which
    said = (tmp_path / "cache.log").read_text()
    assert said.rstrip().endswith("what was finished is kept, run the same command to go on")
    assert "Traceback" not in said


@pytest.mark.xdist_group("whole")  # the line runs once for all of them
def test_stamps_of_a_clock_that_ran_ahead_do_not_keep_a_stage_from_running(whole):
    """All stages ended in two days' time; nothing that is made from now on would be newer."""
    before = numbers(whole)
    ahead = time.time() + 2 * 86400
    stamps = [path for path in (whole / ".stages").rglob("*") if path.is_file() and path.suffix != ".log"]
    for path in [*stamps, whole / "report" / "index.html"]:
        os.utime(path, (ahead, ahead))
    finish(start(whole), whole)
    assert all(path.stat().st_mtime < time.time() + 60 for path in stamps)
    assert (whole / "report" / "index.html").stat().st_mtime < time.time() + 60
    assert "at a time that is still to come" in (whole.parent / "cache.log").read_text()
    assert numbers(whole) == before


def test_a_user_s_own_dataset_that_was_processed_again_is_extracted_again_whatever_its_date(command, tmp_path, write_audio):
    for index in range(12):
        write_audio(tmp_path / "in" / f"{index:02d}.wav", seed=index)
    rows = [f"{index:02d},{'ab'[index % 2]},{('train', 'valid', 'test')[index // 4]}\n" for index in range(12)]
    (tmp_path / "labels.csv").write_text("uid,label,split\n" + "".join(rows))
    own = (
        "process",
        "folder",
        "--audio",
        tmp_path / "in",
        "--labels",
        tmp_path / "labels.csv",
        "--name",
        "mine",
        "--cache",
        tmp_path / "cache",
    )
    assert command(*own).returncode == 0
    more = ("--datasets", "mine", "--representations", "mfcc")
    finish(start(tmp_path / "cache", *more), tmp_path / "cache")
    vectors = tmp_path / "cache" / "representations" / "mine" / "mfcc"
    before = {path.name: path.read_bytes() for path in vectors.glob("*.npy")}
    write_audio(tmp_path / "in" / "03.wav", seed=99)
    assert command(*own).returncode == 0
    for path in (tmp_path / "cache" / "processed" / "mine").rglob("*"):
        os.utime(path, (1e9, 1e9))  # on a machine whose clock stands at 2001
    finish(start(tmp_path / "cache", *more), tmp_path / "cache")
    after = {path.name: path.read_bytes() for path in vectors.glob("*.npy")}
    assert [name for name in before if before[name] != after[name]] == ["03.npy"]


def test_a_dataset_that_was_processed_again_has_the_later_stages_run_again_only_if_it_is_another_now(command, tmp_path):
    """Whatever the dates of files say; processed by hand, or by the workflow itself."""
    cache, more = tmp_path / "cache", ("--songs", "12", "--representations", "mfcc", "--deform", "noise-20", "--jobs", "1")
    folders = Cache(cache)
    finish(start(cache, *more), cache)
    meta = json.loads((folders.processed("synthband") / "meta.json").read_text())
    changed = next(uid for uid, record in meta.items() if record["split"] == "test")

    def back_in_2001():
        for path in [*(cache / "processed").rglob("*"), *(cache / ".stages" / "process").rglob("*")]:
            os.utime(path, (1e9, 1e9))

    def run_again():
        """What was written: stages' logs, and files of vectors."""
        before = times(cache)
        finish(start(cache, *more), cache)
        written = {path for path, written in times(cache).items() if before.get(path) != written}
        stages = {path.split("/")[2].removesuffix(".log") for path in written if path.startswith(".stages/logs/") and path.endswith(".log")}
        return stages, {
            path.removeprefix("representations/") for path in written if path.startswith("representations/") and path.endswith(".npy")
        }

    assert run_again() == (set(), set())
    # The same once more, by hand, with a file written again.
    (folders.processed("synthband") / "wav" / f"{changed}.wav").unlink()
    assert command("process", "synthband", "--cache", cache).returncode == 0
    assert run_again() == (set(), set())
    back_in_2001()
    assert run_again() == (set(), set())
    # By the workflow: the outcome is the same.
    download = cache / ".stages" / "download" / "synthband"
    assert download.read_text() == "--songs 12 --seed 0\n"
    download.write_text("other songs")
    assert run_again() == ({"process", "report"}, set())  # the page is made whenever a stage before it was to run
    # A song is another one.
    path = folders.dataset("synthband") / "stems" / f"{changed}.wav"
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path, samples[::-1], rate, subtype="PCM_16")
    assert command("process", "synthband", "--cache", cache).returncode == 0
    refused = command("probe", "synthband", "mfcc", "--cache", cache)
    assert (refused.returncode, f"such as that of {changed}, are of other audio than synthband has now" in refused.stderr) == (2, True)
    back_in_2001()
    vectors = {f"{dataset}/mfcc/{changed}.npy" for dataset in ("synthband", "synthband~noise-20")}
    assert run_again() == ({"audit", "deform", "extract", "probe", "report"}, vectors)
    assert run_again() == (set(), set())
    # Back again, by the workflow itself.
    soundfile.write(path, samples, rate, subtype="PCM_16")
    download.write_text("other songs again")
    assert run_again() == ({"process", "audit", "deform", "extract", "probe", "report"}, vectors)
    assert run_again() == (set(), set())


def test_deformations_go_through_the_line(tmp_path):
    pytest.importorskip("python_stretch")
    cache = tmp_path / "cache"
    more = ("--representations", "mfcc chroma", "--deform", "noise-20 mp3-32 pitch+2 level+0")
    finish(start(cache, *more), cache)
    with open(cache / "report" / "deformations.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    deformations = {"noise-20", "mp3-32", "pitch+2", "level+0"}
    assert {(row["deformation"], row["representation"]) for row in rows} == {
        (one, name) for one in deformations for name in ("mfcc", "chroma")
    }
    assert {row["task"] for row in rows} == {"key", "genre", "tags", "emotion", "tempo"}
    assert {float(row["difference"]) for row in rows if row["deformation"] == "level+0"} == {0.0}
    assert any(float(row["difference"]) for row in rows if row["deformation"] == "noise-20")
    assert "What deformed audio costs" in (cache / "report" / "index.html").read_text()
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file() and ".snakemake" not in path.parts}
    finish(start(cache, *more), cache)
    after = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file() and ".snakemake" not in path.parts}
    assert {path.name for path in after if after[path] != before.get(path)} - {".lock"} == set()


def in_own_folds(tmp_path, command, write_audio):
    """A cache with a processed dataset ``mine`` that comes in three folds."""
    cache, audio = tmp_path / "cache", tmp_path / "audio"
    rows = ["path,mood,singer,fold"]
    for number in range(12):
        write_audio(audio / f"{number}.wav", seconds=1.0, seed=number)
        rows.append(f"{number},{'calm' if number % 2 else 'wild'},s{number // 2},{number // 2 % 3 + 1}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    own = ["process", "folder", "--audio", audio, "--labels", tmp_path / "labels.csv", "--group", "singer", "--name", "mine"]
    assert command(*own, "--cache", cache).returncode == 0
    return cache


def test_deformations_go_through_in_folds_drawn_and_own(tmp_path, command, write_audio):
    cache = in_own_folds(tmp_path, command, write_audio)
    of_both = ("--datasets", "mine synthband synthband_stems", "--representations", "mfcc stemjepa")
    more = (*of_both, "--songs", "18", "--deform", "level+0 noise-10")
    finish(start(cache, *more, "--folds", "3"), cache)
    assert "DEFORM passes over synthband_stems (it has stems and no labels)" in (tmp_path / "cache.log").read_text()
    drawn = changes(cache)
    assert {(row["dataset"], row["protocol"]) for row in drawn} == {(name, "linear, 3 drawn folds") for name in ("mine", "synthband")}
    assert {row["n"] for row in drawn if row["dataset"] == "mine"} == {"12"}
    assert {row["n"] for row in drawn if row["dataset"] == "synthband"} == {"18"}
    made = {path: path.stat().st_mtime_ns for path in [*cache.rglob("*.wav"), *cache.rglob("*.npy")]}
    finish(start(cache, *more), cache)  # by its own folds, and by splits
    assert made == {path: path.stat().st_mtime_ns for path in [*cache.rglob("*.wav"), *cache.rglob("*.npy")]}
    both = changes(cache)
    assert {(row["dataset"], row["protocol"]) for row in both} == {
        *((row["dataset"], row["protocol"]) for row in drawn),
        *(("mine", "linear, 3 folds"), ("synthband", "linear")),
    }
    assert {float(row["difference"]) for row in both if row["deformation"] == "level+0"} == {0.0}
    assert any(float(row["difference"]) for row in both if row["deformation"] == "noise-10")
    page = (cache / "report" / "index.html").read_text()
    assert "nothing to be compared with" not in page
    assert "What deformed audio costs" in page
    before = times(cache)
    finish(start(cache, *more), cache)
    assert times(cache) == before


def changes(cache):
    with open(cache / "report" / "deformations.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--deform", "noise-020"), "is written 'noise-20'"),
        (("--deform", "hum"), "unknown deformation"),
        (("--deform", "mp3-32", "--precomputed"), ""),
    ],
)
def test_deformations_that_cannot_be_are_one_line(tmp_path, more, reason):
    cache = tmp_path / "cache"
    assert start(cache, *more).wait(timeout=120) == 2
    (line,) = (tmp_path / "cache.log").read_text().strip().splitlines()
    assert reason in line


def test_folds_run_through_for_all_datasets_and_for_a_folder_that_has_its_own(tmp_path, command, write_audio):
    cache = in_own_folds(tmp_path, command, write_audio)
    finish(start(cache, "--datasets", "mine synthband", "--representations", "mfcc", "--songs", "18", "--folds", "3"), cache)
    finish(start(cache, "--datasets", "mine", "--representations", "mfcc"), cache)
    with open(cache / "report" / "results.csv", newline="") as file:
        found = {(row["dataset"], row["representation"], row["folds"], row["folds_seed"]) for row in csv.DictReader(file)}
    wanted = {("mine", "3", "0"), ("mine", "3", ""), ("synthband", "3", "0")}
    assert found == {(dataset, name, *folds) for dataset, *folds in wanted for name in ("mfcc", "trivial")}
    page = (cache / "report" / "index.html").read_text()
    assert "linear, 3 folds" in page
    assert "linear, 3 drawn folds" in page
    assert start(cache, "--folds", "one").wait(timeout=60) == 2
    assert "FOLDS 'one' is no number from 2" in (tmp_path / "cache.log").read_text()
