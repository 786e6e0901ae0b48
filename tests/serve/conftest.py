import http.client
import json
import threading
from contextlib import contextmanager
from urllib.parse import quote

import pytest
import torch

from jukemir_like.core.cache import Cache
from jukemir_like.core.temporary import temporary_folder
from jukemir_like.serve.catalogue import Catalogue
from jukemir_like.serve.room import Room
from jukemir_like.serve.server import Server
from jukemir_like.stemjepa import checkpoint, config
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.model import Network

NAMES = ("trumpet", "muted trumpet", "drums")


@pytest.fixture(scope="session")
def model():
    return StemJEPA.from_pretrained(device="cpu")


class Client:
    """Asks a server as a browser would."""

    def __init__(self, server):
        self.server = server

    def request(self, method, path, body=None, headers=None, prefix=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=60)
        connection.request(method, (self.server.prefix if prefix is None else prefix) + path, body, headers or {})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response, content

    def json(self, method, path, body=None, **more):
        response, content = self.request(method, path, json.dumps(body) if isinstance(body, dict) else body, **more)
        return response.status, json.loads(content)

    def give(self, path, name=None):
        return self.json("POST", f"mix?name={quote(name or path.name)}", path.read_bytes())


@pytest.fixture
def library(tmp_path, write_audio):
    folder = tmp_path / "library"
    for number, name in enumerate(["a.wav", "<b>.wav", "sub/c.wav", "song - Bass.wav"]):
        write_audio(folder / name, seconds=3, seed=number)
    return folder


@contextmanager
def serving(model, library, cache, **options):
    with temporary_folder() as mixes, Server(0, mixes) as server:
        server.room = Room(model, Catalogue(model, library, Cache(cache), **options), server.prefix)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield Client(server)
        server.shutdown()
        thread.join()


@pytest.fixture
def client(model, library, tmp_path):
    with serving(model, library, tmp_path / "cache") as client:
        yield client


@pytest.fixture(scope="session")
def words_model(tmp_path_factory):
    """Untrained weights that take instruments in words; a part has 0.64 s."""
    torch.manual_seed(0)
    text = {"instruments": "text", "conditioning": "film", "text_buckets": 4096, "text_width": 16}
    settings = config.Model(
        encoder=config.Encoder("custom", width=16, depth=1, heads=2, chunk_seconds=0.64),
        predictor=config.Predictor(num_sources=3, width=24, depth=2, **text),
    )
    network = Network(settings)
    network.name_instruments(NAMES)
    torch.nn.init.normal_(network.predictor.modulation.weight, std=0.2)
    path = tmp_path_factory.mktemp("weights") / "words.safetensors"
    checkpoint.save(path, network, provenance={}, sources=NAMES)
    return StemJEPA.from_pretrained(path, "cpu")


@pytest.fixture
def words_client(words_model, library, tmp_path):
    """A server whose weights take instruments in words, with parts of stems."""
    with serving(words_model, library, tmp_path / "cache", segments=True) as client:
        yield client


@pytest.fixture
def mix(tmp_path, write_audio):
    write_audio(tmp_path / "song.wav", seconds=4, seed=9, channels=2)
    return tmp_path / "song.wav"
