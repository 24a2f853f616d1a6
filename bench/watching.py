"""What the claims on `prise watch` share: watchers and the moment they have everything, a
collector's store, trees, what a watcher's output makes of one, the kernel's queues.

A tree that is only looked at, and what programs keep, lie where TMPDIR says; one that is changed
lies in memory (/dev/shm), where that is: on a disk its filesystem would be what is measured.
Watcher and load have a processor each."""

import contextlib
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time

from harness import (at_home_in, BUILD, installed, LOAD_CPU, PATIENCE_S, program, SERVER_CPU,
                     Server, Spec, spawn, Unavailable)

LONG_S = 600
QUEUES = ("inotify", "fanotify")
MEMORY = "/dev/shm"
EVENTS = "create,close_write,modify,delete,move,attrib"  # what prise tells, and no more


def until(condition, what, pause_s=0.0):
    deadline = time.monotonic() + LONG_S
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(pause_s)
    return found


# Watchers

class Watched(Spec):
    """A watcher to be measured. `whole` says, of a Watcher, whether it has the tree by its own
    account; {root}, {to} (the collector's port) and {dir} are filled in."""

    def __init__(self, name, argv, whole, note=""):
        super().__init__(name, argv, note=note)
        self.whole = whole


def says(text):
    return lambda watcher: text in watcher.talk()


def prise_watch(source, *options):
    if not os.path.exists(f"{BUILD}/prise"):
        raise Unavailable("prise was not built")
    if source == "fanotify" and os.geteuid() != 0:
        raise Unavailable("fanotify is root's")
    return Watched(f"prise watch, {source}", [f"{BUILD}/prise", "watch", "{root}", "--source",
                                              source, *options], says("watching "))


def inotifywait(note="-r -m"):
    return Watched("inotifywait", [installed("inotifywait"), "-r", "-m", "-e", EVENTS, "--format",
                                   "%e %w%f", "{root}"], says("Watches established."), note)


def watchman():
    """It is asked for something: it answers once it has the tree and has seen a cookie in it."""
    return Watched("watchman", [installed("watchman"), "--foreground", "--sockname={dir}/sock",
                                "--statefile={dir}/state", "--logfile={dir}/log",
                                "--pidfile={dir}/pid", "--no-save-state"], watchman_whole)


def watchman_whole(watcher):
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(f"{watcher.directory.name}/sock")
        except OSError:
            return False
        s.settimeout(LONG_S)
        replies = s.makefile("r")
        for ask in (["watch", watcher.root],
                    ["query", watcher.root, {"expression": ["name", "nothing"], "fields": ["name"],
                                             "sync_timeout": LONG_S * 1000}]):
            s.sendall(json.dumps(ask).encode() + b"\n")
            reply = json.loads(replies.readline())
            if "error" in reply:
                raise RuntimeError(f"watchman: {reply['error']}")
    return True


class Watcher(Server):
    """A running Watched. Its output is in the file `out`, or goes to the program `into`, which
    ends with it. Use with `with`."""

    def __init__(self, spec, root, to=0, cpu=SERVER_CPU, into=None):
        self.spec, self.root = spec, root
        self.directory = tempfile.TemporaryDirectory(prefix="bench-")
        self.out = f"{self.directory.name}/out"
        self.errors = open(f"{self.directory.name}/stderr", "w+")
        fill = {"root": root, "to": to, "dir": self.directory.name}
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(open(self.out, "wb"))
            if into:
                reader = spawn(into, cpu, stdin=subprocess.PIPE, stdout=out)
                stack.callback(reader.stdin.close)
                out = reader.stdin
            self.began_ns = time.monotonic_ns()
            self.process = spawn([a.format(**fill) for a in spec.argv], cpu,
                                 stdin=subprocess.DEVNULL, stdout=out, stderr=self.errors,
                                 env=at_home_in(self.directory.name))

    def __enter__(self):
        return self

    def talk(self):
        with open(self.errors.name) as f:
            return f.read()

    def wait(self, sign, what):
        """Nanoseconds from before it was started until `sign`."""
        def seen():
            if sign(self):
                return True
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.spec.name} ended: {self.talk()[-300:]}")
            return False
        try:
            until(seen, what, 0.0005)
        except BaseException:
            self.stop()
            raise
        return time.monotonic_ns() - self.began_ns

    def whole(self):
        return self.wait(self.spec.whole, f"{self.spec.name} to have the tree")

    def marked(self):
        """Until the kernel shows fanotify's mark: what changes later is in the queue."""
        return self.wait(has_mark, "the mark")

    def private_bytes(self):
        """Memory of all its processes that is nobody else's: anonymous, and pages of files that it
        alone has (Private_Clean and Private_Dirty of smaps_rollup), its program's among them."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as f:
                total += 1024 * sum(map(int, re.findall(r"^Private_(?:Clean|Dirty): +(\d+)",
                                                        f.read(), re.M)))
        return total


def has_mark(watcher):
    place = f"/proc/{watcher.process.pid}/fdinfo"
    with contextlib.suppress(OSError):
        for fd in os.listdir(place):
            with open(f"{place}/{fd}") as f:
                if "fanotify sdev:" in f.read():
                    return True
    return False


class Store:
    """What a collector has committed, by a reader of its own. Use with `with`."""

    def __init__(self, server):
        path = f"{server.directory.name}/prise/collect.db"
        until(lambda: os.path.exists(path), "the store", 0.01)
        self.database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.database.close()

    def newest(self):
        """How many events, of all clients together."""
        return self.database.execute("SELECT total(newest) FROM client").fetchone()[0]

    def has(self, path):
        return self.database.execute("SELECT 1 FROM event WHERE path = ?", (path,)).fetchone()

    def wait_at_rest(self):
        """Until nothing more comes of what was found at the start."""
        before = -1
        while (now := self.newest()) != before or now == 0:
            before = now
            time.sleep(1)
        return now


# Trees

class Tree:
    """An empty directory of a run; `still`: what is made in it is not changed any more. Use with
    `with`."""

    def __init__(self, still=False):
        memory = not still and os.path.isdir(MEMORY) and os.access(MEMORY, os.W_OK)
        self.place = MEMORY if memory else None

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="bench-watch-", dir=self.place)
        self.root = f"{self.directory}/tree"
        os.mkdir(self.root)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)

    def load(self, *words, within=""):
        """One run of load_files: {"operations": ..., "ns": ...}."""
        argv = [program("load_files"), words[0], self.root + within, *map(str, words[1:])]
        with spawn(argv, LOAD_CPU, stdout=subprocess.PIPE) as process:
            out, _ = process.communicate(timeout=LONG_S)
        if process.returncode != 0:
            raise RuntimeError("load_files failed")
        return json.loads(out)


@contextlib.contextmanager
def queues(events):
    """The kernel's queues hold that many, for all sources alike; only root can."""
    before = {}
    try:
        for name in QUEUES:
            path = f"/proc/sys/fs/{name}/max_queued_events"
            with open(path) as f:
                before[path] = f.read()
            try:
                with open(path, "w") as f:
                    f.write(str(max(events, int(before[path]))))
            except OSError as why:
                raise Unavailable(f"{path}: {why.strerror}") from why
        yield
    finally:
        for path, value in before.items():
            with contextlib.suppress(OSError), open(path, "w") as f:
                f.write(value)


# What a watcher's output makes of a tree that was empty: nested dictionaries, of a file None

def on_disk(path):
    with os.scandir(path) as entries:
        return {e.name: on_disk(e.path) if e.is_dir(follow_symlinks=False) else None
                for e in entries}


class Told:
    """The tree as the lines of `prise watch --json` tell it; the names have no odd bytes."""

    def __init__(self, root):
        self.root, self.tree, self.gaps = root, {}, 0

    def place(self, path):
        """The dictionary it stands in, and its name."""
        at, names = self.tree, path[len(self.root) + 1:].split("/")
        for name in names[:-1]:
            at = at[name]
        return at, names[-1]

    def take(self, event):
        kind, path = event["type"], event["path"]
        if kind == "watch.gap":
            self.gaps += 1
        if path == self.root or kind in ("watch.gap", "watch.settled"):
            return
        at, name = self.place(path)
        if kind == "watch.create":
            at[name] = {} if event["kind"] == "directory" else None
        elif kind == "watch.delete":
            del at[name]
        elif kind == "watch.move":
            old, old_name = self.place(event["from"])
            at[name] = old.pop(old_name)


def wrong(disk, told):
    """How many paths are in one tree and not in the other, or are of another kind."""
    count = 0
    for name in disk.keys() | told.keys():
        a, b = disk.get(name, 0), told.get(name, 0)
        if isinstance(a, dict) and isinstance(b, dict):
            count += wrong(a, b)
        elif a is not b:
            count += 1 + wrong(a if isinstance(a, dict) else {}, b if isinstance(b, dict) else {})
    return count
