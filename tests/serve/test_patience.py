import socket

import pytest

from jukemir_like.serve.patience import Incoming, Patience


@pytest.fixture
def ends():
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_what_comes_in_time_is_read_and_what_comes_later_is_not(ends):
    now = [100.0]
    incoming = Incoming(ends[0], Patience(silence=5, head=20), lambda: now[0])
    ends[1].sendall(b"abc")
    now[0] = 119.9
    assert incoming.read(2) == b"ab"
    now[0] = 120.0
    with pytest.raises(TimeoutError, match="too slowly"):
        incoming.read(1)
    incoming.allow(1)
    assert incoming.read(1) == b"c"
    ends[1].close()
    assert incoming.read(1) == b""


def test_silence_is_waited_for_no_longer_than_the_whole(ends):
    waited = []

    class Noted:
        def settimeout(self, seconds):
            waited.append(seconds)

        def recv_into(self, buffer):
            return len(buffer)

    now = [0.0]
    incoming = Incoming(Noted(), Patience(silence=5, head=20), lambda: now[0])
    incoming.read(1)
    now[0] = 18.0
    incoming.read(1)
    assert waited == [5, 5, 2, 5]
