"""What an hour of audio costs by every representation: processor seconds on one thread, and the peak of one process.

Written into the package, as ``jukemir_like/launch/speeds.json``, from which ``make plan COST=1`` computes what a run will cost. Each is
measured in a process of its own: a clip is read, resampled and represented as in extraction, by a net of its published size with random
weights, on which speed does not depend. What this machine has measured today is kept, so that an interrupted run goes on::

    python -m bench speeds                       all, and the section of docs/benchmarks.md
    python -m bench.speeds jukebox crepe         these
    python -m bench.speeds --device cuda crepe   on a GPU: seconds of its time, of a batch as large as extraction makes
    python -m bench.speeds --page                none; only writes the table of docs/cluster.md

To add a model of ``transformers``, append its configuration to :data:`CONFIGURATIONS`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

from bench import timing
from jukemir_like.core.cache import Cache
from jukemir_like.launch import cost_table, estimates, speeds

CLIP_SECONDS, SAMPLE_RATE = 30, 44100
RUNS, ENOUGH_SECONDS = 5, 5.0
STEMJEPA_BASE = "stemjepa-base"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "cluster.md"
BEGIN, END = "<!-- costs: written by `python -m bench.speeds --page` -->", "<!-- end of costs -->"
_MUSIC = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
_CONFORMER = {"stat": {"melspec_2048_mean": 0.0, "melspec_2048_std": 1.0}}
_SWIN = {"hidden_size": 1024, "patch_embeds_hidden_size": 128, "depths": [2, 2, 12, 2], "num_attention_heads": [4, 8, 16, 32]}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "ast": {"model_type": "audio-spectrogram-transformer"},
    "clap-music": {"model_type": "clap", "projection_dim": 512, "audio_config": _SWIN},
    "dac": {"model_type": "dac"},
    "data2vec-audio-base": {"model_type": "data2vec-audio"},
    "encodec": {"model_type": "encodec"},
    "hubert-base": {"model_type": "hubert"},
    "mert-95m": {"model_type": "mert_model"},
    "mert-330m": _MUSIC
    | {"model_type": "mert_model", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
    "music2vec": {"model_type": "data2vec-audio"},
    "muq": _CONFORMER,  # and what the card of musicfm says, which is of the same size
    "musicfm": _CONFORMER,
    "wav2vec2-base": {"model_type": "wav2vec2"},
    "wavlm-base": {"model_type": "wavlm"},
    "whisper-base": {"model_type": "whisper", "d_model": 512, "encoder_layers": 6, "encoder_attention_heads": 8, "encoder_ffn_dim": 2048},
}
"""Card → what the published ``config.json`` says otherwise than the library's defaults. The number of parameters must be the card's."""
PADDED_SECONDS = {"ast": 10.24, "clap-music": 10.0, "whisper-base": 30.0}
"""Nets of one length: a shorter piece takes as long as a whole one."""
FIRST_SECONDS = {"choi": 29.0, "jukebox": 25.0}
"""What looks at the beginning of a clip only, and takes as long for a shorter one (jukebox: nearly)."""
JUKEBOX_LAYERS = 3
"""One of each kind of its layers is measured."""


def names() -> list[str]:
    """Everything that is measured."""
    from jukemir_like.encoders import card as cards

    return ["chroma", "mfcc", "stemjepa", STEMJEPA_BASE, *cards.names()]


def section() -> str:
    """Markdown of the speeds; measures what has not been measured here today."""
    for name in names():
        measure(name, "cpu", keep=True)
    lines = ["## Speeds", "", "| representation | s per hour of audio | times real time | peak MB | |", "|---|---|---|---|---|"]
    for name, by_device in speeds.read().items():
        for speed in by_device:
            where = "" if speed.device == speeds.CPU else f"{speed.device}: its own seconds; "
            lines.append(f"| {name} | {speed.seconds:,.0f} | {3600 / speed.seconds:,.3g} | {speed.peak_mb or '–'} | {where}{speed.how} |")
    return "\n".join(
        [
            *lines,
            "",
            f"Processor seconds of one thread, the fastest of up to {RUNS} calls: a file of {CLIP_SECONDS} s at 44.1 kHz "
            "read, resampled, represented, each in a process of its own. Nets of published size with random weights. Written into the "
            "package, from where `make plan COST=1` has them.",
        ]
    )


def measure(name: str, device: str, keep: bool = False) -> None:
    """Measures one in a process of its own, and writes it into the file of speeds."""
    today = {"machine": timing.machine(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    before = _entries().get(name, {}).get(device, {})
    if keep and {key: before.get(key) for key in today} == today:
        return
    print(f"measuring the speed of {name} …", file=sys.stderr)
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "bench.speeds", "--device", device, "--measure", name]
    done = subprocess.run(command, env={**os.environ, **one_thread}, stdout=subprocess.PIPE, check=True, text=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    of, entries = figures.pop("device"), _entries()
    entries.setdefault(name, {})[of] = figures | today | {"versions": _versions()}
    ordered = {known: entries[known] for known in names() if known in entries}
    speeds.FILE.write_text(json.dumps(ordered, indent=1) + "\n")


def _entries() -> dict[str, Any]:
    return json.loads(speeds.FILE.read_text()) if speeds.FILE.exists() else {}


def _versions() -> dict[str, str]:
    return {package: version(package) for package in ("jukemir-like", "torch", "transformers")}


def _figures(name: str, device: str) -> dict[str, Any]:
    """Measures in this process."""
    with tempfile.TemporaryDirectory() as folder:
        path, weights = Path(folder) / "clip.wav", Path(folder) / "weights.safetensors"
        described = _card(name)
        if described is not None or name == STEMJEPA_BASE:
            # In another process, so that its memory does not count.
            maker = multiprocessing.get_context("spawn").Process(target=_save_weights, args=(name, weights))
            maker.start()
            maker.join()
            assert maker.exitcode == 0
        _write_clip(path)
        if name == "jukebox":
            return _of_jukebox(described, weights, path, device)
        figures = _of(lambda: _load(name, described, weights, device), path, name, device)
    return figures | {key: known[name] for key, known in _PIECES.items() if name in known}


_PIECES = {"padded_seconds": PADDED_SECONDS, "first_seconds": FIRST_SECONDS}


def _of(load: Callable[[], Any], path: Path, name: str, device: str) -> dict[str, Any]:
    from jukemir_like import audio
    from jukemir_like.representations.base import encode

    representation = load()
    count = representation.batch_size if device != speeds.CPU else 1
    clips = [audio.load(path, representation.sample_rate)] * count

    def whole() -> None:
        """On a processor with reading the file; a GPU does not wait for that."""
        given = [audio.load(path, representation.sample_rate)] if device == speeds.CPU else clips
        (first, *_) = encode(representation, given)
        if isinstance(first, Exception):
            raise first

    encode(representation, [clips[0][: representation.sample_rate]])  # loads the net, and what it is made of
    seconds = _fastest(whole, time.process_time if device == speeds.CPU else time.perf_counter)
    charged = speeds.Speed("", device, 1.0, FIRST_SECONDS.get(name), PADDED_SECONDS.get(name)).charged_seconds(CLIP_SECONDS)
    return {"device": _device(device), "seconds": _round(3600 * seconds / (count * charged)), "peak_mb": _peak(), "how": ""}


def _of_jukebox(card: Any, weights: Path, path: Path, device: str) -> dict[str, Any]:
    """Layers 0 and :data:`JUKEBOX_LAYERS`; each further layer takes as long."""
    from jukemir_like import audio
    from jukemir_like.encoders.jukebox import Jukebox
    from jukemir_like.representations.base import encode

    clock = time.process_time if device == speeds.CPU else time.perf_counter
    seconds = []
    for layer in (0, JUKEBOX_LAYERS):
        encoder = Jukebox(replace(card, layers=JUKEBOX_LAYERS, layer=str(layer)), weights=weights, device=device)
        started = clock()
        (vector,) = encode(encoder, [audio.load(path, encoder.sample_rate)])
        seconds.append(clock() - started)
        assert not isinstance(vector, Exception), vector
    wanted, all_layers = int(_card("jukebox").layer), _card("jukebox").layers
    per_layer = 3600 * (seconds[1] - seconds[0]) / JUKEBOX_LAYERS / FIRST_SECONDS["jukebox"]
    layer_mb = 2 * (4 * 1200 * 4800 + 2 * 4800**2) / 1e6
    return {
        "device": _device(device),
        "seconds": _round(3600 * seconds[0] / FIRST_SECONDS["jukebox"] + wanted * per_layer),
        "seconds_per_layer": _round(per_layer),
        "layer": wanted,
        "peak_mb": round(_peak() + (wanted - JUKEBOX_LAYERS) * layer_mb),
        "first_seconds": FIRST_SECONDS["jukebox"],
        "how": f"{JUKEBOX_LAYERS} layers of {all_layers} measured, time and memory multiplied to {wanted}",
    }


def _fastest(call: Callable[[], None], clock: Callable[[], float]) -> float:
    """Of up to :data:`RUNS` calls within :data:`ENOUGH_SECONDS`, and at least one.

    The fastest, since what else runs on the machine makes processor seconds longer, and never shorter.
    """
    measured: list[float] = []
    began = clock()
    while len(measured) < RUNS and (not measured or clock() - began < ENOUGH_SECONDS):
        started = clock()
        call()
        measured.append(clock() - started)
    return min(measured)


def _load(name: str, described: Any, weights: Path, device: str) -> Any:
    from jukemir_like import representations
    from jukemir_like.encoders.encoder import encoder_class
    from jukemir_like.representations.stemjepa import StemJEPARepresentation

    on_gpu = None if device == speeds.CPU else device
    if described is not None:
        return encoder_class(described)(described, weights=weights, device=device)
    if name == STEMJEPA_BASE:
        return StemJEPARepresentation("stemjepa", weights=weights, device=device)
    return representations.load(name, device=device if name == "stemjepa" else on_gpu)


def _card(name: str) -> Any:
    """The card as it is measured: of a model of ``transformers`` with its description in it; None: it is no encoder's."""
    from jukemir_like.encoders import card as cards

    if name not in cards.names():
        return None
    card = cards.read(name)
    if name in CONFIGURATIONS:
        common = cards.read("musicfm").settings["config"] if CONFIGURATIONS[name] is _CONFORMER else {}
        described = {"config": common | CONFIGURATIONS[name], "model_type": CONFIGURATIONS[name].get("model_type", "muq")}
        settings = {key: value for key, value in card.settings.items() if key != "statistics_file"} | described
        card = replace(card, settings=settings)
    return replace(card, hub=None, revision=None)


def _save_weights(name: str, path: Path) -> None:
    """Random weights of a net of the published size."""
    import torch

    from jukemir_like.encoders import encoder, weights
    from jukemir_like.encoders.nets import pretrained
    from jukemir_like.encoders.transformers_models import describe
    from jukemir_like.stemjepa import checkpoint, config
    from jukemir_like.stemjepa.model import Network

    torch.manual_seed(0)
    if name == STEMJEPA_BASE:
        checkpoint.save(path, Network(config.Model(encoder=config.Encoder("base"))), provenance={})
        return
    card = _card(name)
    if name == "jukebox":
        card = replace(card, layers=JUKEBOX_LAYERS, layer="0")
    chosen = encoder.encoder_class(card)
    if name in CONFIGURATIONS:
        net = pretrained.build(describe(card, {}))
    else:
        none_yet = weights.WeightsHeader(path, {}, "0" * 64, {})
        with mock.patch.object(encoder, "_read_header", return_value=none_yet):
            net = chosen(card).build()
    counts = [sum(tensor.numel() for tensor in found) for found in (net.parameters(), net.state_dict().values())]
    if name != "jukebox" and card.parameters not in (None, *counts):
        print(f"{name}: {counts[0]:,} parameters, and its card says {card.parameters:,}", file=sys.stderr)
    tensors = {}
    for key, tensor in net.state_dict().items():
        values = 0.02 * torch.randn(tensor.shape, dtype=torch.float32)
        if key.endswith(("var", "variance", "original0", "deviation", "std")):
            values = values.abs() + 1
        half = name == "jukebox" and key.startswith("prior.layers") and tensor.ndim > 1
        tensors[key] = values.half() if half else values
    weights.save(path, card, tensors, {})


def write_page() -> None:
    """Puts what `make plan COST=1` says, with an empty cache, into its place in docs/cluster.md."""
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"{PAGE} has no place for the table"
    with tempfile.TemporaryDirectory() as empty:
        text = cost_table.table(estimates.estimate([], [], Cache(Path(empty))))
    PAGE.write_text(f"{before}{begin}\n\n```\n{text}\n```\n\n{end}{after}")


def _write_clip(path: Path) -> None:
    import numpy as np
    import soundfile

    noise = np.random.default_rng(0).standard_normal(CLIP_SECONDS * SAMPLE_RATE)
    soundfile.write(path, 0.1 * noise, SAMPLE_RATE, subtype="PCM_16")


def _device(device: str) -> str:
    if device == speeds.CPU:
        return device
    import torch

    return torch.cuda.get_device_name(device)


def _peak() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _round(seconds: float) -> float:
    return float(f"{seconds:.4g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--page", action="store_true", help="write docs/cluster.md")
    parser.add_argument("--device", default=speeds.CPU)
    parser.add_argument("--measure", action="store_true", help="one, in this process")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(_figures(options.names[0], options.device)))
        return
    for name in options.names:
        measure(name, options.device)
    if options.page:
        write_page()


if __name__ == "__main__":
    main()
