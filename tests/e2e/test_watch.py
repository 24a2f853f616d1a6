"""prise watch: what it prints here, what reaches a server, and the truth test (tests/truth.py):
after kills, cuts and random changes the store is the disk."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time

import pexpect
import pytest
import truth
from feeding import stored
from support import SECONDS, free_port, wait_until

SOURCES = ["inotify", "poll"] + (["fanotify"] if os.geteuid() == 0 else [])


class Local:
    """A `prise watch DIR --local --json` with the changes it has printed so far."""

    def __init__(self, prise, tree, *options, source="inotify"):
        self.out = prise.directory / "changes"
        self.err = prise.directory / "talk"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = prise.start("watch", tree, "--local", "--json", "--settle", "50ms",
                                       "--poll", "200ms", "--source", source, *options,
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self.begin(tree)

    def changes(self):
        lines = self.out.read_bytes().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def begin(self, tree):
        """What stands there at the start is no change: until one is seen, it is still looking. The
        sign stays and grows, since who polls does not see what comes and goes."""
        sign = tree / ".sign"

        def told(*kinds):
            return self.process.poll() is not None or any(
                e["path"] == str(sign) and e["type"] in kinds for e in self.changes())

        def seen():
            with open(sign, "ab") as f:
                f.write(b".")
            return told("watch.create", "watch.modify")
        wait_until(seen, "the first change to be told")
        sign.unlink()
        wait_until(lambda: told("watch.delete"), "the end of the sign")

    def wait_for(self, what, path, **fields):
        def found():
            return [e for e in self.changes() if e["type"] == "watch." + what
                    and e["path"] == str(path) and all(e.get(k) == v for k, v in fields.items())]
        return wait_until(found, f"{what} of {path}")[0]


def fill_pipe_of(process, tree, least=1 << 20):
    """Makes so many files that their lines are more than `least` bytes; how many."""
    name = "n" * 200
    made = least // 250 + 1000
    for i in range(made):
        (tree / f"{name}{i}").touch()
    wait_until(lambda: b"pipe" in pathlib.Path(f"/proc/{process.pid}/wchan").read_bytes() or any(
        b"pipe" in task.read_bytes()
        for task in pathlib.Path(f"/proc/{process.pid}/task").glob("*/wchan")), "a full pipe")
    return made


@pytest.fixture
def tree(prise):
    path = prise.directory / "tree"
    path.mkdir()
    return path


@pytest.fixture(params=SOURCES)
def local(request, prise, tree):
    return Local(prise, tree, source=request.param)


# Here

def test_every_kind_of_change(local, tree):
    (tree / "a").write_bytes(b"hi")
    local.wait_for("create", tree / "a", kind="file")
    (tree / "a").write_bytes(b"hello")
    local.wait_for("modify", tree / "a", size=5)
    (tree / "a").chmod(0o600)
    local.wait_for("attrib", tree / "a", mode=0o600)
    (tree / "a").rename(tree / "b")
    moved = local.wait_for("move", tree / "b")
    assert moved["from"] == str(tree / "a")
    (tree / "b").unlink()
    local.wait_for("delete", tree / "b")
    os.symlink("nowhere", tree / "l")
    local.wait_for("create", tree / "l", kind="link", size=7)
    os.makedirs(tree / "x" / "y" / "z")
    (tree / "x" / "y" / "z" / "deep").write_bytes(b"1")
    local.wait_for("create", tree / "x" / "y" / "z" / "deep")
    (tree / "x").rename(tree / "w")
    local.wait_for("move", tree / "w", kind="directory")
    (tree / "w" / "y" / "z" / "deep").write_bytes(b"22")
    local.wait_for("modify", tree / "w" / "y" / "z" / "deep", size=2)


def test_names_of_any_bytes(local, tree):
    for name in (b"new\nline", b'quo"te', b"\xff\xfe", "été".encode(), b"n" * 255):
        path = os.fsencode(tree) + b"/" + name
        with open(path, "wb"):
            pass
        wait_until(lambda path=path: any(truth.raw(e, "path") == path for e in local.changes()),
                   repr(name))


def test_a_file_that_stays_open_is_told_after_a_while(local, tree):
    with open(tree / "open", "wb") as f:
        local.wait_for("create", tree / "open")
        f.write(b"x" * 100)
        f.flush()
        local.wait_for("modify", tree / "open", size=100)


def test_what_is_excluded(prise, tree):
    local = Local(prise, tree, "--exclude", "*.o", "--exclude", "build/", "--include", "keep.o")
    (tree / "build").mkdir()
    for name in ("build/x", "a.o", "keep.o", "a.c"):
        (tree / name).write_bytes(b"")
    local.wait_for("create", tree / "a.c")
    local.wait_for("create", tree / "keep.o")
    assert not any("build" in e["path"] or e["path"].endswith("a.o") for e in local.changes())


def test_a_directory_that_alone_is_included(prise, tree):
    """As a .gitignore takes a directory: with what is beneath; and `!` takes back out."""
    local = Local(prise, tree, "--include", "src/", "--include", "*.c", "--include", "!no.c",
                  "--include", ".sign")
    for name in ("src/in/deep.o", "src/a", "no.c", "b.o", "b.c"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"")
        if name != "b.o" and name != "no.c":
            local.wait_for("create", tree / name)
    assert not any(e["path"].endswith(("no.c", "b.o")) for e in local.changes())


def test_what_alone_is_included(prise, tree):
    local = Local(prise, tree, "--include", "*.c", "--include", ".sign")
    (tree / "a.o").write_bytes(b"")
    os.mkdir(tree / "d")
    (tree / "d" / "a.c").write_bytes(b"")
    local.wait_for("create", tree / "d" / "a.c")
    assert not any(e["path"].endswith("a.o") for e in local.changes())


def test_a_digest(prise, tree):
    local = Local(prise, tree, "--hash")
    (tree / "a").write_bytes(b"hello")
    wait_until(lambda: any(e.get("sha256") == hashlib.sha256(b"hello").hexdigest()
                           for e in local.changes()), "the digest")


def test_a_digest_of_a_huge_file_keeps_nobody_waiting(prise, tree):
    local = Local(prise, tree, "--hash")
    with open(tree / "huge", "wb") as f:
        f.truncate(1 << 40)
    (tree / "small").write_bytes(b"hello")
    local.wait_for("create", tree / "small")

    def huge():
        return [e for e in local.changes() if e.get("size") == 1 << 40]
    wait_until(huge, "its size")
    assert not any("sha256" in e for e in huge())
    local.process.send_signal(signal.SIGINT)
    assert local.process.wait(SECONDS) == 130


def test_the_trees_own_mode(local, tree):
    tree.chmod(0o711)
    local.wait_for("attrib", tree, mode=0o711)


@pytest.mark.root
def test_who_did_it(prise, tree):
    """fanotify tells the process; /proc its name and its user."""
    local = Local(prise, tree, source="fanotify")
    shell = subprocess.Popen(["sh", "-c", "echo x >a; read wait"], cwd=tree, stdin=subprocess.PIPE)
    told = local.wait_for("create", tree / "a")
    assert (told["pid"], told["program"], told["user"]) == (shell.pid, "sh", "root")
    shell.communicate(b"\n")


def test_lines_for_people(prise, tree):
    process = prise.start("watch", tree, "--local", stdin=subprocess.DEVNULL)
    os.set_blocking(process.stdout.fileno(), False)
    said = b""

    def seen():
        nonlocal said
        (tree / "a b").write_bytes(b"")
        (tree / "a b").unlink()
        said += process.stdout.read() or b""
        return b"create" in said and b"delete" in said
    wait_until(seen, "a line")
    assert re.search(rf'\d\d:\d\d:\d\d +create +"{tree}/a b"', said.decode())
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 130


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_it(prise, tree, end):
    """Without a server the state has no name: nobody finds it later, however it ended."""
    kept = pathlib.Path(prise.environment["XDG_STATE_HOME"])
    prise.environment["TMPDIR"] = str(prise.directory / "temporary")
    (prise.directory / "temporary").mkdir()
    local = Local(prise, tree)
    local.process.send_signal(end)
    local.process.wait(SECONDS)
    assert not list(kept.rglob("*")) and not list((prise.directory / "temporary").iterdir())


def test_the_tree_itself_goes_and_returns(local, tree):
    (tree / "a").write_bytes(b"x")
    local.wait_for("create", tree / "a")
    tree.rename(tree.parent / "elsewhere")
    gone = local.wait_for("gap", tree, why="gone")
    assert gone["reset"] is True
    tree.mkdir()
    (tree / "b").write_bytes(b"y")
    local.wait_for("create", tree / "b")


def test_a_reader_that_sleeps_does_not_keep_it_from_ending(prise, tree):
    """`| less`: the pipe is full and nobody reads."""
    process = prise.start("watch", tree, "--local", "--source", "inotify", stdin=subprocess.DEVNULL)
    fill_pipe_of(process, tree)
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 143


def test_a_reader_that_sleeps_keeps_nothing_from_the_server(prise, serve, tree):
    """What it misses is counted, with the numbers that `prise events` has."""
    port = serve("collect").port("collect")
    process = prise.start("watch", tree, "--to", f"127.0.0.1:{port}", "--json",
                          stdin=subprocess.DEVNULL)
    wait_until(lambda: stored(prise, "--type", "settled"), "the tree to be known")
    made = fill_pipe_of(process, tree, 3 << 20)
    wait_until(lambda: len(stored(prise, "--type", "create")) == made + 1, "everything")
    os.set_blocking(process.stdout.fileno(), False)
    printed = b""

    def missed():
        nonlocal printed
        printed += process.stdout.read() or b""
        (tree / "one more").write_bytes(b"")
        (tree / "one more").unlink()
        return [json.loads(line) for line in printed.splitlines(keepends=True)
                if b'"dropped"' in line and line.endswith(b"\n")]
    wait_until(missed, "a word on what is missing")
    at = 0
    for line in printed.splitlines(keepends=True):
        event = json.loads(line) if line.endswith(b"\n") else {}
        if event.get("type") == "gap":
            assert event["from"] == at + 1 and event["dropped"] == event["to"] - at
            at = event["to"]
        elif "seq" in event:
            at += 1
            assert event["seq"] == at
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 143


def test_the_line_that_updates_fits_the_terminal(prise, tree):
    deep = tree / ("d" * 100) / "été"
    deep.mkdir(parents=True)
    child = pexpect.spawn(prise.path, ["watch", str(deep), "--to", f"127.0.0.1:{free_port()}"],
                          timeout=SECONDS, env={**prise.environment, "LC_ALL": "C.UTF-8"},
                          dimensions=(24, 60))
    child.expect(rb"\x1b\[K([^\r\n]*)\r\x1b\[K")
    line = child.match[1].decode()
    assert len(line) == 59 and line.startswith("…") and "entries: " in line
    child.setwinsize(24, 200)
    child.expect(rb"\x1b\[K([^\r\n]*/\xc3\xa9t\xc3\xa9 \([^\r\n]*away)")
    child.sendintr()
    child.expect(pexpect.EOF)


def test_a_word_does_not_run_into_the_line_that_updates(prise, serve, tree):
    """On a terminal: what is said stands on a line of its own, from its beginning."""
    port = free_port()
    child = pexpect.spawn(prise.path, ["watch", str(tree), "--to", f"127.0.0.1:{port}"],
                          timeout=SECONDS, env=prise.environment, dimensions=(24, 200))
    heard = b""

    def hear(pattern):
        nonlocal heard
        child.expect(pattern)
        heard += child.before + child.after
    hear(rb"entries[^\n]*away")
    daemon = serve(f"collect=127.0.0.1:{port}")
    hear(rb"connected to [^\n]*\n[^\n]*has all")
    daemon.stop()
    hear(rb"trying again[^\n]*\n[^\n]*away")
    child.sendintr()
    child.expect(pexpect.EOF)
    heard += child.before
    lines = heard.replace(b"\r\n", b"\n").split(b"\n")
    shown = [line.rpartition(b"\r")[2].replace(b"\x1b[K", b"") for line in lines]
    said = [line for line in shown if b"prise watch" in line]
    assert len(said) >= 5 and all(re.match(rb"(\x1b\[[\d;]*m)?prise watch", s) for s in said), said


def test_usage(prise, tree):
    assert prise("watch", "--local").code == 2
    assert prise("watch", tree).code == 2
    assert prise("watch", tree, "--local", "--to", "127.0.0.1").code == 2
    assert "no server to talk to" in prise("watch", tree, "--local", "--tls").err
    (tree / "in").mkdir()
    assert prise("watch", tree, tree / "in", "--local").code == 2
    done = prise("watch", tree / "none", "--local")
    assert done.code == 9 and "none: no such file" in done.err
    (tree / "file").write_bytes(b"")
    assert prise("watch", tree / "file", "--local").code == 9
    assert prise("watch", tree, "--local", "--source", "magic").code == 2


# With a server

@pytest.fixture
def world(prise, tmp_path):
    made = []

    def make(seed=0, source="best", watch=()):
        directory = tmp_path / f"world{len(made)}"
        directory.mkdir()
        made.append(truth.World(directory, prise.path, seed, source, watch))
        return made[-1]
    yield make
    faults = [one.end() for one in made]
    assert not any(faults), "".join(filter(None, faults))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("seed", range(2))
def test_the_store_is_the_disk(world, source, seed):
    """Clients, server and network come and go while two processes change the tree."""
    replay = world(seed, source).run(1.5)
    assert replay.tree


def entries_known(w):
    """How many entries the client's index has."""
    for state in (w.directory / "c").rglob("watch/*.db"):
        with contextlib.closing(sqlite3.connect(state)) as database:
            return database.execute("SELECT entries FROM state").fetchone()[0]
    return 0


def test_changes_wait_for_a_server_that_is_away(world):
    w = world()
    w.start_client()
    for i in range(50):
        (w.root / str(i)).write_bytes(b"x" * i)
    wait_until(lambda: entries_known(w) == 51, "the tree to be known")
    w.client.kill()
    w.client.wait()
    (w.root / "0").unlink()  # while nobody looks
    w.start_server()
    w.start_client()
    replay = w.settle()
    assert "restart" in replay.gaps and len(replay.tree) == 50


def test_a_server_that_stops_is_come_back_to(world):
    w = world()
    w.start_server()
    w.start_client()
    w.settle()
    w.server.terminate()
    assert w.server.wait(SECONDS) == 0
    wait_until(lambda: "refuses: stopping (this server stops)" in w.said(), "its last word")
    (w.root / "meanwhile").write_bytes(b"x")
    w.start_server()
    assert "server" not in w.settle().gaps


def test_a_server_that_lost_its_store_is_told_everything(world):
    w = world()
    (w.root / "a").write_bytes(b"x")
    w.start_server()
    w.start_client()
    w.settle()
    w.kill(w.server)
    for path in (w.directory / "s" / "state" / "prise").glob("collect.db*"):
        path.unlink()
    (w.root / "b").write_bytes(b"y")
    w.start_server()
    assert "server" in w.settle().gaps


def test_a_client_that_lost_its_state_is_another(world):
    w = world()
    (w.root / "a").write_bytes(b"x")
    w.start_server()
    w.start_client()
    w.settle()
    w.kill(w.client)
    for path in (w.directory / "c" / "state" / "prise" / "watch").iterdir():
        path.unlink()
    w.start_client()
    wait_until(lambda: len({e["client"] for e in w.events()}) == 2, "a second client")


@pytest.mark.parametrize("hurt", ["cut", "bits"])
def test_a_state_that_was_damaged(world, hurt):
    w = world()
    for i in range(300):
        (w.root / f"file{i}").write_bytes(b"x")
    w.start_server()
    w.start_client()
    w.settle()
    w.client.terminate()
    w.client.wait(SECONDS)
    path, = (w.directory / "c" / "state" / "prise" / "watch").glob("*.db")
    content = bytearray(path.read_bytes())
    if hurt == "cut":
        del content[len(content) // 2:]
    else:
        for at in range(0, len(content), 512):
            content[at] ^= 0x55
    path.write_bytes(content)
    w.start_client()
    disk = truth.on_disk(os.fsencode(w.root))

    def told_anew():
        clients = {}
        for event in w.events():
            clients.setdefault(event["client"], truth.Replay()).take(event)
        return len(clients) == 2 and list(clients.values())[1].tree == disk
    wait_until(told_anew, "everything to be told again")
    assert list(path.parent.glob("*.damaged"))


def test_one_watcher_of_a_tree_for_a_server(world, prise):
    w = world()
    w.start_server()
    w.start_client()
    w.settle()
    done = subprocess.run([prise.path, "watch", w.root, "--to", f"127.0.0.1:{w.link.port}"],
                          env=w.environment("c"), capture_output=True, timeout=SECONDS,
                          check=False)
    assert done.returncode == 9 and b"another prise watches" in done.stderr


def test_its_own_state_is_left_out_however_it_is_reached(prise, serve, tree):
    """Each commit would be a change, and each change a commit."""
    port = serve("collect").port("collect")
    (tree / "real").mkdir(mode=0o700)
    (tree / "link").symlink_to("real")
    environment = {**prise.environment, "XDG_STATE_HOME": str(tree / "link")}
    process = prise.start("watch", tree, "--to", f"127.0.0.1:{port}", "--source", "inotify",
                          env=environment, stdin=subprocess.DEVNULL)
    for name in "ab":
        (tree / name).write_bytes(b"")
        wait_until(lambda n=name: str(tree / n) in [e["path"] for e in stored(prise)], "a file")
    assert not [e for e in stored(prise) if ".db" in e["path"]]
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 143


def test_a_state_is_of_a_set_of_trees_in_any_order(prise, tree):
    kept = pathlib.Path(prise.environment["XDG_STATE_HOME"])
    for name in "ab":
        (tree / name).mkdir()
    port = free_port()
    for names in "ab", "ba":
        process = prise.start("watch", *(tree / name for name in names), "--to",
                              f"127.0.0.1:{port}", stdin=subprocess.DEVNULL)
        process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)
    assert len(list(kept.rglob("*.db"))) == 1


def test_a_server_that_is_none(prise, tree, serve):
    daemon = serve("daytime")
    process = prise.start("watch", tree, "--to", f"127.0.0.1:{daemon.port('daytime')}")
    os.set_blocking(process.stderr.fileno(), False)
    said = b""

    def trying():
        nonlocal said
        said += process.stderr.read() or b""
        return b"trying again" in said
    wait_until(trying, "a word on it")
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 143


def test_the_server_away_is_said(prise, tree):
    process = prise.start("watch", tree, "--to", f"127.0.0.1:{free_port()}")
    os.set_blocking(process.stderr.fileno(), False)
    said = b""

    def trying():
        nonlocal said
        said += process.stderr.read() or b""
        return b"nobody listens" in said and b"wait in the spool" in said
    wait_until(trying, "a word on it")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 130 and time.monotonic() - began < 5
