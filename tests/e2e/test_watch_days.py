"""Bad days of watch and collect: limits of the kernel's, disks that are full, stores that are
locked, trees that go, clients that lie, files that are damaged. Whatever it was is said, and
afterwards the store is the disk. What must not happen to others is done in namespaces."""

import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess

import feeding
import pytest
import truth
from feeding import Feed, Refused, changes, record, stored
from support import SECONDS, sysctl, wait_until

SOURCES = ["inotify"] + (["fanotify"] if os.geteuid() == 0 else [])
BOXED = ["unshare", "--user", "--map-root-user", "sh", "-c"]
STRANGER = 12345  # a user whom no namespace of ours knows


class Day(truth.World):
    """A world whose client is started by way of `prefix`."""

    prefix = ()

    def start(self, who, *words):
        prefix = self.prefix if who == "c" else ()
        return subprocess.Popen([*prefix, self.program, *words], env=self.environment(who),
                                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def begin(self):
        self.start_server()
        self.start_client()
        self.settle()

    def wait_said(self, words):
        wait_until(lambda: words in self.said(), f"{words!r}; it said: {self.said()}")

    def gaps(self):
        return [e["why"] for e in self.events() if e["type"] == "watch.gap"]

    def wait_gap(self, why):
        wait_until(lambda: why in self.gaps(), f"a gap {why}; there are {self.gaps()}")

    def fill(self, count, size=10, at=None, name="file"):
        for i in range(count):
            ((at or self.root) / f"{name}{i}").write_bytes(b"x" * size)

    def state_of_client(self):
        return self.directory / "c" / "state" / "prise" / "watch"


@pytest.fixture
def day(prise, tmp_path):
    made = []

    def make(source="best", prefix=()):
        directory = tmp_path / f"day{len(made)}"
        directory.mkdir()
        made.append(Day(directory, prise.path, 0, source))
        made[-1].prefix = prefix
        return made[-1]
    yield make
    for one in made:
        one.end()
        log = (one.directory / "log").read_bytes()
        assert b"Sanitizer" not in log and b"runtime error" not in log, log


@contextlib.contextmanager
def mounted(place, size="3m"):
    """A small disk at `place`; gone at the end, if it is there still."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    place.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "prise", place],
                      check=False, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=False, capture_output=True)


def can_box():
    return subprocess.run([*BOXED, "true"], check=False, capture_output=True).returncode == 0


# The kernel's limits

@pytest.mark.root
@pytest.mark.parametrize("source", SOURCES)
def test_a_queue_of_sixteen(day, source):
    """It runs over with nearly everything in it: a gap says so, and a rescan finds all of it."""
    w = day(source)
    if not os.path.exists(f"/proc/sys/fs/{source}/max_queued_events"):
        pytest.skip("this kernel has no such limit")
    w.fill(20)
    w.start_server()
    with sysctl(f"fs.{source}.max_queued_events", 16):
        w.start_client()
        w.wait_said("watching")
    w.settle()
    w.client.send_signal(signal.SIGSTOP)
    for i in range(20):
        os.makedirs(w.root / f"d{i}" / "e")
        w.fill(5, at=w.root / f"d{i}" / "e")
        (w.root / f"file{i}").unlink()
    w.client.send_signal(signal.SIGCONT)
    assert "overflow" in w.settle().gaps


def test_no_watch_is_left(day):
    """The sysctl is named, nothing speaks of a disk, and what has no watch is polled."""
    if not can_box():
        pytest.skip("no user namespace to be had")
    w = day("inotify", [*BOXED, 'echo 20 >/proc/sys/user/max_inotify_watches && exec "$@"', "sh"])
    for i in range(60):
        (w.root / f"d{i}").mkdir()
    w.begin()
    w.wait_said("fs.inotify.max_user_watches=")
    w.wait_gap("full")
    assert "disk" not in w.said()
    for i in range(60):
        (w.root / f"d{i}" / "file").write_bytes(b"x" * i)
    w.settle()


def test_a_directory_without_permission(day):
    """What is in it is not known, and that is said; all else is; and then it is read after all."""
    closed = (0, 0)
    if os.geteuid() == 0 and not can_box():
        pytest.skip("no user namespace to be had")
    w = day("inotify", [*BOXED, 'exec "$@"', "sh"] if os.geteuid() == 0 else [])
    secret = w.root / "secret"
    secret.mkdir()
    w.fill(3, at=secret)
    secret.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(secret, STRANGER, STRANGER)
    else:
        secret.chmod(0)
    w.start_server()
    w.start_client()
    w.wait_gap("permission")
    (w.root / "else").write_bytes(b"x")
    wait_until(lambda: "else" in str(w.events()), "what stands beside it")
    w.wait_said("permission denied")
    assert not any("secret/" in e["path"] for e in w.events())
    if os.geteuid() == 0:
        os.chown(secret, *closed)
    secret.chmod(0o755)
    w.settle()


# The tree itself

@pytest.mark.parametrize("source", SOURCES)
def test_the_tree_is_deleted_and_made_again(day, source):
    w = day(source)
    w.fill(5)
    w.begin()
    shutil.rmtree(w.root)
    w.wait_gap("gone")
    w.wait_said("is gone")
    w.root.mkdir()
    w.fill(3, name="new")
    assert "returned" in w.settle().gaps


@pytest.mark.root
def test_the_tree_is_unmounted_and_comes_back(day):
    """What then stands at its path is told, and what was on it when it is there again."""
    w = day()
    disk = w.directory / "disk"
    with mounted(disk), mounted(w.root):
        subprocess.run(["umount", w.root], check=True)
        subprocess.run(["mount", "--bind", disk, w.root], check=True)
        w.fill(5)
        w.begin()
        wait_until(lambda: not subprocess.run(["umount", w.root], check=False,
                                              capture_output=True).returncode, "the unmount")
        w.wait_gap("gone")
        assert w.settle().tree.keys() == {os.fsencode(w.root)}
        subprocess.run(["mount", "--bind", disk, w.root], check=True)
        (w.root / "another").write_bytes(b"x")
        assert len(w.settle().tree) == 7


# Disks and stores

@pytest.mark.root
def test_the_clients_disk_is_full(day):
    """It is said, tried again, and in the end nothing is missing."""
    w = day()
    with mounted(w.directory / "c" / "state"):
        w.fill(10)
        w.begin()
        ballast = w.directory / "c" / "state" / "ballast"
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as f:
            while f.write(bytes(4096)):
                pass
        w.fill(2000, name=100 * "n")
        w.wait_said("changes are not lost")
        (w.root / "file0").unlink()
        w.fill(10, name="later")
        assert w.client.poll() is None
        ballast.unlink()
        w.settle()


def test_the_store_is_locked_for_long(day):
    """The client is sent away, keeps what it has, comes again; nothing was acknowledged before."""
    w = day()
    w.fill(3)
    w.begin()
    path = w.directory / "s" / "state" / "prise" / "collect.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        w.fill(10, name="meanwhile")
        w.wait_said("refuses: no_store")
        assert "meanwhile" not in str(w.events())
        newest, acknowledged = state_of(w, "newest, acknowledged")
        assert newest > acknowledged
        other.execute("ROLLBACK")
    w.settle()


def test_the_clients_state_is_locked_for_long(day):
    """What cannot be written is taken back, and found again: a gap says so."""
    w = day()
    w.fill(3)
    w.begin()
    path = next(w.state_of_client().glob("*.db"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        w.fill(10, name="meanwhile")
        w.wait_said("changes are not lost")
        other.execute("ROLLBACK")
    assert "disk" in w.settle().gaps


# Clients

def test_two_clients_with_one_id(day):
    """A state that was copied: the second waits while the first lives; then, knowing less than the
    server, it tells everything anew."""
    w = day()
    w.fill(5)
    w.begin()
    w.client.terminate()
    w.client.wait(SECONDS)
    shutil.copytree(w.directory / "c" / "state", w.directory / "copy" / "state")
    (w.directory / "copy" / "config").mkdir()
    w.start_client()
    w.fill(5, name="first")
    w.settle()
    second = w.start("copy", "watch", str(w.root), "--to", f"127.0.0.1:{w.link.port}",
                     "--settle", "50ms", "--poll", "300ms")
    try:
        w.wait_said("refuses: held")
        w.fill(5, name="then")
        w.settle()
        assert second.poll() is None
        w.client.terminate()
        w.client.wait(SECONDS)
        w.client = second
        (w.root / "first0").unlink()
        assert "server" in w.settle().gaps
    finally:
        second.terminate()
        second.wait(SECONDS)
    assert len({e["client"] for e in w.events()}) == 1


LIES = {
    "back": (2, 2, feeding.BAD_NUMBER),
    "again": (3, 1, feeding.BAD_NUMBER),
    "a gap": (5, 1, feeding.BAD_NUMBER),
    "huge": (2**62, 1, feeding.BAD_NUMBER),
    "the largest": (2**63 - 1, 1, feeding.BAD_NUMBER),
    "beyond it": (2**63 - 1, 2, feeding.BAD_NUMBER),
    "negative": (2**63, 1, feeding.BAD_NUMBER),
    "the last": (2**64 - 1, 1, feeding.BAD_NUMBER),
    "around": (2**64 - 1, 5, feeding.BAD_NUMBER),
    "none": (0, 1, feeding.BAD_NUMBER),
    "of nothing": (4, 0, feeding.BAD_FRAME),
    "of too many": (4, 2**32 - 1, feeding.BAD_FRAME),
    "fewer than said": (4, 5, feeding.BAD_RECORD),
}


def test_lies_about_numbers(prise, serve):
    """Each is refused, on its connection or on a new one; nothing of it is stored, and the truth is
    taken again afterwards."""
    port = serve("collect").port("collect")
    with Feed(port) as honest:
        instance = os.urandom(16)
        honest.send(*changes(3))
        assert honest.wait_acknowledged() == 3
        with Feed(port, instance) as feed:
            feed.send(*changes(3))
            assert feed.wait_acknowledged() == 3
        for name, (first, count, code) in LIES.items():
            for before in (0, 1):
                feed = wait_until(lambda: returns(port, instance), "its id to be free")
                with feed:
                    known = feed.newest
                    if before:
                        feed.send(*changes(1, known))
                        known = feed.wait_acknowledged()
                    shifted = first + known - 3 if 0 < first < 10 else first
                    with pytest.raises(Refused) as refused:
                        feed.send(*changes(1), first=shifted, count=count)
                        feed.hear()
                assert refused.value.args[0] == code, (name, before, refused.value)
        honest.send(*changes(1, 3))
        assert honest.wait_acknowledged() == 4
    for events in feeding.by_client(stored(prise)).values():
        assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
        assert [e["path"] for e in events] == [f"/tree/{i}" for i in range(len(events))]


def returns(port, instance):
    """A connection with that id; None while the last one has it."""
    try:
        return Feed(port, instance)
    except Refused as refused:
        assert refused.args[0] == feeding.HELD
        return None


def test_a_reset_may_leave_numbers_out(prise, serve):
    """And none but a gap with reset may; the largest leap leaves no number to go on with."""
    port, instance = serve("collect").port("collect"), os.urandom(16)
    reset = record("gap", "/tree", why=b"server", reset=True)
    for first in (1, 1000, 2**63 - 1):
        with wait_until(lambda: returns(port, instance), "its id to be free") as feed:
            feed.send(reset, first=first)
            assert feed.wait_acknowledged() == first
    with wait_until(lambda: returns(port, instance), "its id to be free") as feed:
        feed.send(reset)
        with pytest.raises(Refused) as refused:
            feed.hear()
        assert refused.value.args[0] == feeding.BAD_NUMBER
    assert [e["seq"] for e in stored(prise)] == [1, 1000, 2**63 - 1]


@pytest.mark.parametrize("newest", [2**62, 2**62 + 1, 2**64 - 1])
def test_a_server_that_lies_about_numbers(day, newest):
    """A number that leaves some to go on with is one that others gave; another is not believed, and
    is nobody's fault here."""
    w = day()
    w.link.close()
    with socket.create_server(("127.0.0.1", w.link.port)) as liar:
        w.start_client()
        liar.settimeout(SECONDS)
        with liar.accept()[0] as s:
            s.settimeout(SECONDS)
            s.sendall(feeding.HEAD.pack(feeding.WELCOME, 0, 0, 16)
                      + feeding.struct.pack(">QII", newest, 4 << 20, 512 << 10))
            heard = b""
            while part := s.recv(65536):
                heard += part
                if newest == 2**62 and feeding.struct.pack(">Q", newest + 1) in heard:
                    break
        if newest > 2**62:
            w.wait_said("does not keep to the protocol")
    assert w.client.poll() is None and "damaged" not in w.said()


@pytest.mark.parametrize("kind", [feeding.HELLO, feeding.RECORDS, feeding.PING])
def test_a_frame_that_says_four_gigabytes(serve, kind):
    """Nobody waits for them."""
    port = serve("collect").port("collect")
    with Feed(port) as feed:
        feed.socket.sendall(feeding.HEAD.pack(kind, 0, 0, 2**32 - 1))
        with pytest.raises(Refused) as refused:
            feed.hear()
        assert refused.value.args[0] == feeding.BAD_FRAME


def test_a_packed_body_that_grows(serve):
    """What it unpacks to is what it says, or nothing is taken."""
    port = serve("collect").port("collect")
    if not shutil.which("zstd"):
        pytest.skip("no zstd here")
    bomb = subprocess.run(["zstd", "-qc"], input=bytes(64 << 20), capture_output=True, check=True)
    with Feed(port) as feed:
        feed.send(body=bomb.stdout, count=1, raw=1 << 20, flags=feeding.PACKED)
        with pytest.raises(Refused) as refused:
            feed.hear()
        assert refused.value.args[0] == feeding.BAD_RECORD


# Names

def test_long_names_of_plain_clients(prise, serve):
    daemon = serve("collect")
    feeding.plain(daemon.port("collect"), b"CREATE:" + 4096 * b"n" + b"\n",
                  b"CREATE:" + 4097 * b"m" + b"\nDELETE:" + 100000 * b"o" + b"\nCREATE:after\n")
    wait_until(lambda: "after" in str(stored(prise)), "what came behind it")
    assert [e["path"] for e in stored(prise)] == [4096 * "n", "after"]
    daemon.wait_log(r"feed\.line .*too long")


def test_long_paths_in_records(prise, serve):
    port = serve("collect").port("collect")
    with Feed(port) as feed:
        feed.send(record("create", "/" + 4095 * "a"), record("create", "/" + 16383 * "b"))
        assert feed.wait_acknowledged() == 2
        feed.send(record("create", "/" + 16384 * "c"))
        with pytest.raises(Refused) as refused:
            feed.hear()
        assert refused.value.args[0] == feeding.BAD_RECORD
    assert [len(e["path"]) for e in stored(prise)] == [4096, 16384]


def test_deeper_than_a_path_may_be(day):
    """Far beyond PATH_MAX all is told; beyond what a record holds a gap says so, and watch goes
    on."""
    w = day()
    at = os.open(w.root, os.O_RDONLY)
    for _ in range(70):
        os.mkdir("d" * 250, dir_fd=at)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=at)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        os.close(at)
        at = below
    os.close(at)
    w.start_server()
    w.start_client()
    w.wait_gap("too_long")
    wait_until(lambda: "watch.settled" in str(w.events()), "all of it to be known")
    lengths = [len(e["path"]) for e in w.events() if e["type"] == "watch.create"]
    assert 16384 - 300 < max(lengths) <= 16384
    (w.root / "beside").write_bytes(b"x")
    wait_until(lambda: "beside" in str(w.events()), "another change")
    subprocess.run(["rm", "-rf", w.root / ("d" * 250)], check=True)
    w.settle()


# Damage

def hurt(path, draw):
    """Cuts a file somewhere, or flips some bits of it."""
    content = bytearray(path.read_bytes())
    if draw.random() < 0.4:
        del content[draw.randrange(len(content)):]
    else:
        for _ in range(draw.choice([1, 3, 50])):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


@pytest.mark.parametrize("seed", [random.randrange(1 << 32) for _ in range(5)],
                         ids=lambda seed: "")
def test_a_state_that_is_damaged_somewhere(day, seed):
    """Found out, kept beside and begun anew, or without effect; in each case the truth is told."""
    print("seed", seed)
    draw = random.Random(seed)
    w = day()
    w.fill(100)
    w.begin()
    if draw.random() < 0.5:  # with something in the spool
        w.link.cut()
    w.fill(100, name="more")
    wait_until(lambda: state_of(w, "entries")[0] >= 201, "it to be in the index")
    w.client.send_signal(draw.choice([signal.SIGKILL, signal.SIGTERM]))
    w.client.wait(SECONDS)
    hurt(draw.choice([p for p in w.state_of_client().iterdir() if p.stat().st_size]), draw)
    (w.root / "file0").unlink()
    w.link.mend()
    w.start_client()
    disk = truth.on_disk(os.fsencode(w.root))

    def told():
        assert w.client.poll() is None, f"watch ended with {w.client.returncode}: {w.said()}"
        replays = {}
        for event in w.events():
            replays.setdefault(event["client"], truth.Replay()).take(event)
        newest = list(replays.values())[-1]
        return newest.tree == disk and (len(replays) == 1 or newest.gaps[:1] == ["damaged"])
    wait_until(told, "the truth")


def test_a_state_that_is_damaged_meanwhile(day):
    """watch cannot go on with it, and says what to do; then nothing is missing."""
    w = day()
    w.fill(300)
    w.begin()
    w.link.cut()
    path = next(w.state_of_client().glob("*.db"))

    def forgets():
        """All is in the file, and somebody has written to it since watch did: what it has in
        memory is of no use to it any more."""
        w.client.send_signal(signal.SIGSTOP)
        with contextlib.closing(sqlite3.connect(path, timeout=0.1)) as state:
            with contextlib.suppress(sqlite3.OperationalError), state:
                state.execute("UPDATE state SET one = one")
                state.commit()
                if state.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0:
                    return True
        w.client.send_signal(signal.SIGCONT)
        return False
    wait_until(forgets, "a moment between two transactions")
    os.truncate(path, 8192)
    w.client.send_signal(signal.SIGCONT)
    rounds = itertools.count()

    def ended():
        w.fill(100, name=f"more{next(rounds)}-")
        return w.client.poll() is not None
    wait_until(ended, "the end")
    assert w.client.returncode == 9
    assert "was damaged meanwhile" in w.said() and "try: the same again" in w.said()
    w.link.mend()
    w.start_client()
    wait_until(lambda: "damaged" in w.gaps(), "it to begin anew")
    assert list(w.state_of_client().glob("*.damaged"))


def state_of(w, columns):
    """What stands in the client's state, in numbers."""
    path = next(w.state_of_client().glob("*.db"))
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as state:
        return state.execute(f"SELECT {columns} FROM state").fetchone()
