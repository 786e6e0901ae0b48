import json
import queue
import socket
import threading
import time
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.serve.patience import Patience
from jukemir_like.serve.server import Server


def test_a_mix_is_given_asked_about_and_heard(client, mix, model, library):
    status, given = client.give(mix)
    assert (status, given["name"], given["seconds"]) == (200, "song.wav", 4.0)
    status, page = client.json("POST", "query", {"mix": given["mix"], "instrument": "bass"})
    assert status == 200
    found = page["comparisons"][0]
    expected = model.rank(library, mix, "bass", top=4)
    assert [one["name"] for one in found["candidates"]] == [path for path, _ in expected]
    assert [one["score"] for one in found["candidates"]] == pytest.approx([score for _, score in expected], abs=1e-5)
    assert [one["marks"] for one in found["candidates"] if one["name"] == "song - Bass.wav"] == [["same-track"]]
    for sound in (found["mix"], *found["candidates"]):
        response, content = client.request("GET", sound["audio"]["url"], prefix="")
        assert (response.status, response.headers["Content-Type"]) == (200, "audio/mpeg")
        assert len(content) > 1000


def test_the_page_allows_its_own_scripts_only_and_nothing_is_kept(client):
    response, content = client.request("GET", "")
    assert response.status == 200
    assert b"connect-src 'self'" in content
    assert b"unsafe" not in content
    assert response.headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("prefix", ["/", "/x/", "//", "/../", "/%2e%2e/"])
def test_without_the_token_there_is_nothing(client, prefix):
    for path in ("", "stems", "audio/x/mix"):
        assert client.json("GET", path, prefix=prefix)[0] == 404


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_other_hosts_and_origins_are_refused(client, headers):
    assert client.json("GET", "stems", headers=headers)[0] == 403


def test_stems_are_found_and_added_to_a_mix(client):
    _, found = client.json("GET", "stems?find=WAV")
    assert [(one["number"], one["name"]) for one in found["stems"]] == list(enumerate(["<b>.wav", "a.wav", "song - Bass.wav", "sub/c.wav"]))
    status, given = client.json("POST", "sum", {"generation": found["generation"], "stems": [1, 3]})
    assert (status, given["name"]) == (200, "a.wav + sub/c.wav")
    _, page = client.json("POST", "query", {"mix": given["mix"], "instrument": "drums"})
    notes = {one["name"]: one["notes"] for one in page["comparisons"][0]["candidates"]}
    assert "is in the mix" in notes["a.wav"]
    assert "is in the mix" not in notes["<b>.wav"]


def test_a_removed_stem_is_gone_and_the_rest_goes_on(client, mix, library, write_audio):
    _, given = client.give(mix)
    asked = {"mix": given["mix"], "instrument": "bass"}
    _, page = client.json("POST", "query", asked)
    urls = {one["name"]: one["audio"]["url"] for one in page["comparisons"][0]["candidates"]}
    (library / "a.wav").unlink()
    write_audio(library / "new.wav", seconds=3, seed=7)
    status, answer = client.json("GET", urls["a.wav"], prefix="")
    assert (status, answer["error"]) == (410, "a.wav was removed from the library: ask again")
    assert client.request("GET", urls["sub/c.wav"], prefix="")[0].status == 200
    _, again = client.json("POST", "query", asked)
    assert again["generation"] == page["generation"] + 1
    assert {one["name"] for one in again["comparisons"][0]["candidates"]} == {"<b>.wav", "song - Bass.wav", "new.wav", "sub/c.wav"}
    assert client.request("GET", urls["sub/c.wav"], prefix="")[0].status == 200


def test_a_library_that_is_gone_is_said(client, mix, library):
    _, given = client.give(mix)
    library.rename(library.with_name("other"))
    status, answer = client.json("POST", "query", {"mix": given["mix"], "instrument": "bass"})
    assert status == 409
    assert "is not a folder" in answer["error"]


def raw(client, text):
    with socket.create_connection(("127.0.0.1", client.server.server_port), timeout=10) as connection:
        connection.sendall(text.replace("TOKEN", client.server.token).replace("PORT", str(client.server.server_port)).encode())
        return connection.makefile("rb").read().decode()


def test_two_gigabytes_are_refused_before_they_come(client):
    head = "POST /TOKEN/mix?name=a.wav HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n"
    assert " 413 " in raw(client, f"{head}Content-Length: {2 << 30}\r\n\r\n").splitlines()[0]
    for declared in ("", "Content-Length: -1\r\n", "Content-Length: 1\r\nContent-Length: 2\r\n", "Transfer-Encoding: chunked\r\n"):
        assert " 411 " in raw(client, f"{head}{declared}\r\n").splitlines()[0]


def test_a_body_that_does_not_come_is_given_up(client):
    client.server.patience = Patience(silence=0.1)
    assert (
        " 408 "
        in raw(client, "POST /TOKEN/mix?name=a.wav HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 9\r\n\r\nRIFF").splitlines()[0]
    )


class Dripping:
    """Sends a byte each time that the server has looked at the clock, which goes on by a second then."""

    def __init__(self, client):
        self.client, self.now, self.looks = client, 0, queue.Queue()
        client.server.clock = self.look

    def look(self):
        self.now += 1
        self.looks.put(self.now)
        return self.now

    def send(self, at_once, then):
        """What the server answered, and how many bytes of ``then`` were sent until it did."""
        with socket.create_connection(("127.0.0.1", self.client.server.server_port), timeout=10) as connection:
            connection.sendall(at_once)
            sent, ended = 0, threading.Event()
            answer = []

            def receive():
                with suppress(ConnectionResetError):
                    answer.append(connection.makefile("rb").read())
                ended.set()
                self.looks.put(None)

            receiver = threading.Thread(target=receive)
            receiver.start()
            with suppress(OSError):  # the server has ended it
                while self.looks.get(timeout=10) and not ended.is_set():
                    connection.sendall(then[sent : sent + 1])
                    sent += 1
            receiver.join(10)
            assert ended.is_set()
        return b"".join(answer), sent


def test_a_head_that_comes_a_byte_at_a_time_is_not_waited_for(client):
    client.server.patience = Patience(silence=5, head=20)
    answer, sent = Dripping(client).send(b"GET /", b"x" * 1000)
    assert answer == b""
    assert 15 < sent < 30
    client.server.clock = time.monotonic
    assert client.json("GET", "stems")[0] == 200


def test_a_body_may_take_as_long_as_its_size_allows(client):
    head = f"POST {client.server.prefix}query HTTP/1.1\r\nHost: 127.0.0.1:{client.server.server_port}\r\nContent-Length: 1000\r\n\r\n"
    sent = []
    for rate in (100, 20):  # 20 s, and 10 or 50 more
        client.server.patience = Patience(silence=5, head=20, rate=rate)
        answer, bytes_sent = Dripping(client).send(head.encode(), b"x" * 1000)
        assert answer.startswith(b"HTTP/1.0 408 ")
        assert b"too slowly" in answer
        sent.append(bytes_sent)
    assert 25 < sent[0] < 40 < 60 < sent[1] < 85


def test_connections_at_once_are_limited(client):
    silent = [socket.create_connection(("127.0.0.1", client.server.server_port), timeout=10) for _ in range(16)]
    status, answer = client.json("GET", "stems")
    assert (status, answer["error"]) == (503, "too many connections at once: try again in a moment")
    for connection in silent:
        connection.close()
    assert any(client.json("GET", "stems")[0] == 200 for _ in range(1000))


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"[]", 400), (b"[" * 60000, 400), (b"{}", 400), (b" " * 70000, 413)])
def test_questions_that_are_none(client, body, status):
    assert client.json("POST", "query", body)[0] == status


def test_unknown_mixes_instruments_and_numbers(client, mix):
    assert client.json("POST", "query", {"mix": "x", "instrument": "bass"})[0] == 410
    _, given = client.give(mix)
    assert client.json("POST", "query", {"mix": given["mix"], "instrument": "\0"})[0] in (200, 422)
    assert client.json("GET", f"audio/{given['mix']}/1/99")[0] == 404
    assert client.json("GET", f"audio/{given['mix']}/9/0")[0] == 404
    assert client.json("GET", f"audio/{given['mix']}/1/..%2f..%2fa")[0] == 404


def test_two_servers_on_one_port(tmp_path):
    with Server(0, tmp_path) as first:
        said = f"port {first.server_port} of this machine is in use: give another --port"
        with pytest.raises(RequestError, match=said):
            Server(first.server_port, tmp_path)


@pytest.mark.slow
def test_two_thousand_requests_of_any_kind(words_client, tmp_path, mix):
    """Nothing outside the library is read, and the server goes on."""
    client = words_client
    (tmp_path / "secret.wav").write_bytes(b"RIFFsecret-of-the-folder")
    random = np.random.default_rng(0)
    given = client.give(mix)[1]["mix"]
    client.server.patience = Patience(silence=0.05)
    good = client.server.token
    pieces = [
        "..",
        "%2e%2e",
        "%2f",
        "\\",
        "secret.wav",
        "etc/passwd",
        "%00",
        "audio",
        "mix",
        "1",
        "0",
        "-1",
        "9" * 30,
        "stems",
        "sum",
        "query",
        "é",
    ]
    pieces += ["?find=a", "?name=a.wav", "?name=../../secret.wav", "#", "%", "%ff", "a" * 3000, "", str(tmp_path / "secret.wav")]
    pieces += ["details", "state", f"audio/{given}/1/0", f"details/{given}/1/1/1", f"details/{given}/1/1/999999999", given]
    values = [given, "x", "drums", "a jazz trumpet", "\0", "a" * 200, 1, -1, 1e300, None, True, False, [0], [[]], {}, [3, 99], [10**30]]
    ways_out = ["../secret.wav", "%2e%2e/secret.wav", "..%2fsecret.wav", "audio/../../secret.wav", "%2e%2e%2fsecret.wav"]
    lengths = ["0", "5", "-5", "x", "5, 5", "2147483648", "9" * 40, "1e3", " 5", "٥"]
    pick = lambda choices: choices[random.integers(len(choices))]  # noqa: E731
    statuses = Counter()
    for _ in range(2000):
        token = pick([good, good, good, good[:-1], good + "x", "", "..", "é"])
        path = "/" + token + "/" + pick(["/", "", "//"]).join(pick(pieces) for _ in range(random.integers(1, 6)))
        path = "/" + token + "/" + pick(ways_out) if random.random() < 0.3 else path
        lines = [
            f"{pick(['GET', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'get', 'X' * 50, ''])} {path} {pick(['HTTP/1.1', 'HTTP/1.0', 'HTTP/9', ''])}"
        ]
        lines += [f"Host: {pick(['127.0.0.1', 'localhost', 'evil', '[::1]'])}:{client.server.server_port}"] * int(random.integers(1, 3))
        lines += [f"Content-Length: {pick(lengths)}"] * int(random.integers(0, 3)) + pick([[], ["Transfer-Encoding: chunked"], [":"]])
        body = random.bytes(int(random.integers(0, 40)))
        if random.random() < 0.3:  # understood, and odd
            kind = pick(["query", "query", "sum"])
            asked = {"mix": given, "instrument": pick(["drums", "a jazz trumpet", "qqq"]), "segments": pick([True, False])}
            asked = {"generation": pick([1, 9]), "stems": pick([[99], [-1], [], [0] * 17])} if kind == "sum" else asked
            asked |= pick([{}, {pick([*asked]): pick(values)}])
            body = json.dumps(asked).encode()
            host = f"127.0.0.1:{client.server.server_port}"
            lines = [f"POST /{good}/{kind} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
        with socket.create_connection(("127.0.0.1", client.server.server_port), timeout=10) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            connection.shutdown(socket.SHUT_WR)
            try:
                answer = connection.makefile("rb").read()
            except ConnectionResetError:
                answer = b""
        statuses[answer[9:12]] += 1
        assert b"secret-of" not in answer
        assert b"root:" not in answer
        assert b" 500 " not in answer[:20]
    assert all(statuses[status] > 5 for status in (b"200", b"400", b"403", b"404", b"410", b"422", b"501")), statuses
    assert client.json("GET", "stems")[0] == 200
