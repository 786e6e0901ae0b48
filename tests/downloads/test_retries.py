"""One file from hosts with every fault: nothing wrong is accepted, nothing right lost, and no host asked more than makes sense."""

import socket
import time
from dataclasses import replace
from email.utils import formatdate

import pytest

from jukemir_like.downloads.download import download

SIZE = 300_000
PATH = "audio/one.mp3"


def ranges(host):
    return [headers.get("Range") for headers, _ in host.gets(PATH)]


def test_a_good_host_is_asked_once_for_all(get, host, data, cache, leftovers):
    summary, found = get()
    assert found == data
    assert (summary.done, summary.failed, summary.exit_code) == (1, {}, 0)
    assert ranges(host) == [None]
    assert host.gets()[0][0]["Accept-Encoding"] == "identity"
    assert leftovers(cache.dataset("testset")) == []


FAULTS = {
    "a connection cut": lambda host: host.cut(100_000),
    "a connection cut before the first byte of the body": lambda host: host.change(data=b"", length=SIZE),
    "a connection reset": lambda host: host.cut(100_000, reset=True),
    "a stall": lambda host: host.stall(100_000),
    "a stall before the first byte": lambda host: host.change(stall=(1, 30)),
    "429": lambda host: host.status(429),
    "429 that says when": lambda host: host.status(429, Retry_After="0"),
    "500": lambda host: host.status(500),
    "503": lambda host: host.status(503),
    "wrong bytes": lambda host: host.wrong_bytes,
    "a file cut at its host": lambda host: host.shorter,
    "less than was promised": lambda host: host.promised_more,
    "no length": lambda host: host.change(length=False),
    "no length, and cut": lambda host: host.change(length=False, cut=100_000),
    "chunks": lambda host: host.change(chunked=True),
    "chunks, and cut": lambda host: host.change(chunked=True, cut=100_000),
    "unasked compression": lambda host: host.encoded,
    "unasked compression, and cut": lambda host: lambda answer: (host.encoded(answer), host.cut(100_000)(answer)),
    "a redirect": lambda host: host.redirect(PATH),
}


LASTING = sorted(FAULTS.keys() - {"no length", "chunks", "unasked compression"})  # these do no harm as long as nothing is cut


@pytest.mark.parametrize("size", [None, SIZE], ids=["size unknown", "size declared"])
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_is_survived(get, host, data, cache, leftovers, quick, hasty, fault, size):
    host.show(PATH, FAULTS[fault](host))
    summary, found = get(size=size, policy=hasty if "stall" in fault else quick)
    if fault == "a file cut at its host" and size:  # its length tells that it is another file: no reason to ask again
        assert found is None
        assert "150,000 bytes, not 300,000" in next(iter(summary.failed.values()))
        return
    assert found == data
    assert summary.exit_code == 0
    assert leftovers(cache.dataset("testset")) == []


@pytest.mark.parametrize("fault", LASTING)
def test_a_fault_that_does_not_pass_is_left_for_the_next_mirror(get, host, make_host, data, quick, hasty, fault):
    second = make_host("second")
    (second.folder / "audio").mkdir()
    (second.folder / PATH).write_bytes(data)
    broken = FAULTS[fault](host)
    host.show(PATH, always=lambda answer: (setattr(answer, "ranges", False), broken(answer)))
    summary, found = get(urls=[host.url(PATH), second.url(PATH)], policy=hasty if "stall" in fault else quick)
    assert found == data
    assert summary.rows[0].source == second.url("").split("/")[2]
    assert len(host.gets(PATH)) <= 20  # the longest: a redirect onto itself


@pytest.mark.parametrize("fault", LASTING)
def test_a_fault_that_does_not_pass_is_a_failure_with_a_reason_and_nothing_is_adopted(get, host, cache, quick, hasty, fault):
    broken = FAULTS[fault](host)
    host.show(PATH, always=lambda answer: (setattr(answer, "ranges", False), broken(answer)))
    summary, found = get(policy=hasty if "stall" in fault else quick)
    assert found is None
    assert summary.exit_code == 3
    assert host.url("").split("/")[2] in summary.text()
    assert not list(cache.dataset("testset").rglob("*.mp3"))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_mirror_without_the_file_is_left_at_once(get, host, make_host, data, status):
    second = make_host("second")
    (second.folder / "audio").mkdir()
    (second.folder / PATH).write_bytes(data)
    host.show(PATH, always=host.status(status))
    _, found = get(urls=[host.url(PATH), second.url(PATH)])
    assert found == data
    assert len(host.gets()) == 1


def test_mirrors_are_asked_in_their_order(get, host, make_host, data):
    others = [make_host(name) for name in ("second", "third")]
    for other in others:
        (other.folder / "audio").mkdir()
        (other.folder / PATH).write_bytes(data)
    get(urls=[host.url(PATH), *(other.url(PATH) for other in others)])
    assert [len(each.gets()) for each in (host, *others)] == [1, 0, 0]


def test_a_host_that_is_not_there_is_left_for_the_next(get, host, data):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    _, found = get(urls=[f"http://127.0.0.1:{port}/x", "http://no-such-host.invalid/x", host.url(PATH)])
    assert found == data


def test_hosts_that_are_not_there_are_a_reason(get, host, cache):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    summary, found = get(urls=[f"http://127.0.0.1:{port}/x"])
    assert found is None
    assert summary.failed["TEST_AUDIO_ONE_MP3"] == f"127.0.0.1:{port}: cannot be reached, 5 times in succession"


def test_tries_are_counted_from_the_last_new_byte(get, host, data):
    host.show(PATH, *[host.cut(10_000)] * 20)
    _, found = get()
    assert found == data
    assert len(host.gets(PATH)) == 21


def test_another_mirror_goes_on_where_the_first_stopped_if_a_digest_tells_that_it_may(get, host, make_host, data):
    second = make_host("second")
    (second.folder / "audio").mkdir()
    (second.folder / PATH).write_bytes(data)
    host.show(PATH, host.cut(100_000), always=host.status(404))
    _, found = get(urls=[host.url(PATH), second.url(PATH)])
    assert found == data
    headers, status = second.gets()[0]
    assert (headers["Range"], headers.get("If-Range"), status) == ("bytes=100000-", None, 206)


def test_another_mirror_begins_anew_without_a_digest(get, host, make_host, data):
    second = make_host("second")
    (second.folder / "audio").mkdir()
    (second.folder / PATH).write_bytes(data)
    host.show(PATH, host.cut(100_000), always=host.status(404))
    _, found = get(urls=[host.url(PATH), second.url(PATH)], digest=False)
    assert found == data
    assert "Range" not in second.gets()[0][0]


@pytest.mark.parametrize("when", ["1", "date"])
def test_a_server_that_says_when_is_waited_for(get, host, data, quick, waits, when):
    after = "1" if when == "1" else formatdate(time.time() + 3600, usegmt=True)
    host.show(PATH, host.status(429, Retry_After=after))
    _, found = get(policy=replace(quick, max_wait_seconds=4000.0))
    assert found == data
    (wait,) = waits
    assert wait == 1 if when == "1" else 0 < wait <= 3600
    assert len(host.gets(PATH)) == 2


def test_a_server_that_says_tomorrow_is_not_waited_for(get, host, waits):
    host.show(PATH, always=host.status(503, Retry_After="86400"))
    summary, found = get()
    assert found is None
    assert waits == []
    assert len(host.gets(PATH)) == 1
    assert "86400 s" in next(iter(summary.failed.values()))


def test_a_host_that_fails_file_after_file_is_not_asked_for_all_of_them(host, make_host, declare, asset, cache, quick, noise):
    second = make_host("second")
    declared = []
    for number in range(30):
        data = noise(1000, number)
        (second.folder / f"{number}.mp3").write_bytes(data)
        host.show(f"{number}.mp3", always=host.status(503))
        declared.append(asset(f"{number}.mp3", [host.url(f"{number}.mp3"), second.url(f"{number}.mp3")], data))
    summary = download(declare(*declared), cache, policy=quick, num_parallel=2)
    assert summary.done == 30
    assert len(host.gets()) <= 5 * (3 + 1)
    assert len(second.gets()) == 30
