import http.client
import json
import threading
from urllib.parse import quote

import pytest

from jukemir_like.core.cache import Cache
from jukemir_like.serve.catalogue import Catalogue
from jukemir_like.serve.room import Room
from jukemir_like.serve.server import Server
from jukemir_like.stemjepa.inference import StemJEPA


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


@pytest.fixture
def client(model, library, tmp_path):
    with Server(0) as server:
        server.room = Room(model, Catalogue(model, library, Cache(tmp_path / "cache")), server.prefix)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield Client(server)
        server.shutdown()
        thread.join()


@pytest.fixture
def mix(tmp_path, write_audio):
    write_audio(tmp_path / "song.wav", seconds=4, seed=9, channels=2)
    return tmp_path / "song.wav"
