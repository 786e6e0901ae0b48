"""One file over HTTP from hosts with every fault: nothing wrong is adopted, nothing right lost, and no host asked more than makes sense."""

import gzip
import hashlib
import socket
import time
from dataclasses import replace

import pytest

from jukemir_like.downloads.download import download

SIZE = 300_000
PATH = "audio/one.mp3"


@pytest.fixture
def data(noise):
    return noise(SIZE)


@pytest.fixture
def get(host, declare, asset, cache, quick, data):
    """Downloads one file; returns the summary and the bytes in the cache, None where there are none."""
    (host.folder / "audio").mkdir()
    (host.folder / PATH).write_bytes(data)

    def run(*, urls=None, digest=True, policy=quick, **more):
        chosen = declare(asset(PATH, urls or host.url(PATH), data if digest else None, **more))
        summary = download(chosen, cache, policy=policy)
        target = cache.dataset("testset") / PATH
        return summary, target.read_bytes() if target.exists() else None

    return run


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


def test_what_has_arrived_is_not_asked_for_again(get, host, data, hasty):
    host.show(PATH, host.cut(100_000), host.cut(50_000), host.stall(30_000))
    _, found = get(policy=replace(hasty, read_seconds=1.0))
    assert found == data
    assert ranges(host) == [None, "bytes=100000-", "bytes=150000-", "bytes=180000-"]
    assert [status for _, status in host.gets(PATH)] == [200, 206, 206, 206]
    assert all(headers["If-Range"] == f'"{hashlib.md5(data).hexdigest()}"' for headers, _ in host.gets(PATH)[1:])


def test_tries_are_counted_from_the_last_new_byte(get, host, data):
    host.show(PATH, *[host.cut(10_000)] * 20)
    _, found = get()
    assert found == data
    assert len(host.gets(PATH)) == 21


def test_a_server_that_ignores_ranges_sends_all_again(get, host, data):
    host.show(PATH, host.cut(100_000), host.change(ranges=False))
    _, found = get()
    assert found == data
    assert [status for _, status in host.gets(PATH)] == [200, 200]


def test_a_file_that_changes_between_two_pieces_is_begun_anew(get, host, data, noise):
    host.show(PATH, host.change(data=noise(SIZE, seed=9), etag='"old"', cut=100_000))
    _, found = get()
    assert found == data
    assert [status for _, status in host.gets(PATH)] == [200, 200]


@pytest.mark.parametrize("digest", [True, False])
def test_pieces_of_two_versions_are_not_put_together_where_if_range_is_ignored(get, host, data, noise, digest):
    host.show(PATH, host.change(data=noise(SIZE, seed=9), etag='"old"', cut=100_000), host.change(if_range=False))
    _, found = get(digest=digest)
    assert found == data


def test_pieces_of_two_files_without_versions_are_found_out_by_the_digest(get, host, data, noise):
    host.etags = host.dates = False
    host.show(PATH, host.change(data=noise(SIZE, seed=9), cut=100_000))
    _, found = get()
    assert found == data
    assert ranges(host) == [None, "bytes=100000-", None]


def test_a_beginning_longer_than_the_file_is_begun_anew(get, host, data, noise):
    host.etags = host.dates = False
    host.show(PATH, host.change(data=noise(2 * SIZE, seed=9), cut=SIZE + 100_000))
    _, found = get()
    assert found == data
    assert [status for _, status in host.gets(PATH)] == [200, 416, 200]


def test_without_digest_and_versions_nothing_is_put_together(get, host, data):
    host.etags = host.dates = False
    host.show(PATH, host.cut(100_000))
    _, found = get(digest=False)
    assert found == data
    assert ranges(host) == [None, None]


def test_a_weak_etag_is_no_version_and_a_date_is(get, host, data):
    host.show(PATH, host.change(etag='W/"x"', cut=100_000))
    _, found = get(digest=False)
    assert found == data
    assert host.gets(PATH)[1][0]["If-Range"].endswith("GMT")


@pytest.mark.parametrize(
    "wrong",
    [{"shift": 7}, {"headers": {"Content-Range": "bytes 0-299999/300000"}}, {"headers": {"Content-Range": "nonsense"}},
     {"headers": {"Content-Range": "bytes 100000-299999/400000"}}],
)  # fmt: skip
@pytest.mark.parametrize("digest", [True, False])
def test_a_wrong_range_is_not_believed(get, host, data, wrong, digest):
    host.show(PATH, host.cut(100_000), host.change(**wrong))
    _, found = get(digest=digest)
    assert found == data
    assert ranges(host) == [None, "bytes=100000-", None]


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


def test_what_has_arrived_survives_a_web_page_in_between(get, host, data):
    host.show(PATH, host.cut(100_000), host.page)
    _, found = get()
    assert found is None
    _, found = get()
    assert found == data
    assert ranges(host) == [None, "bytes=100000-", "bytes=100000-"]


@pytest.mark.parametrize("declared", [{"digest": True}, {"digest": True, "size": SIZE}, {"digest": False, "size": SIZE}, {"digest": False}])
def test_a_web_page_with_status_200_is_never_adopted(get, host, declared):
    host.show(PATH, always=host.page)
    summary, found = get(**declared)
    assert found is None
    assert "web page" in next(iter(summary.failed.values()))
    assert len(host.gets()) == 1


def test_a_web_page_that_does_not_say_so_is_found_out_by_size_or_digest(get, host):
    def page(answer):
        host.page(answer)
        answer.type = "application/octet-stream"

    host.show(PATH, always=page)
    assert get()[1] is None
    assert get(digest=False, size=SIZE)[1] is None


def test_redirects_without_end_are_left(get, host):
    host.show(PATH, always=host.redirect(PATH))
    summary, found = get()
    assert found is None
    assert "redirects without end" in next(iter(summary.failed.values()))


def test_a_redirect_to_no_web_address_is_left(get, host):
    host.show(PATH, always=host.change(status=302, headers={"Location": "file:///etc/passwd"}))
    summary, found = get()
    assert found is None
    assert "no web address" in next(iter(summary.failed.values()))


@pytest.mark.parametrize("when", ["1", "date"])
def test_a_server_that_says_when_is_waited_for(get, host, data, when):
    after = "1" if when == "1" else time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
    host.show(PATH, host.status(429, Retry_After=after))
    started = time.monotonic()
    _, found = get()
    assert found == data
    assert time.monotonic() - started >= 0.9


def test_a_server_that_says_tomorrow_is_not_waited_for(get, host):
    host.show(PATH, always=host.status(503, Retry_After="86400"))
    started = time.monotonic()
    summary, found = get()
    assert found is None
    assert time.monotonic() - started < 3
    assert "86400 s" in next(iter(summary.failed.values()))


def test_a_trickle_is_a_stall(get, host, data, hasty, make_host):
    second = make_host("second")
    (second.folder / "audio").mkdir()
    (second.folder / PATH).write_bytes(data)

    # the next byte always comes in time, the file never
    host.show(PATH, always=host.change(piece=1, rate=20.0))
    started = time.monotonic()
    _, found = get(urls=[host.url(PATH), second.url(PATH)], policy=hasty)
    assert found == data
    assert time.monotonic() - started < 5


def test_a_file_of_no_bytes_is_a_file(get, host):
    (host.folder / PATH).write_bytes(b"")
    summary, found = get(digest=False, sha256=hashlib.sha256(b"").hexdigest(), size=0)
    assert found == b""
    assert summary.exit_code == 0


def test_compression_that_is_the_file_s_own_format_is_left_alone(host, declare, asset, cache, quick):
    packed = gzip.compress(b"text" * 1000)
    (host.folder / "x.tar.gz").write_bytes(packed)
    host.show(
        "x.tar.gz",
        host.change(headers={"Content-Encoding": "x-gzip"}, type="application/x-tar", cut=10),
        host.change(headers={"Content-Encoding": "gzip"}),
    )
    summary = download(declare(asset("x.tar.gz", host.url("x.tar.gz"), packed)), cache, policy=quick)
    assert summary.exit_code == 0
    assert (cache.dataset("testset") / "x.tar.gz").read_bytes() == packed


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


def test_connections_are_kept_open_between_small_files(host, declare, asset, cache, quick, noise):
    declared = []
    for number in range(40):
        data = noise(5000, number)
        (host.folder / f"{number}.mp3").write_bytes(data)
        declared.append(asset(f"{number}.mp3", host.url(f"{number}.mp3"), data, size=5000))
    assert download(declare(*declared), cache, policy=quick, num_parallel=4).done == 40
    assert host.connections == 4
