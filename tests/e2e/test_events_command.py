"""prise events: the store read with filters and followed, and the daemon's own events."""

import json
import re
import select
import signal
import time

import pytest

import feeding
from feeding import Feed, record, stored
from support import SECONDS, wait_until


@pytest.fixture
def collector(serve):
    return serve("collect")


def test_filters(prise, collector):
    port = collector.port("collect")
    now = time.time_ns() // 1000
    with Feed(port, host="alpha") as a, Feed(port, host="beta") as b:
        a.send(record("create", "/etc/x.conf", when_us=now - 3600_000_000),
               record("delete", "/etc/X.CONF.bak", when_us=now - 60_000_000),
               record("modify", "/home/a", when_us=now))
        a.wait_acknowledged()
        b.send(record("create", "/home/b", when_us=now))
        b.wait_acknowledged()

    def paths(*arguments):
        return [e["path"] for e in stored(prise, *arguments)]

    everything = ["/etc/x.conf", "/etc/X.CONF.bak", "/home/a", "/home/b"]
    assert paths() == everything
    assert paths("--path", "*.conf") == ["/etc/x.conf"]
    assert paths("--path", "/home/*") == ["/home/a", "/home/b"]
    assert paths("--text", "CONF") == everything[:2]
    assert paths("--client", "beta") == ["/home/b"]
    assert paths("--client", a.instance.hex()) == everything[:3]
    assert paths("--type", "create", "--type", "watch.delete") == [
        "/etc/x.conf", "/etc/X.CONF.bak", "/home/b"]
    assert paths("--since", "10m") == everything[1:]
    assert paths("--until", "10m") == everything[:1]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now // 1000000 - 1800))
    assert paths("--since", stamp) == everything[1:]
    assert paths("-n", "2") == everything[2:]
    assert paths("-n", "1", "--type", "create") == ["/home/b"]
    assert paths("--path", "nothing") == []
    assert paths("--since", "10m", "--until", "30s", "--client", "alpha") == ["/etc/X.CONF.bak"]


def test_a_line_for_people(prise, collector):
    with Feed(collector.port("collect"), host="far") as feed:
        feed.send(record("move", "/t/b", source=b"/t/a"))
        feed.wait_acknowledged()
    shown = prise("events")
    assert shown.code == 0 and shown.out.count("\n") == 1
    assert "move" in shown.out and "/t/a" in shown.out and "/t/b" in shown.out


def test_lines_of_another_day_have_its_date(prise, collector):
    with Feed(collector.port("collect")) as feed:
        feed.send(record("create", "/t/old", when_us=1700000000 * 10**6),
                  record("create", "/t/new"))
        feed.wait_acknowledged()
    prise.environment["TZ"] = "UTC"
    old, new = prise("events").out.splitlines()
    assert old.startswith("2023-11-14 22:13:20 ") and re.match(r"\d\d:\d\d:\d\d ", new)


def read_line(process, seconds=SECONDS):
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    assert ready, "no line came"
    return process.stdout.readline()


def test_following(prise, collector):
    port = collector.port("collect")
    feeding.plain(port, b"CREATE:before\n")
    wait_until(lambda: stored(prise), "the first")
    follower = prise.start("events", "--json", "--follow", "--type", "create")
    assert json.loads(read_line(follower))["path"] == "before"
    feeding.plain(port, b"DELETE:x\nCREATE:after\n")
    assert json.loads(read_line(follower))["path"] == "after"
    follower.send_signal(signal.SIGINT)
    assert follower.wait(SECONDS) == -signal.SIGINT


def test_following_ends_when_nobody_reads(prise, collector):
    feeding.plain(collector.port("collect"), b"CREATE:before\n")
    wait_until(lambda: stored(prise), "the first")
    follower = prise.start("events", "--follow")
    read_line(follower)
    follower.stdout.close()
    follower.wait(SECONDS)
    follower.stdout = None


def test_the_daemons_own_events(prise, serve):
    daemon = serve("collect", "role")
    with daemon.connect("role") as s:
        assert s.recv(100) == b"principal"
        done = wait_until(lambda: (d := prise("events", "--type", "role", "--json")).events and d,
                          "the change of role")
        assert [e["type"] for e in done.events] == ["role.change"] and done.code == 0
        follower = prise.start("events", "--type", "role.change", "--follow", "-n", "1")
        assert b"role.change" in read_line(follower)
        with daemon.connect("role") as second:
            second.sendall(b"ROLE/1 name=b\n")
            assert b"secondaire" in read_line(follower)
    assert prise("events", "--type", "check", "--json").events == []


def test_wrong_usage(prise):
    for arguments, word in ((["--type", "BAD"], "no type BAD"), (["--since", "soon"], "no time"),
                            (["--type", "crate"], "try: create"),
                            (["x"], "no argument"), (["--type", "role", "--path", "a"], "changes")):
        done = prise("events", *arguments)
        assert done.code == 2 and word in done.err, done


def test_a_store_that_is_none(prise, tmp_path):
    path = tmp_path / "some.db"
    path.write_bytes(b"this is no database\n" * 500)
    done = prise("events", "--store", path)
    assert done.code == 9 and "cannot be read" in done.err and "peer" not in done.err, done
    path.write_bytes(b"")
    done = prise("events", "--store", path)
    assert done.code == 9 and "nothing is in it yet" in done.err, done


def test_nothing_to_show(prise):
    done = prise("events")
    assert done.code == 9 and "nothing was collected" in done.err and "try:" in done.err
    done = prise("events", "--type", "role")
    assert done.code == 4 and "no prise serve" in done.err
    assert prise("events", "--json").events[0]["type"] == "error"
