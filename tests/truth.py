"""The truth test of watch and collect: random changes by several processes at once while client,
server and the network between are killed and brought back; afterwards the events of the store,
replayed, are the tree on disk, and each number is there once.

As a program: tests/truth.py --source inotify --seeds 1-200; a seed that fails is printed, with what
differs, and the program ends with 1."""

import argparse
import base64
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
SETTLED_S = 40  # a rescan, a reconnection and a sanitizer's pace included


# What is on disk, and what the store says

def on_disk(root, linked=()):
    """{path: (kind, size, mode)} of the tree, its root included; sizes of directories left out. A
    file that had several names (`linked`: inodes) is there, and no more is said of it: it may have
    been written through a name that was gone when somebody looked, or that lies outside."""
    tree = {}

    def note(path):
        st = os.lstat(path)
        kind = KINDS.get(stat.S_IFMT(st.st_mode), "other")
        tree[path] = (kind, None if kind == "directory" else st.st_size, st.st_mode & 0o7777)
        if st.st_ino in linked:
            tree[path] = (kind, None, None)
        return kind == "directory"

    def walk(path):
        if note(path):
            for name in os.listdir(path):
                walk(path + b"/" + name)
    if os.path.lexists(root):
        walk(root)
    return tree


def raw(event, field):
    return (base64.b64decode(event[field + "_b64"]) if field + "_b64" in event
            else event[field].encode())


def beneath(path, above):
    return path == above or path.startswith(above + b"/")


class Replay:
    """The tree that the events of one client make, in order; complains of those that cannot be."""

    def __init__(self):
        self.tree, self.seq, self.gaps, self.doubted = {}, 0, [], False

    def take(self, event):
        if "seq" in event:
            resets = event["type"] == "watch.gap" and event.get("reset")
            if event["seq"] != self.seq + 1 and not (resets and event["seq"] > self.seq):
                raise AssertionError(f"number {event['seq']} after {self.seq}: {event}")
            self.seq = event["seq"]
        getattr(self, event["type"].partition(".")[2])(event, raw(event, "path"))

    def state(self, event):
        size = None if event["kind"] == "directory" else event["size"]
        return event["kind"], size, event["mode"]

    def create(self, event, path):
        assert path not in self.tree, f"created though there: {event}"
        parent = path.rpartition(b"/")[0]
        assert parent in self.tree or not self.tree, f"created in nothing: {event}"
        self.tree[path] = self.state(event)

    def modify(self, event, path):
        assert path in self.tree, f"modified though not there: {event}"
        self.tree[path] = self.state(event)

    attrib = modify

    def delete(self, event, path):
        assert path in self.tree, f"deleted though not there: {event}"
        assert not any(beneath(p, path) and p != path for p in self.tree), f"not empty: {event}"
        del self.tree[path]

    def move(self, event, path):
        old = raw(event, "from")
        assert old in self.tree, f"moved though not there: {event}"
        assert not beneath(path, old), f"moved into itself: {event}"
        assert not any(beneath(p, path) and p != path for p in self.tree), f"onto a tree: {event}"
        moved = {path + p[len(old):]: s for p, s in self.tree.items() if beneath(p, old)}
        self.tree = {p: s for p, s in self.tree.items() if not beneath(p, old)}
        self.tree.update(moved)
        self.tree[path] = self.state(event)

    def gap(self, event, path):
        self.gaps.append(event["why"])
        if event.get("reset"):
            self.tree = {p: s for p, s in self.tree.items() if not beneath(p, path)}

    def settled(self, event, path):
        pass


def is_told(disk, told):
    """Whether the store says of each thing what the disk says, as far as it says anything."""
    return disk.keys() == told.keys() and all(
        mine == yours or (mine[0] == yours[0] and mine[1:] == (None, None))
        for mine, yours in ((disk[p], told[p]) for p in disk))


def difference(disk, told):
    lines = [f"{p!r}: disk {disk.get(p)}, told {told.get(p)}"
             for p in sorted(disk.keys() | told.keys()) if disk.get(p) != told.get(p)]
    return "\n".join(lines[:20])


# Who changes the tree: run as a process of its own

NAMES = [b"a", b"b", b"c", b"dir", b"x.txt", b"with space", b"n\newline", b"q\"uote", b"\xff\xfe",
         "été".encode(), b"-", b"c" * 200, b"d" * 60]


def put(path, content, flags=os.O_TRUNC | os.O_CREAT):
    """Writes a file, and does not wait for whoever might read a pipe of that name."""
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | flags, 0o644)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)


class Changer:
    def __init__(self, root, outside, chance):
        self.root, self.outside, self.chance = root, outside, chance

    def somewhere(self):
        """A directory of the tree, deep ones less often."""
        path = self.root
        while self.chance.random() < 0.6:
            with contextlib.suppress(OSError):
                below = [e.path for e in os.scandir(path) if e.is_dir(follow_symlinks=False)]
                if below:
                    path = self.chance.choice(below)
                    continue
            break
        return path

    def name(self):
        return self.somewhere() + b"/" + self.chance.choice(NAMES)

    def there(self):
        """Something that is there, if there is anything."""
        where = self.somewhere()
        names = os.listdir(where)
        return where + b"/" + self.chance.choice(names) if names else self.name()

    def write(self):
        path = self.name()
        put(path, b"x" * self.chance.randrange(3000))
        if self.chance.random() < 0.3:
            put(path, b"y" * 5000, os.O_APPEND)

    def append(self):
        put(self.there(), b"z" * self.chance.randrange(100), os.O_APPEND)

    def truncate(self):
        fd = os.open(self.there(), os.O_WRONLY | os.O_NONBLOCK)
        os.ftruncate(fd, self.chance.randrange(10))
        os.close(fd)

    def mkdir(self):
        os.mkdir(self.name())

    def chain(self):
        path = self.somewhere()
        for _ in range(self.chance.randrange(2, 8)):
            path += b"/" + self.chance.choice(NAMES)
        os.makedirs(path)
        for _ in range(3):
            put(path + b"/" + self.chance.choice(NAMES), b"deep")

    def rename(self):
        os.rename(self.there(), self.name())

    def replace(self):
        new = self.somewhere() + b"/.new"
        put(new, b"r" * self.chance.randrange(50))
        os.rename(new, self.there())

    def swap(self):
        one, two = self.there(), self.there()
        other = self.somewhere() + b"/swap"
        os.rename(one, other)
        os.rename(two, one)
        os.rename(other, two)

    def move_out(self):
        os.rename(self.there(), self.outside + b"/%d" % self.chance.randrange(1 << 60))

    def move_in(self):
        out = os.listdir(self.outside)
        if out:
            os.rename(self.outside + b"/" + self.chance.choice(out), self.name())

    def write_outside(self):
        """In what was moved out, and perhaps comes back."""
        for at, _, _ in os.walk(self.outside):
            if self.chance.random() < 0.3:
                put(at + b"/" + self.chance.choice(NAMES), b"outside")

    def link(self):
        path = self.there()
        with open(self.outside + b".links", "a", encoding="ascii") as f:
            f.write(f"{os.lstat(path).st_ino}\n")
        os.link(path, self.name(), follow_symlinks=False)

    def symlink(self):
        os.symlink(b"t" * self.chance.randrange(1, 40), self.name())

    def chmod(self):
        path = self.there()
        if not os.path.islink(path):
            os.chmod(path, self.chance.choice([0o644, 0o755, 0o700, 0o600, 0o1777]))

    def unlink(self):
        os.unlink(self.there())

    def rmtree(self):
        path = self.there()
        if os.path.isdir(path) and not os.path.islink(path):  # a pipe would be waited for
            shutil.rmtree(path, ignore_errors=True)

    def recreate(self):
        path = self.there()
        os.unlink(path)
        put(path, b"again")

    def fifo(self):
        os.mkfifo(self.name())

    ACTS = ([write] * 6 + [append, truncate, mkdir] * 2 + [chain, rename, rename, replace, swap,
            move_out, move_in, write_outside, link, symlink, chmod, unlink, unlink, rmtree,
            recreate, fifo])

    def run(self, seconds, rate):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(OSError, shutil.Error):
                self.chance.choice(self.ACTS)(self)
            if self.chance.random() < 0.05:
                time.sleep(self.chance.random() * 3 / rate * 20)


# The network between

class Link:
    """A relay of TCP connections that can be cut and mended."""

    def __init__(self, port):
        self.to, self.pairs, self.up = port, [], True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                try:
                    if not self.up:
                        raise OSError
                    far = socket.create_connection(("127.0.0.1", self.to), timeout=5)
                    far.settimeout(None)
                except OSError:
                    near.close()
                    continue
                self.pairs.append((near, far))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self.relay, args=pair, daemon=True).start()

    @staticmethod
    def relay(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def cut(self):
        self.up = False
        for pair in self.pairs:
            for s in pair:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)
        self.pairs.clear()

    def mend(self):
        self.up = True

    def close(self):
        self.cut()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # whoever waits in accept() keeps the port
        self.listener.close()


def goes_on(process, seconds):
    """Whether it still runs after so long; one that ends is not waited for."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


# The world of one seed

class World:
    def __init__(self, directory, program, seed, source="best", watch=(), log=None):
        self.directory, self.program = pathlib.Path(directory), program
        self.chance, self.source, self.watch_options = random.Random(seed), source, watch
        self.log = log or open(self.directory / "log", "ab")  # pylint: disable=R1732
        self.root, self.outside = self.directory / "tree", self.directory / "outside"
        for path in (self.root, self.outside, *(self.directory / n for n in ("s", "c"))):
            path.mkdir()
        self.port = self.free_port()
        self.link = Link(self.port)
        self.server = self.client = None
        self.restarts = 0

    @staticmethod
    def free_port():
        """Nobody else's while we are down."""
        from support import free_port  # pylint: disable=import-outside-toplevel
        return free_port()

    def environment(self, who):
        place = str(self.directory / who)
        return {**os.environ, "HOME": place, "XDG_STATE_HOME": place + "/state",
                "LC_ALL": "C.UTF-8", "XDG_CONFIG_HOME": place + "/config", "XDG_RUNTIME_DIR": place}

    def start(self, who, *words):
        return subprocess.Popen([self.program, *words], env=self.environment(who),
                                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def start_server(self):
        self.server = self.start("s", "serve", f"collect=127.0.0.1:{self.port}")

    def start_client(self):
        self.client = self.start("c", "watch", str(self.root), "--to",
                                 f"127.0.0.1:{self.link.port}", "--source", self.source,
                                 "--settle", "50ms", "--poll", "300ms", *self.watch_options)
        self.restarts += 1

    def said(self):
        return (self.directory / "log").read_text(errors="replace")

    def kill(self, process):
        assert process.poll() is None, f"it ended by itself with {process.returncode}"
        number = self.chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        process.send_signal(number)
        assert process.wait(30) in (0, -number, 128 + number), process.returncode
        assert not self.faults(), self.faults()

    def faults(self):
        """What a sanitizer said, if it did."""
        said = self.said()
        found = re.search("Sanitizer|runtime error", said)
        return found and said[max(0, found.start() - 500):][:20000]

    def events(self):
        done = subprocess.run([self.program, "events", "--json", "--type", "create", "--type",
                               "modify", "--type", "delete", "--type", "move", "--type", "attrib",
                               "--type", "gap", "--type", "settled"], env=self.environment("s"),
                              capture_output=True, timeout=60, check=False)
        if b"nothing was collected here" in done.stderr:  # its server is just making it
            return []
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def replay(self):
        replay = Replay()
        for event in self.events():
            replay.take(event)
        return replay

    def changers(self, count, seconds):
        me = str(pathlib.Path(__file__).resolve())
        return [subprocess.Popen([sys.executable, me, "--change", str(self.root),
                                  str(self.outside), str(self.chance.randrange(1 << 30)),
                                  str(seconds)]) for _ in range(count)]

    def trouble(self, changer):
        """One bad moment, while something changes."""
        what = self.chance.choice(["client", "client", "server", "network", "away", "calm", "calm"])
        pause = self.chance.random() * 0.4
        if what == "client":
            self.kill(self.client)
            goes_on(changer, pause)
            self.start_client()
        elif what == "server":
            self.kill(self.server)
            goes_on(changer, pause)
            self.start_server()
        elif what == "network":
            self.link.cut()
            goes_on(changer, pause)
            self.link.mend()
        elif what == "away":
            self.kill(self.server)
            self.kill(self.client)
            goes_on(changer, pause)
            self.start_client()
            self.start_server()
        else:
            goes_on(changer, pause)

    def linked(self):
        """Inodes of files that had several names."""
        path = self.directory / "outside.links"
        return {int(line) for line in path.read_text().split()} if path.exists() else set()

    def settle(self):
        """Waits until the store says what the disk has."""
        disk, end = on_disk(os.fsencode(self.root), self.linked()), time.monotonic() + SETTLED_S
        pause = 0.1
        while True:
            assert self.server.poll() is None, f"serve ended with {self.server.returncode}"
            replay = self.replay()
            if is_told(disk, replay.tree):
                return replay
            if time.monotonic() > end:
                raise AssertionError("the store is not the disk:\n" + difference(disk, replay.tree))
            assert goes_on(self.client, pause), f"watch ended with {self.client.returncode}"
            pause = min(pause * 1.5, 1)

    def run(self, seconds):
        """Everything; returns the replay."""
        with contextlib.suppress(OSError):
            Changer(os.fsencode(self.root), os.fsencode(self.outside), self.chance).chain()
        self.start_server()
        self.start_client()
        changers = self.changers(2, seconds)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.trouble(changers[0])
        for changer in changers:
            changer.wait(60)
        replay = self.settle()
        assert len([g for g in replay.gaps if g in ("start", "restart")]) >= 1, replay.gaps
        return replay

    def end(self):
        """None, or what was wrong with the end of client or server."""
        self.link.close()
        wrong = None
        for process in (self.client, self.server):
            if process and process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    wrong = "SIGTERM did not end it"
        return self.faults() or wrong


def one_seed(program, seed, source, seconds, keep=None):
    """None, or what went wrong."""
    directory = tempfile.mkdtemp(prefix=f"truth-{seed}-", dir=keep)
    world = World(directory, program, seed, source)
    try:
        world.run(seconds)
        wrong = None
    except (AssertionError, subprocess.TimeoutExpired) as error:
        wrong = f"{error}\nlog:\n{world.said()[-2000:]}"
    except BaseException:
        world.end()
        raise
    wrong = "\n".join(filter(None, [wrong, world.end()])) or None
    if wrong is None or keep is None:
        shutil.rmtree(directory, ignore_errors=True)
    return wrong


def main():
    parser = argparse.ArgumentParser(description="the truth test of watch and collect")
    parser.add_argument("--change", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--program", default=os.environ.get("PRISE", "build/release/prise"))
    parser.add_argument("--source", default="best")
    parser.add_argument("--seeds", default="1-20", metavar="FIRST-LAST")
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--keep", help="a directory for what is left of seeds that fail")
    given = parser.parse_args()
    if given.change:
        root, outside, seed, seconds = given.change
        Changer(os.fsencode(root), os.fsencode(outside),
                random.Random(int(seed))).run(float(seconds), 200)
        return 0
    first, _, last = given.seeds.partition("-")
    failed = 0
    for seed in range(int(first), int(last or first) + 1):
        wrong = one_seed(given.program, seed, given.source, given.seconds, given.keep)
        if wrong:
            failed += 1
            print(f"seed {seed} ({given.source}): {wrong}", flush=True)
    print(f"{int(last or first) - int(first) + 1} seeds on {given.source}, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
