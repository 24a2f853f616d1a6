"""Collecting, end to end: from changes in a tree to rows committed in another process's store.

For throughput the load is out of the way: the watchers are stopped, the kernel's queues (made long
enough, for prise and its peer alike) take N new files, and what is timed is from the watchers
going on until the last is committed. An empty file by mknod is one event for everybody; one by
touch is one for prise and two lines of inotifywait (CREATE, CLOSE_WRITE); one that is written,
one and three (MODIFY). One watcher has a processor, collector or file the other. The peer is what
one would write at a prompt, with a promise as strong: inotifywait to ncat to ncat to a file that is
fsynced every 100 ms; what counts is what an fsync has covered. Ten clients have any processor and
hear by inotify: each would have a machine and a kernel of its own.

Latency: a file each millisecond; for each, until its row can be read in the store."""

import contextlib
import os
import signal
import stat
import statistics
import subprocess
import threading
import time

from harness import (Absolute, Claim, free_port, installed, is_bound, LOAD_CPU, prise, Server,
                     SERVER_CPU, spawn, wait_until)
from watching import inotifywait, prise_watch, queues, Store, Tree, until, Watcher

EVENTS = int(os.environ.get("BENCH_WATCH_EVENTS", "200000"))
SYNC_S, PACE_S = 0.1, 0.001
PAUSE_S = 0.01  # between two looks at how far it is: they cost, too
LATENCY_EVENTS = 5000


def roots(tree, count):
    """So many trees within one, each with places for events."""
    names = [f"/client{i}" for i in range(count)]
    for name in names:
        os.mkdir(tree.root + name)
        tree.load("places", within=name)
    return names


def backlog(tree, names, processes, kind):
    """Makes the events while nobody hears them; lets the processes go on; the moment."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    for name in names:
        tree.load(kind, EVENTS // len(names), within=name)
    began = time.monotonic()
    for process in processes:
        process.send_signal(signal.SIGCONT)
    return began


def committed(spec, clients=1, kind="events"):
    """Events a second through prise."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(queues(5 * EVENTS))
        tree = stack.enter_context(Tree())
        names = roots(tree, clients)
        server = stack.enter_context(Server(prise("collect")))
        cpu = LOAD_CPU if clients == 1 else None
        watchers = [stack.enter_context(Watcher(spec, tree.root + name, server.port, cpu))
                    for name in names]
        for watcher in watchers:
            watcher.whole()
        store = stack.enter_context(Store(server))
        before = store.wait_at_rest()
        began = backlog(tree, names, [w.process for w in watchers], kind)
        until(lambda: store.newest() >= before + EVENTS, "all events to be committed", PAUSE_S)
        return EVENTS / (time.monotonic() - began)


class Synced(threading.Thread):
    """Keeps a file on disk: what it had when the latest fsync began is there."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.fd, self.bytes, self.over = os.open(path, os.O_RDONLY), 0, threading.Event()

    def run(self):
        while not self.over.wait(SYNC_S):
            size = os.fstat(self.fd).st_size
            os.fsync(self.fd)
            self.bytes = size

    def close(self):
        self.over.set()
        self.join()
        os.close(self.fd)


def piped(spec, kind):
    """The same, of files, through the pipe."""
    words = {"events": ["CREATE"], "touches": ["CREATE", "CLOSE_WRITE,CLOSE"],
             "writes": ["CREATE", "MODIFY", "CLOSE_WRITE,CLOSE"]}[kind]
    with contextlib.ExitStack() as stack:
        stack.enter_context(queues(5 * EVENTS))
        tree = stack.enter_context(Tree())
        names = roots(tree, 1)
        port, path = free_port(), f"{tree.directory}/lines"
        with open(path, "wb") as lines:
            sink = spawn([installed("ncat"), "-l", "127.0.0.1", str(port)], SERVER_CPU,
                         stdout=lines)
        stack.callback(sink.wait)
        stack.callback(sink.kill)
        wait_until(lambda: is_bound(port, "tcp"), "ncat")
        synced = Synced(path)
        synced.start()
        stack.callback(synced.close)
        watcher = stack.enter_context(Watcher(spec, tree.root + names[0], cpu=LOAD_CPU,
                                              into=[installed("ncat"), "127.0.0.1", str(port)]))
        watcher.whole()
        each = sum(len(f"{word} {tree.root}{names[0]}/place00/event-0000000\n") for word in words)
        began = backlog(tree, names, [watcher.process], kind)
        until(lambda: synced.bytes >= EVENTS * each, "all lines to be on disk", PAUSE_S)
        return EVENTS / (time.monotonic() - began)


def through(kind):
    return lambda spec: (piped(spec, kind) if spec.name.startswith("inotifywait")
                         else committed(spec, kind=kind))


def pipe():
    spec = inotifywait()
    spec.name, spec.note = "inotifywait | ncat | file", "fsync every 100 ms"
    return spec


def p99_ns(spec):
    """From the system call to its row, at a thousand a second."""
    with contextlib.ExitStack() as stack:
        tree = stack.enter_context(Tree())
        server = stack.enter_context(Server(prise("collect")))
        watcher = stack.enter_context(Watcher(spec, tree.root, server.port, LOAD_CPU))
        watcher.whole()
        store = stack.enter_context(Store(server))
        before = int(store.wait_at_rest())
        made, late = [], []
        begin = time.monotonic()
        while len(late) < LATENCY_EVENTS:
            if (len(made) < LATENCY_EVENTS and
                    time.monotonic() >= begin + len(made) * PACE_S):
                os.mknod(f"{tree.root}/{len(made)}", stat.S_IFREG | 0o644)
                made.append(time.monotonic_ns())
            now = int(store.newest()) - before
            seen_ns = time.monotonic_ns()
            late += [seen_ns - at for at in made[len(late):now]]
            if time.monotonic() > begin + 60:
                raise TimeoutError(f"{len(late)} of {LATENCY_EVENTS} rows")
        return statistics.quantiles(late, n=100)[98]


def sending(source):
    return lambda: prise_watch(source, "--to", "127.0.0.1:{to}")


CLAIMS = [
    Absolute("end to end, one client: events committed", "/s", sending("best"), committed, ">=",
             100000),
    Absolute("end to end, ten clients: events committed, in all", "/s", sending("inotify"),
             lambda spec: committed(spec, 10), ">=", 100000),
    Claim("end to end, one client: files by mknod committed", "/s", sending("best"), pipe,
          through("events"), ">=", None),
    Claim("end to end, one client: files by touch committed", "/s", sending("best"), pipe,
          through("touches"), ">=", 2),
    Claim("end to end, one client: written files committed", "/s", sending("best"), pipe,
          through("writes"), ">=", 2),
    Absolute("1,000 operations a second: operation to committed row, p99", "ns", sending("best"),
             p99_ns, "<=", 50e6),
]
