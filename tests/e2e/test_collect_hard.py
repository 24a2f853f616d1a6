"""prise serve collect: clients that mean no good, and stores that go."""

import contextlib
import json
import pathlib
import sqlite3
import time

import pytest

import feeding
from feeding import Feed, Refused, changes, record, stored
from support import SECONDS, wait_until


def store_of(prise):
    return pathlib.Path(prise.environment["XDG_STATE_HOME"]) / "prise" / "collect.db"


@pytest.fixture
def collector(serve):
    return serve("collect")


def test_behind_what_plain_clients_said(prise, collector):
    """More of it than a commit takes waits for a store that takes nothing: clients of the feed hear
    of that, and do not wait behind it."""
    port = collector.port("collect")
    feeding.plain(port, b"CREATE:first\n")
    wait_until(lambda: stored(prise), "the store")
    other = sqlite3.connect(store_of(prise), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with collector.connect("collect") as plain:
        plain.sendall(b"".join(b"CREATE:%d/%b\n" % (i, 4000 * b"x") for i in range(2400)))
        collector.wait_log(r"collect\.disk .*ok=no")
        with pytest.raises(Refused) as refused:
            Feed(port)
        assert refused.value.args[0] == feeding.NO_STORE
        other.execute("ROLLBACK")
        other.close()
        wait_until(lambda: stored(prise, "--path", "2399/*"), "the last")


def test_bodies_that_hardly_come(prise, collector):
    """As many as fill what may wait, a byte now and then: they are sent away, and others go on."""
    port = collector.port("collect")
    head = (feeding.HEAD.pack(feeding.RECORDS, 0, 0, 512 * 1024)
            + feeding.struct.pack(">QII", 1, 1, 512 * 1024 - 16))
    with contextlib.ExitStack() as stack, Feed(port) as good:
        slow = [stack.enter_context(Feed(port)) for _ in range(140)]
        for feed in slow:
            feed.socket.sendall(head + b"x")
        collector.wait_log(r"collect\.full .*full=yes")
        good.send(*changes(1))
        good.socket.settimeout(0.5)
        until = time.monotonic() + SECONDS
        while good.acknowledged < 1:
            assert time.monotonic() < until, "the others are waited for"
            with contextlib.suppress(TimeoutError):
                good.wait_acknowledged()
            for feed in slow:
                with contextlib.suppress(OSError):
                    feed.socket.send(b"x")
        collector.wait_log(r"collect\.full .*full=no")


def test_a_store_that_is_removed(prise, collector):
    """Under a running server: another is made, and nothing is acknowledged that is in none."""
    port, store = collector.port("collect"), store_of(prise)
    follower = prise.start("events", "--json", "--follow")
    with Feed(port) as feed, Feed(port) as idle:
        feed.send(*changes(1))
        feed.wait_acknowledged()
        assert b"/tree/0" in follower.stdout.readline()
        for path in store.parent.glob("collect.db*"):
            path.unlink()
        feeding.plain(port, b"CREATE:plain\n")
        with pytest.raises(Refused) as refused:
            feed.send(*changes(1, 1))
            feed.wait_acknowledged()
        assert refused.value.args[0] == feeding.NO_STORE
        with pytest.raises(Refused):
            idle.hear()
    collector.wait_log(r"collect\.disk .*ok=no.*error=no_file")
    collector.wait_log(r"collect\.disk .*ok=yes")
    with Feed(port, feed.instance) as again:
        assert again.newest == 0
        again.send(*changes(2))
        again.wait_acknowledged()
    wait_until(lambda: len(stored(prise)) == 3, "all of them")
    assert collector.stop() == 0
    assert sorted(e["path"] for e in stored(prise)) == ["/tree/0", "/tree/1", "plain"]
    told = [json.loads(follower.stdout.readline()) for _ in range(4)]
    assert told[0]["type"] == "gap"
    assert sorted(e["path"] for e in told[1:]) == ["/tree/0", "/tree/1", "plain"]


def test_retention_that_fails_is_told(prise, serve):
    daemon = serve("collect", config="collect { keep = 1s }\n")
    feeding.plain(daemon.port("collect"), b"CREATE:old\n")
    wait_until(lambda: stored(prise), "the change")
    other = sqlite3.connect(store_of(prise), isolation_level=None)
    other.execute("CREATE TRIGGER stay BEFORE DELETE ON event BEGIN SELECT RAISE(FAIL, 'no'); END")
    feeding.plain(daemon.port("collect"), b"CREATE:new\n")
    daemon.wait_log(r"collect\.disk .*ok=no.*pruning=yes")
    other.close()


def test_retention_by_size_while_clients_send(prise, serve):
    """As many rows go as come: the file is not much larger than it may be."""
    daemon = serve("collect", config="collect { keep_size = 4M }\n")
    number, largest = 1200, 0
    body = b"".join(record("create", f"/{i}/" + 350 * "x") for i in range(number))
    with Feed(daemon.port("collect")) as feed:
        for _ in range(100):
            feed.send(body=body, count=number, raw=len(body))
            feed.wait_acknowledged(max(feed.last - 6 * number, 0))
            largest = max(largest, store_of(prise).stat().st_size)
        feed.wait_acknowledged()
    assert 3 << 20 < largest < 11 << 20, largest
