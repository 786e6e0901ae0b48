"""The Hugging Face hub by a stand-in host with the shapes of its answers, its cache on disk, and folders of users."""

import hashlib
import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import tqdm.auto
from click.testing import CliRunner
from safetensors import safe_open

from jukemir_like import representations
from jukemir_like.cli.data import download
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import card as cards
from jukemir_like.encoders import encoder, hub, repositories, weights
from jukemir_like.encoders.card import RESOLVED
from jukemir_like.encoders.transformers_models import TransformersEncoder
from jukemir_like.launch import images, planning
from jukemir_like.report import costs

pytest.importorskip("transformers")

from . import tiny_models

COMMIT, LATER = "dba3bb02fda4248b6e082697eee756de8fe8aa8a", "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Answers as huggingface.co does: repositories by name and revision, large files by way of another host."""

    def __init__(self):
        self.repositories, self.requests, self.commit, self.extra = {}, [], COMMIT, {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.requests.append(self.path)
                status, body, headers = outer.answer(urlsplit(self.path))
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, parts):
        path = unquote(parts.path).strip("/").split("/")
        if path[:2] == ["api", "models"]:
            return self.describe("/".join(path[2:4]), "/".join(path[5:]), parts.query)
        if path[0] == "cdn":
            source = self.repositories["/".join(path[1:3])].joinpath(*path[3:])
            return 200, source.read_bytes(), {"Content-Type": "application/octet-stream"}
        name, revision, file = "/".join(path[:2]), path[3], path[4:]
        source = self.repositories[name].joinpath(*file)
        if revision != self.commit or not source.is_file():
            return 404, b"Entry not found", {"X-Error-Code": "EntryNotFound"}
        if source.suffix != ".json":
            return 302, b"", {"Location": f"{self.url}/cdn/{name}/{'/'.join(file)}", "X-Linked-Size": str(source.stat().st_size)}
        return 200, source.read_bytes(), {"Content-Type": "text/plain; charset=utf-8", "X-Repo-Commit": self.commit}

    def describe(self, name, revision, query):
        if name not in self.repositories:
            body = json.dumps({"error": "Invalid username or password."}).encode()
            return 401, body, {"Content-Type": "application/json", "X-Error-Code": "RepoNotFound"}
        if revision not in ("main", self.commit):
            body = json.dumps({"error": f"Invalid rev id: {revision}"}).encode()
            return 404, body, {"Content-Type": "application/json", "X-Error-Code": "RevisionNotFound"}
        assert query == "blobs=true"
        siblings = []
        for path in sorted(self.repositories[name].rglob("*")):
            data = path.read_bytes()
            sibling = {"rfilename": path.relative_to(self.repositories[name]).as_posix(), "size": len(data)}
            sibling["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            if path.suffix != ".json":
                sibling["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(sibling)
        value = {
            "_id": "621ffdc136468d709f17e88e",
            "id": name,
            "modelId": name,
            "sha": self.commit,
            "private": False,
            "gated": False,
            "disabled": False,
            "library_name": "transformers",
            "tags": ["transformers", "hubert", "license:apache-2.0", "region:us"],
            "cardData": {"license": "apache-2.0", "language": "en"},
            "siblings": siblings,
            "createdAt": "2022-03-02T23:29:05.000Z",
        }
        return 200, json.dumps(value | self.extra).encode(), {"Content-Type": "application/json; charset=utf-8"}


@pytest.fixture
def host(monkeypatch, tmp_path):
    """The stand-in for the hub, with one repository, ``facebook/hubert-base-ls960``."""
    made = Hub()
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no such folder"))
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "repository"
    folder.mkdir()
    tiny_models.save("hubert-base", folder)
    made.repositories["facebook/hubert-base-ls960"] = folder
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def bring(name, cache, card=None, own_copy=None):
    resolved = encoder.card_to_download(name, cache, card, own_copy)
    summary = weights.get(resolved, cache, TransformersEncoder.convert, own_copy=own_copy)
    assert not summary.failed, summary.failed
    return resolved


def vector(name, cache, **options):
    return representations.load(name, cache=cache, **options)([np.sin(np.arange(24000) / 7).astype(np.float32)])


NAME = "hf:facebook/hubert-base-ls960"


def test_a_model_of_the_hub_is_downloaded_pinned_and_used_offline(host, cache):
    card = bring(NAME, cache)
    assert (card.revision, card.licence, card.layers, card.width, card.sample_rate) == (COMMIT, "apache-2.0", 2, 16, 16000)
    assert {file.path for file in card.files} == {"config.json", "preprocessor_config.json", "model.safetensors"}
    for file in card.files:
        assert file.sha256 == hashlib.sha256((cache.weights(card.name) / file.path).read_bytes()).hexdigest()
        assert file.urls == (f"{host.url}/facebook/hubert-base-ls960/resolve/{COMMIT}/{file.path}",)
    assert [request for request in host.requests if request.startswith("/api")] == [
        "/api/models/facebook/hubert-base-ls960/revision/main?blobs=true"
    ]
    with safe_open(weights.locate(card, cache), "np") as file:
        assert (file.metadata()["repository"], file.metadata()["revision"]) == ("facebook/hubert-base-ls960", COMMIT)
    host.commit = LATER  # what is pinned stays
    before = len(host.requests)
    assert bring(NAME, cache) == card
    loaded = representations.load(NAME, cache=cache)
    assert (loaded.name, loaded.layer, loaded.parameters["revision"]) == (NAME, "1", COMMIT)
    assert vector(f"{NAME}@layer=2@pool=mean+std", cache).shape == (1, 32)
    assert len(host.requests) == before


def test_a_card_of_this_package_takes_its_files_from_the_hub(host, cache, tmp_path):
    path = tmp_path / "card.toml"
    path.write_text(cards.to_toml(tiny_models.card("hubert-base")))
    card = bring("hubert-base", cache, path)
    assert (card.revision, len(card.files)) == (COMMIT, 3)
    assert vector("hubert-base", cache, card=str(path)).shape == (1, 16)


def test_loading_starts_no_monitor_of_progress_bars(host, cache, monkeypatch):
    import transformers

    monkeypatch.setattr(tqdm.auto.tqdm, "monitor", None)  # whatever other tests have started
    assert transformers.utils.logging.is_progress_bar_enabled()
    bring(NAME, cache)
    vector(NAME, cache)
    assert tqdm.auto.tqdm.monitor is None, "workers are forked from this process: a thread in it could leave them a lock"


def test_a_users_card_of_ten_lines(host, cache, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        f"""
name = "mine"
title = "My HuBERT"
family = "transformers"
hub = "facebook/hubert-base-ls960"
revision = "{COMMIT}"
licence = "Apache 2.0"
sample_rate = 16000
width = 16
layers = 2
layer = "1"
"""
    )
    bring("mine", cache, path)
    np.testing.assert_array_equal(vector("mine", cache, card=str(path)), (bring(NAME, cache), vector(f"{NAME}@layer=1", cache))[1])
    # From then on it is known by its name alone, wherever a name is enough.
    np.testing.assert_array_equal(vector("mine@layer=1", cache), vector("mine", cache, card=str(path)))
    assert encoder.is_encoder("mine", cache=cache)
    assert encoder.weights_of("mine", cache) == "mine"
    assert costs.facts(cache, "mine@layer=2").licence == "Apache 2.0"
    container = planning.extraction("mine", str(tmp_path), str(tmp_path / "out"), cache=str(cache.root))
    assert container.image == images.reference("representations_hf")
    assert [mount.target for mount in container.mounts if "weights" in mount.target] == ["/cache/weights/mine"]
    # Another choice in the user's card counts when it is downloaded again; the weights are kept.
    path.write_text(path.read_text().replace('layer = "1"', 'layer = "2"'))
    assert vector("mine", cache, card=str(path)).tolist() != vector("mine", cache).tolist()
    bring("mine", cache, path)
    np.testing.assert_array_equal(vector("mine", cache), vector("mine@layer=2", cache))


def test_a_card_that_shares_the_weights_of_another_is_known_by_its_name_too(host, cache, tmp_path, monkeypatch):
    shared = tiny_models.card("hubert-base")  # the package's, with the numbers of the tiny model
    monkeypatch.setattr(cards, "read", {"hubert-base": shared}.__getitem__)
    path = tmp_path / "own.toml"
    path.write_text(cards.to_toml(replace(shared, name="own", weights="hubert-base", hub=None, layer="2")))
    finished = CliRunner().invoke(download, ["own", "--card", str(path), "--cache", str(cache.root)], catch_exceptions=False)
    assert "3 done" in finished.output, finished.output
    assert encoder.find_card("own", cache=cache).layer == "2"
    assert encoder.weights_of("own", cache) == "hubert-base"
    np.testing.assert_array_equal(vector("own", cache), vector("hubert-base@layer=2", cache))


def test_weights_in_parts_are_found_by_their_index(host, cache):
    from safetensors.torch import load_file, save_file

    folder = host.repositories["facebook/hubert-base-ls960"]
    tensors = sorted(load_file(folder / "model.safetensors").items())
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for name, part in zip(names, (tensors[:20], tensors[20:]), strict=True):
        save_file(dict(part), folder / name)
    whole = (bring(NAME, cache), vector(NAME, cache))[1]
    (folder / "model.safetensors").unlink()
    weight_map = {tensor: names[number >= 20] for number, (tensor, _) in enumerate(tensors)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    other = Cache(cache.root / "other")
    assert len(bring(NAME, other).files) == 4
    np.testing.assert_array_equal(vector(NAME, other), whole)


def test_the_cache_of_hugging_face_is_taken_instead_of_the_network(host, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    model = tmp_path / "hub" / "models--facebook--hubert-base-ls960"
    (model / "blobs").mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(COMMIT)
    snapshot = model / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for path in host.repositories["facebook/hubert-base-ls960"].iterdir():
        blob = model / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        blob.write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(Path("../../blobs") / blob.name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert bring(NAME, cache).revision == COMMIT
    assert vector(NAME, cache).shape == (1, 16)
    assert not host.requests


def test_a_folder_of_the_users_is_taken_instead_of_the_network(host, cache):
    card = bring(NAME, cache, own_copy=host.repositories["facebook/hubert-base-ls960"])
    assert card.revision is None
    assert vector(NAME, cache).shape == (1, 16)
    assert not host.requests


OTHERS = {
    "wav2vec2-conformer": ("Wav2Vec2Conformer", {"conv_depthwise_kernel_size": 3}),
    "unispeech": ("UniSpeech", {}),
    "unispeech-sat": ("UniSpeechSat", {}),
    "sew": ("SEW", {"conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2], "squeeze_factor": 2}),
    "wav2vec2-bert": ("Wav2Vec2Bert", {}),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_models_of_types_without_a_card(kind, tmp_path, cache):
    """A repository of each other type: by name, from a folder, beside a bare call of the library."""
    import torch
    import transformers

    name, extra = OTHERS[kind]
    torch.manual_seed(0)
    sizes = {key: value for key, value in tiny_models.SPEECH.items() if kind != "wav2vec2-bert" or not key.startswith(("conv", "num_conv"))}
    model = getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**(sizes | extra))).eval()
    tiny_models.write(tiny_models.randomised(model), tmp_path / "repository")
    settings = {"sampling_rate": 16000, "do_normalize": True}
    (tmp_path / "repository" / "preprocessor_config.json").write_text(json.dumps(settings))
    bring("hf:someone/model", cache, own_copy=tmp_path / "repository")
    loaded = representations.load("hf:someone/model", cache=cache)
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 16240).astype(np.float32)
    extractor = (
        transformers.SeamlessM4TFeatureExtractor() if kind == "wav2vec2-bert" else transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    )
    inputs = extractor(samples, sampling_rate=16000, return_tensors="pt")
    with torch.inference_mode():
        states = model(next(iter(inputs.values())), output_hidden_states=True).hidden_states
    expected = np.array([state[0].mean(dim=0).numpy() for state in states])
    np.testing.assert_allclose(loaded.vectors_of_layers([samples], loaded.layers)[0], expected, rtol=1e-3, atol=1e-4)


def no_weights(host):
    folder = host.repositories["facebook/hubert-base-ls960"]
    (folder / "model.safetensors").rename(folder / "tf_model.h5")


def remote_code(host):
    path = host.repositories["facebook/hubert-base-ls960"] / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoModel": "code.Model"}}))


def no_rate(host):
    (host.repositories["facebook/hubert-base-ls960"] / "preprocessor_config.json").unlink()


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("hf:nobody/nothing", lambda _: None, r"nobody/nothing: .*401 Unauthorized \(is the name right\?"),
        ("hf:nobody", lambda _: None, "hf:nobody names no model of the Hugging Face hub"),
        ("hf:a/../b", lambda _: None, "names no model of the Hugging Face hub"),
        (NAME, no_weights, r"has no model.safetensors or pytorch_model.bin \(it has tf_model.h5\)"),
        (NAME, remote_code, "asks for code of its own to be run"),
        (NAME, no_rate, "does not say its sample rate .* write a card"),
        (NAME, lambda host: host.extra.update(gated="manual"), "is gated"),
        (NAME, lambda host: host.extra.update(sha="main"), "has no commit: is it a host of the Hugging Face hub"),
        (NAME, lambda host: host.extra.update(siblings="none"), "siblings is 'none'"),
    ],
)
def test_what_cannot_be_had_is_one_line(host, cache, name, change, reason):
    change(host)
    with pytest.raises(RequestError, match=reason) as caught:
        encoder.card_to_download(name, cache)
    assert "\n" not in str(caught.value)
    assert not cache.root.exists()


def test_files_outside_of_a_repository_are_not_asked_for(host, cache):
    folder = host.repositories["facebook/hubert-base-ls960"]
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../config.json"}}))
    with pytest.raises(RequestError, match="names files that are not there"):
        encoder.card_to_download(NAME, cache)
    settings = {"chunk_seconds": 1.0, "weights_file": "../../weights.bin"}
    with pytest.raises(RequestError, match="is no file of a repository: correct the card"):
        hub.with_files(replace(tiny_models.card("hubert-base"), settings=settings), cache)


def test_a_damaged_description_is_noticed(host, cache, monkeypatch):
    monkeypatch.setattr(repositories, "_file", lambda sibling, file=repositories._file: replace_digest(file(sibling)))
    with pytest.raises(RequestError, match=r"config\.json arrived damaged"):
        encoder.card_to_download(NAME, cache)


def replace_digest(file):
    return repositories.RepositoryFile(file.size, file.sha256, file.git_digest and "0" * 40)


def test_offline_is_offline(host, cache, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(RequestError, match="HF_HUB_OFFLINE is set"):
        encoder.card_to_download(NAME, cache)
    assert not host.requests


def test_a_name_that_was_never_downloaded_says_which_command_to_run(cache):
    with pytest.raises(RequestError, match="`jukemir-like download hf:a/b` gets it"):
        representations.load("hf:a/b", cache=cache)


def test_a_card_is_written_as_it_is_read(tmp_path):
    for name in cards.names():
        (tmp_path / "card.toml").write_text(cards.to_toml(cards.read(name)))
        assert cards.read_file(tmp_path / "card.toml") == cards.read(name)


@pytest.mark.slow
def test_the_command_line_downloads_and_extracts(host, cache, tmp_path, command, write_audio):
    environment = {"JUKEMIR_LIKE_CACHE_DIR": str(cache.root), "HF_ENDPOINT": host.url}
    done = command("download", NAME, environment=environment)
    assert done.returncode == 0, done.stderr
    write_audio(tmp_path / "in" / "a.wav", seconds=1.0)
    host.server.shutdown()
    done = command("extract", f"{NAME}@layer=2", tmp_path / "in", tmp_path / "out", "--workers", "2", environment=environment)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "out" / "a.npy").shape == (16,)


def mine(**settings):
    return replace(tiny_models.card("hubert-base"), settings={"chunk_seconds": 1.0} | settings)


def bring_card(card, cache, own_copy=None):
    resolved = hub.with_files(card, cache, own_copy)
    return resolved, weights.get(resolved, cache, TransformersEncoder.convert, own_copy=own_copy)


def test_other_files_are_looked_for_where_a_setting_that_chooses_them_has_changed(host, cache):
    from safetensors.torch import load_file, save_file

    folder = host.repositories["facebook/hubert-base-ls960"]
    save_file({name: 2 * tensor for name, tensor in load_file(folder / "model.safetensors").items()}, folder / "other.safetensors")
    first, _ = bring_card(mine(), cache)
    digest = weights.read_header(weights.locate(first, cache)).digest
    asked = len(host.requests)
    assert hub.with_files(mine(chunk_seconds=0.5), cache).files == first.files  # chooses none
    assert len(host.requests) == asked
    changed, _ = bring_card(mine(weights_file="other.safetensors"), cache)
    assert {file.path for file in changed.files} == {"config.json", "preprocessor_config.json", "other.safetensors"}
    assert weights.read_header(weights.locate(changed, cache)).digest != digest


def test_weights_are_converted_again_where_the_conversion_depends_on_a_changed_setting(host, cache):
    for settings, converted in (
        ({}, True),
        ({}, False),
        ({"unused": ["none.*"]}, True),
        ({"unused": ["none.*"], "chunk_seconds": 0.5}, False),
    ):
        _, summary = bring_card(mine(**settings), cache)
        assert any("converted to" in note for note in summary.notes) == converted, settings


def test_what_has_not_succeeded_is_not_pinned(host, cache):
    first, _ = bring_card(mine(), cache)
    path = cache.weights(first.name) / RESOLVED
    before = path.read_bytes()
    folder = host.repositories["facebook/hubert-base-ls960"]
    (folder / "broken.safetensors").write_bytes(b"no weights")
    resolved = hub.with_files(mine(weights_file="broken.safetensors"), cache)
    assert path.read_bytes() == before  # as by --dry_run
    with pytest.raises(RequestError):
        weights.get(resolved, cache, TransformersEncoder.convert)
    assert path.read_bytes() == before
    resolved = hub.with_files(mine(weights_file="broken.safetensors"), cache)
    (folder / "broken.safetensors").unlink()
    (cache.weights(first.name) / "broken.safetensors").unlink()
    lost = replace(resolved, files=tuple(replace(file, urls=()) for file in resolved.files))
    assert weights.get(lost, cache, TransformersEncoder.convert).failed
    assert path.read_bytes() == before
    other = Cache(cache.root / "other")
    assert encoder.card_to_download(NAME, other).revision == COMMIT
    assert not other.root.exists()


def test_a_folder_counts_more_than_what_was_taken_from_another_folder(host, cache, tmp_path):
    bring(NAME, cache, own_copy=host.repositories["facebook/hubert-base-ls960"])
    own = tmp_path / "models" / LATER
    own.mkdir(parents=True)
    for path in host.repositories["facebook/hubert-base-ls960"].iterdir():
        (own / path.name).write_bytes(path.read_bytes())
    assert bring(NAME, cache, own_copy=own).revision == LATER
    assert weights.read_header(weights.locate(bring(NAME, cache), cache)).revision == LATER
    assert not host.requests


def test_weights_and_a_folder_of_another_commit_are_refused(host, cache, tmp_path):
    card, _ = bring_card(mine(), cache)
    loaded = TransformersEncoder(mine(), cache=cache)
    assert (loaded.parameters["hub"], loaded.parameters["revision"]) == (card.hub, COMMIT)
    (cache.weights(card.name) / RESOLVED).unlink()  # says nothing about what the weights are
    assert TransformersEncoder(mine(), cache=cache).parameters == loaded.parameters
    for changed in (replace(mine(), revision=LATER), mine(weights_file="other.safetensors"), replace(mine(), hub="a/b")):
        with pytest.raises(
            RequestError, match=r"was made of another .* than the card of hubert-base names: `jukemir-like download hubert-b"
        ):
            TransformersEncoder(changed, cache=cache)
    snapshot = tmp_path / COMMIT
    snapshot.mkdir()
    with pytest.raises(RequestError, match=f"is of another revision than the card of a/b names, {LATER}"):
        repositories.of_folder("a/b", snapshot, LATER)


@pytest.mark.parametrize(
    ("readme", "licence", "commercial"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model\n", "apache-2.0", True),
        ('---\r\nlicense: "cc-by-nc-4.0"  # as the paper\r\n---\r\n', "cc-by-nc-4.0", False),
        ("---\nlicense:\n- mit\ntags:\n- audio\n---\n", "mit", True),
        ("---\nlicense: other\nlicense_name: mine\n---\n", None, True),
        ("---\nlanguage: en\n---\nlicense: mit\n", None, True),
        ("# Model\nlicense: mit\n", None, True),
        ("", None, True),
        (None, None, True),
    ],
)
def test_the_licence_of_a_folder_is_that_of_its_card(host, cache, readme, licence, commercial):
    folder = host.repositories["facebook/hubert-base-ls960"]
    if readme is not None:
        (folder / "README.md").write_bytes(readme.encode())
    card = hub.resolve(NAME, cache, folder)
    assert (card.licence, card.commercial) == (licence or "not known: see its card on the hub", commercial)


def test_a_licence_that_is_not_known_is_said(host, cache):
    host.extra.update(cardData={"license": "other"}, tags=["license:other"])
    summary = weights.get(hub.resolve(NAME, cache), cache, TransformersEncoder.convert)
    assert "licence not known: see its card on the hub" in summary.notes
    assert not any("no commercial use" in note for note in summary.notes)
