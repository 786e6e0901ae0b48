"""One HTTP exchange: a rest is put together only with the beginning that it belongs to, and only the declared file is accepted."""

import gzip
import hashlib
from dataclasses import replace

import pytest

from jukemir_like.downloads.download import download

SIZE = 300_000
PATH = "audio/one.mp3"


def ranges(host):
    return [headers.get("Range") for headers, _ in host.gets(PATH)]


def test_what_has_arrived_is_not_asked_for_again(get, host, data, hasty):
    host.show(PATH, host.cut(100_000), host.cut(50_000), host.stall(30_000))
    _, found = get(policy=replace(hasty, read_seconds=1.0))
    assert found == data
    assert ranges(host) == [None, "bytes=100000-", "bytes=150000-", "bytes=180000-"]
    assert [status for _, status in host.gets(PATH)] == [200, 206, 206, 206]
    assert all(headers["If-Range"] == f'"{hashlib.md5(data).hexdigest()}"' for headers, _ in host.gets(PATH)[1:])


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


def test_a_trickle_is_a_stall(get, host, data, hasty, make_host):
    second = make_host("second")
    (second.folder / "audio").mkdir()
    (second.folder / PATH).write_bytes(data)

    # The next byte always comes in time. Who does not give up has the file from here after ten seconds.
    host.show(PATH, always=host.change(piece=1, rate=20.0, rate_bytes=200))
    summary, found = get(urls=[host.url(PATH), second.url(PATH)], policy=hasty)
    assert found == data
    assert summary.rows[0].source == second.url("").split("/")[2]
    assert len(host.gets(PATH)) == hasty.attempts


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


def test_connections_are_kept_open_between_small_files(host, declare, asset, cache, quick, noise):
    declared = []
    for number in range(40):
        data = noise(5000, number)
        (host.folder / f"{number}.mp3").write_bytes(data)
        declared.append(asset(f"{number}.mp3", host.url(f"{number}.mp3"), data, size=5000))
    assert download(declare(*declared), cache, policy=quick, num_parallel=4).done == 40
    assert host.connections == 4
