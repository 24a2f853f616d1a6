"""prise serve collect and prise events: clients of the course and of the feed, the store behind
them, and its bad days."""

import contextlib
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading

import pytest

import feeding
from feeding import Feed, Refused, changes, record, stored
from streams import SANITIZED, resident_bytes
from support import SECONDS, Daemon, Prise, free_port, has_ipv6, wait_until


def store_of(prise):
    return pathlib.Path(prise.environment["XDG_STATE_HOME"]) / "prise" / "collect.db"


@pytest.fixture
def collector(serve):
    return serve("collect")


# The course's client

@pytest.mark.parametrize("parts,expected", [
    ([b"CREATE:a.txt"], [("create", "a.txt")]),
    ([b"CREATE:a.txt\n"], [("create", "a.txt")]),
    ([b"CREATE:a.txt\r\nDELETE:b\r\n"], [("create", "a.txt"), ("delete", "b")]),
    ([b"CREATE:a", b"MODIFY:a", b"DELETE:a"],
     [("create", "a"), ("modify", "a"), ("delete", "a")]),
    ([b"CREATE:a b\nMODIFY:c", b"d\n"], [("create", "a b"), ("modify", "cd")]),
    ([b"MOVED_FROM:a\nMOVED_TO:b\nATTRIB:c\nCLOSE_WRITE:d\nMOVE:e\n"],
     [("delete", "a"), ("create", "b"), ("attrib", "c"), ("modify", "d"), ("move", "e")]),
    (["CREATE:été.txt".encode()], [("create", "été.txt")]),
], ids=["bare", "line", "lines", "prefixes", "cut", "verbs", "utf-8"])
def test_what_a_plain_client_says(prise, collector, parts, expected):
    feeding.plain(collector.port("collect"), *parts)
    wait_until(lambda: len(stored(prise)) == len(expected), "the changes")
    events = stored(prise)
    assert [(e["type"], e["path"]) for e in events] == [
        (f"watch.{kind}", path) for kind, path in expected]
    assert all(e["client"] == "127.0.0.1" and e["service"] == "collect" for e in events)
    assert [e["seq"] for e in events] == list(range(1, len(expected) + 1))


def test_a_plain_name_that_is_no_text(prise, collector):
    feeding.plain(collector.port("collect"), b"CREATE:\xff\x1b[2J\n")
    wait_until(lambda: stored(prise), "the change")
    event, = stored(prise)
    assert event["path"] == "\ufffd\x1b[2J" and event["path_b64"] == "/xtbMko="
    shown = prise("events")
    assert "\x1b" not in shown.out and "create" in shown.out


def test_many_plain_clients_at_once(prise, collector):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(collector.connect("collect")) for _ in range(50)]
        for turn in range(4):
            for i, client in enumerate(clients):
                client.send(f"CREATE:{i}-{turn}\n".encode())
    wait_until(lambda: len(stored(prise)) == 200, "all of them")
    events = stored(prise)
    assert len({e["path"] for e in events}) == 200 and not feeding.has_doubles(events)


# The feed

def test_acknowledged_is_stored(prise, collector):
    with Feed(collector.port("collect"), host="far") as feed:
        assert feed.newest == 0
        feed.send(record("create", "/t/a", size=5, mode=0o640, inode=7),
                  record("move", "/t/b", source=b"/t/a", size=5),
                  record("gap", "/t", why=b"overflow", reset=True))
        feed.wait_acknowledged()
        events = stored(prise)
    assert [e["type"] for e in events] == ["watch.create", "watch.move", "watch.gap"]
    assert [e["seq"] for e in events] == [1, 2, 3]
    first, move, gap = events
    assert first["host"] == "far" and first["client"].endswith(f"/{feed.instance.hex()}")
    assert (first["path"], first["kind"], first["size"], first["inode"]) == ("/t/a", "file", 5, 7)
    assert move["from"] == "/t/a" and move["path"] == "/t/b"
    assert gap["why"] == "overflow" and gap["reset"] is True


def test_what_comes_again_is_stored_once(prise, collector):
    port = collector.port("collect")
    with Feed(port) as feed:
        feed.send(*changes(10))
        feed.wait_acknowledged()
    with Feed(port, feed.instance) as again:
        assert again.newest == 10
        again.send(*changes(8, 5), first=6)  # 6 to 10 once more, then 11 to 13
        again.wait_acknowledged()
    events = stored(prise)
    assert [e["seq"] for e in events] == list(range(1, 14)) and not feeding.has_doubles(events)
    assert [e["path"] for e in events] == [f"/tree/{i}" for i in range(13)]


@pytest.mark.parametrize("kill", [True, False], ids=["kill -9", "SIGTERM"])
def test_ended_in_the_middle(prise, serve, kill):
    """What was acknowledged is there, what was not comes again, nothing is there twice."""
    daemon = serve("collect")
    port = daemon.port("collect")
    feed = Feed(port)
    sent = 0
    for _ in range(20):
        feed.send(*changes(50, sent))
        sent += 50
    acknowledged = feed.hear_acknowledgement()
    daemon.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
    daemon.process.wait(SECONDS)
    feed.close()
    assert len(stored(prise)) >= acknowledged > 0  # without a daemon
    daemon = serve(f"collect=127.0.0.1:{port}")
    with Feed(port, feed.instance) as again:
        assert acknowledged <= again.newest <= sent
        while again.last < sent:
            again.send(*changes(50 - again.last % 50, again.last))
        again.wait_acknowledged()
    events = stored(prise)
    assert [e["seq"] for e in events] == list(range(1, sent + 1))
    assert [e["path"] for e in events] == [f"/tree/{i}" for i in range(sent)]


def test_a_server_that_stops_says_so(prise, serve):
    """To who is idle, and to who has sent something once that is acknowledged."""
    daemon = serve("collect")
    with Feed(daemon.port("collect")) as idle, Feed(daemon.port("collect")) as busy:
        busy.send(*changes(3))
        assert busy.wait_acknowledged() == 3
        daemon.signal(signal.SIGTERM)
        for feed in (idle, busy):
            with pytest.raises(Refused) as refused:
                feed.hear()
            assert refused.value.args[0] == feeding.STOPPING
    assert daemon.process.wait(SECONDS) == 0
    assert len(stored(prise)) == 3


def test_what_waits_is_committed_at_the_end(prise, serve):
    """The end of a daemon that stops is no end for what was said before it."""
    daemon = serve("collect")
    with daemon.connect("collect") as line, daemon.connect("collect") as bare:
        line.send(b"CREATE:line\n")
        bare.send(b"CREATE:bare")
        with daemon.connect("collect") as after:  # by then the others are read
            after.send(b"CREATE:after\n")
            wait_until(lambda: "after" in str(stored(prise)), "the last of the three")
        assert daemon.stop() == 0
    assert sorted(e["path"] for e in stored(prise)) == ["after", "bare", "line"]


def test_a_second_live_holder_is_refused(prise, collector):
    port = collector.port("collect")
    with Feed(port) as feed:
        with pytest.raises(Refused) as refused:
            Feed(port, feed.instance)
        assert refused.value.args[0] == feeding.HELD
        feed.send(*changes(1))
        assert feed.wait_acknowledged() == 1  # the first one goes on
    wait_until(lambda: joins(port, feed.instance), "the id to be free")


def joins(port, instance):
    try:
        Feed(port, instance).close()
        return True
    except Refused:
        return False


def test_only_the_liar_is_refused(prise, collector):
    port = collector.port("collect")
    with Feed(port) as honest, Feed(port) as liar, Feed(port) as garbled:
        honest.send(*changes(3))
        liar.send(*changes(2), first=7)
        garbled.send(b"\xff" * 48, count=1)
        assert honest.wait_acknowledged() == 3
        for feed, code in ((liar, feeding.BAD_NUMBER), (garbled, feeding.BAD_RECORD)):
            with pytest.raises(Refused) as refused:
                feed.wait_acknowledged()
            assert refused.value.args[0] == code
        honest.send(*changes(1, 3))
        assert honest.wait_acknowledged() == 4
    assert {e["client"].rpartition("/")[2] for e in stored(prise)} == {honest.instance.hex()}


def test_a_body_in_many_pieces(prise, collector):
    """Longer than any read, in slices with other clients' words between."""
    port = collector.port("collect")
    number = 3000
    with Feed(port) as feed, Feed(port) as other:
        frame = b"".join(changes(number))
        head = feeding.HEAD.pack(feeding.RECORDS, 0, 0, len(frame) + 16)
        data = head + feeding.struct.pack(">QII", 1, number, len(frame)) + frame
        feed.last = number
        for at in range(0, len(data), 30011):
            feed.socket.sendall(data[at:at + 30011])
            other.send(*changes(1, other.last))
            other.wait_acknowledged()
        assert feed.wait_acknowledged() == number
    events = stored(prise, "--client", feed.instance.hex())
    assert [e["path"] for e in events] == [f"/tree/{i}" for i in range(number)]


def test_whoever_leaves_in_the_middle_of_a_body(prise, collector):
    port = collector.port("collect")
    with Feed(port) as feed:
        feed.socket.sendall(feeding.HEAD.pack(feeding.RECORDS, 0, 0, 200016)
                            + feeding.struct.pack(">QII", 1, 2000, 200000) + bytes(100000))
    with Feed(port) as after:
        after.send(*changes(1))
        after.wait_acknowledged()
    assert len(stored(prise)) == 1


def test_five_thousand_at_once(prise, serve):
    number = 5000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < number + 200:
        pytest.skip("too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        daemon = serve("collect")
        port = daemon.port("collect")
        with contextlib.ExitStack() as stack:
            feeds = [stack.enter_context(Feed(port, hello=False)) for _ in range(number)]
            for feed in feeds:
                feed.socket.sendall(feeding.MAGIC)
                feed.frame(feeding.HELLO, feed.instance + b"many")
            for feed in feeds:
                assert feed.hear()[0] == feeding.WELCOME
            for feed in feeds:
                feed.send(*changes(2))
            for feed in feeds:
                assert feed.wait_acknowledged() == 2
            # Some KiB each beside what any daemon has.
            assert SANITIZED or resident_bytes(daemon.pid) < 64 << 20, resident_bytes(daemon.pid)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    events = stored(prise)
    assert len(events) == 2 * number and not feeding.has_doubles(events)


# The store's bad days

def test_a_store_that_is_locked(prise, collector):
    """By a writer for longer than we wait: framed clients are sent away and come again, plain ones
    are kept; and all is there afterwards."""
    port = collector.port("collect")
    with Feed(port) as feed:
        feed.send(*changes(1))
        feed.wait_acknowledged()
    other = sqlite3.connect(store_of(prise), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    feeding.plain(port, b"CREATE:plain\n")
    with pytest.raises(Refused) as refused:
        with Feed(port, feed.instance) as again:
            again.send(*changes(1, 1))
            again.wait_acknowledged()
    assert refused.value.args[0] == feeding.NO_STORE
    collector.wait_log(r"collect\.disk .*ok=no")
    other.execute("ROLLBACK")
    other.close()
    collector.wait_log(r"collect\.disk .*ok=yes")
    wait_until(lambda: joins(port, feed.instance), "the store to take more")
    with Feed(port, feed.instance) as again:
        again.send(*changes(1, 1))
        again.wait_acknowledged()
    wait_until(lambda: len(stored(prise)) == 3, "what the plain client said")
    assert sorted(e["path"] for e in stored(prise)) == ["/tree/0", "/tree/1", "plain"]


@pytest.mark.skipif(bool(SANITIZED), reason="memory means nothing under a sanitizer")
def test_what_waits_is_bounded(prise, collector):
    """Clients offer twice what may wait while nothing can be committed: reading stops, nobody's
    word is lost, and all goes on afterwards."""
    port, number, frames = collector.port("collect"), 36, 15
    one = b"".join(record("create", f"/{i}/" + 4000 * "x") for i in range(60))
    feeds = [Feed(port) for _ in range(number)]
    other = sqlite3.connect(store_of(prise), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def offer(feed):
        with contextlib.suppress(Refused, OSError, EOFError):
            for _ in range(frames):
                feed.send(body=one, count=60, raw=len(one))
            feed.wait_acknowledged()

    threads = [threading.Thread(target=offer, args=[feed]) for feed in feeds]
    for thread in threads:
        thread.start()
    collector.wait_log(r"collect\.disk .*ok=no")
    most = max(resident_bytes(collector.pid) for _ in range(20))
    assert most < 160 << 20, most
    other.execute("ROLLBACK")
    other.close()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    for feed in feeds:
        feed.close()
        wait_until(lambda f=feed: joins(port, f.instance), "the id to be free")
        with Feed(port, feed.instance) as again:
            assert again.newest >= feed.acknowledged and again.newest % 60 == 0
    with Feed(port) as after:
        after.send(*changes(1))
        assert after.wait_acknowledged() == 1


def test_a_reader_is_no_trouble(prise, collector):
    port = collector.port("collect")
    with Feed(port) as feed:
        feed.send(*changes(5))
        feed.wait_acknowledged()
        reader = sqlite3.connect(store_of(prise), isolation_level=None)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM event").fetchone() == (5,)
        for turn in range(20):
            feed.send(*changes(5, 5 + 5 * turn))
            feed.wait_acknowledged()
        assert reader.execute("SELECT count(*) FROM event").fetchone() == (5,)
        reader.close()
    assert len(stored(prise)) == 105


@pytest.mark.root
def test_a_full_disk(prise, serve, tmp_path):
    """Nothing is acknowledged that is not committed; once there is room it goes on."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "prise", place],
                      check=False, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted")
    try:
        prise.environment["XDG_STATE_HOME"] = str(place)
        daemon = serve("collect")
        port = daemon.port("collect")
        ballast = place / "ballast"
        ballast.write_bytes(bytes(1 << 20))
        feed = Feed(port)
        sent = acknowledged = 0
        with pytest.raises((Refused, ConnectionError, EOFError)) as ended:
            while sent < 100000:
                feed.send(*changes(500, sent))
                sent += 500
                acknowledged = feed.wait_acknowledged()
        assert ended.type is Refused and ended.value.args[0] == feeding.NO_STORE
        daemon.wait_log(r"collect\.disk .*ok=no error=disk")
        assert len(stored(prise)) == acknowledged
        ballast.unlink()
        wait_until(lambda: joins(port, feed.instance), "room")
        with Feed(port, feed.instance) as again:
            assert again.newest == acknowledged
            again.send(*changes(500, acknowledged))
            again.wait_acknowledged()
        assert [e["seq"] for e in stored(prise)] == list(range(1, acknowledged + 501))
        daemon.stop()
    finally:
        subprocess.run(["umount", "-l", place], check=False)


def test_a_store_that_is_no_store(prise, serve):
    path = store_of(prise)
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"this is no database\n" * 500)
    daemon = serve("collect", wait=False)
    assert daemon.process.wait(SECONDS) == 9
    assert "the record of collect is damaged" in daemon.log() and "try:" in daemon.log()
    assert path.read_bytes().startswith(b"this is no database")


def test_two_servers_and_one_store(prise, serve):
    serve("collect")
    second = serve("collect", wait=False)
    assert second.process.wait(SECONDS) == 9
    assert "another prise runs collect" in second.log()


def test_retention_by_age(prise, serve):
    """And of clients, with their last change, but for who is connected."""
    daemon = serve("collect", config="collect { keep = 1s }\n")
    port = daemon.port("collect")
    with Feed(port) as gone:
        gone.send(*changes(1))
        gone.wait_acknowledged()
    with Feed(port) as stays:
        stays.send(*changes(1))
        stays.wait_acknowledged()
        feeding.plain(port, b"CREATE:old\n")
        wait_until(lambda: "old" in str(stored(prise)), "the change")
        wait_until(lambda: not stored(prise), "it to be gone")
        feeding.plain(port, b"CREATE:new\n")
        wait_until(lambda: [e["path"] for e in stored(prise)] == ["new"], "the next one")

        def known():
            with contextlib.closing(sqlite3.connect(store_of(prise))) as store:
                return {row[0].rpartition("/")[2] for row in store.execute("SELECT id FROM client")}
        wait_until(lambda: known() == {stays.instance.hex(), "127.0.0.1"}, "one to be forgotten")
        stays.send(*changes(1, 1))
        assert stays.wait_acknowledged() == 2
    with Feed(port, gone.instance) as again:
        assert again.newest == 0
        again.send(*changes(1))
        assert again.wait_acknowledged() == 1


@pytest.mark.root
def test_as_another_user():
    """Root dropped, Landlock entered: what root left is the user's, and new files can be made."""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        everybodys = Prise(directory)
        everybodys.path = shutil.copy2(everybodys.path, directory / "prise")
        for place in (directory, directory / "state"):
            place.chmod(0o755)
        for config in ("", 'user = "nobody"\n'):
            daemon = Daemon(everybodys, "collect", config=config)
            before = len(stored(everybodys)) if store_of(everybodys).exists() else 0
            feeding.plain(daemon.port("collect"), b"CREATE:a\n")
            wait_until(lambda n=before: len(stored(everybodys)) == n + 1, "the change")
            uid = store_of(everybodys).stat().st_uid
            assert (uid != 0) == ("nobody" in config)
            assert daemon.stop() == 0, daemon.log()
        assert [e["seq"] for e in stored(everybodys)] == [1, 2]


# What is told of it

def test_the_log_says_who_comes_and_stays_quiet(prise, serve):
    daemon = serve("collect")
    with Feed(daemon.port("collect"), host="far") as feed:
        feed.send(*changes(100))
        feed.wait_acknowledged()
    daemon.wait_log(r"collect\.join .*name=far newest=0")
    daemon.wait_log(r"collect\.leave .*newest=100")
    assert "watch." not in daemon.log()


def test_changes_in_the_log_when_asked(prise, serve):
    daemon = serve("collect", config="collect { log = yes }\n")
    feeding.plain(daemon.port("collect"), b"CREATE:a b\n")
    daemon.wait_log(r'collect watch\.create client=127\.0\.0\.1 client_seq=1 path="a b"')


def test_a_flood_is_cut_short_in_the_stream_and_whole_in_the_store(prise, serve):
    daemon = serve("collect")
    number = 20000
    with Feed(daemon.port("collect")) as feed:
        for at in range(0, number, 1000):
            feed.send(*changes(1000, at))
        feed.wait_acknowledged()
    daemon.wait_log(r"collect\.omitted count=\d+")

    def all_told():
        told = prise("events", "--type", "watch", "--type", "collect", "--json").events
        lines = [e["client_seq"] for e in told if e["type"] == "watch.create"]
        omitted = sum(e["count"] for e in told if e["type"] == "collect.omitted")
        assert 0 < len(lines) < 1000 and lines == sorted(lines)
        return omitted + len(lines) == number

    wait_until(all_told, "what was left out to be told")
    assert len(stored(prise)) == number


def test_metrics_and_status(prise, serve):
    daemon = serve("collect", "http")
    with Feed(daemon.port("collect")) as feed:
        feed.send(*changes(3))
        feed.wait_acknowledged()
        with daemon.connect("http") as s:
            s.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
            text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    for line in ("prise_collect_clients 1", "prise_collect_rows 3", "prise_collect_records_total 3",
                 "prise_collect_refused_total 0", "prise_collect_failing 0",
                 "# TYPE prise_collect_commits_total counter"):
        assert f"\n{line}\n" in text, text


# All at once

def test_random_clients_come_and_go(prise, serve):
    """Several clients, killed servers, frames of any size: what is acknowledged is stored, once."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    draw = random.Random(seed)
    daemon = serve("collect")
    port = daemon.port("collect")
    done = {os.urandom(16): 0 for _ in range(4)}
    for _ in range(6):
        feeds = {}
        for instance, number in done.items():
            feeds[instance] = Feed(port, instance)
            assert feeds[instance].newest >= number
        for _ in range(draw.randrange(1, 10)):
            feed = draw.choice(list(feeds.values()))
            feed.send(*changes(draw.randrange(1, 400), feed.last))
        for instance, feed in feeds.items():
            if feed.last > feed.acknowledged and draw.random() < 0.7:
                done[instance] = feed.hear_acknowledgement()
        if draw.random() < 0.5:
            daemon.process.kill()
            daemon.process.wait()
            daemon = serve(f"collect=127.0.0.1:{port}")
        for feed in feeds.values():
            feed.close()
        wait_until(lambda: all(joins(port, instance) for instance in done), "free ids")
    for client, events in feeding.by_client(stored(prise)).items():
        instance = bytes.fromhex(client.rpartition("/")[2])
        assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
        assert [e["path"] for e in events] == [f"/tree/{i}" for i in range(len(events))]
        assert len(events) >= done[instance]


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6")
def test_ipv6_and_its_address(prise, serve):
    port = free_port()
    serve(f"collect=[::1]:{port}")
    feeding.plain(port, b"CREATE:a\n", address="::1")
    wait_until(lambda: stored(prise), "the change")
    assert stored(prise)[0]["client"] == "::1"
