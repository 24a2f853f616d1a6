"""Watching: how soon no later change can be missed, whether a burst is kept up with and anything
lost in it, memory. Beside inotifywait and watchman.

The moment from which no later change can be missed is
  prise by fanotify   when the kernel shows its mark (/proc/PID/fdinfo): what is listed after it is
                      whole, what changes after it is in the queue, and a queue that runs over is
                      known and leads to a rescan. A file made right then must reach a collector.
  prise by inotify    its word that it is watching: each directory has its watch (what stood there
                      before is listed after it, so whatever changes is told, by one or the other).
                      A file made right then must reach a collector
  inotifywait         its word that the watches are established
  watchman            its answer to a first question
always from before the program was started.

A burst (load_files.c) runs beside the watcher, which prints to a file; both have the kernel's
queues as they stand. Kept up with are the operations that were told, over the time from the first
of them to the last word. Of inotifywait each line CREATE, MOVED_TO or DELETE tells one; what it
loses in a queue that runs over, or in a directory before that is watched, it does not know. prise
tells where the tree came to rest, states between left out, so it has kept up with all when its
lines make the tree that is there, and with nothing when they do not; rescans count into its time.
What both cost is in a row of its own. BENCH_WATCH_OPERATIONS, _DIRECTORIES and _FILES shorten the
way."""

import atexit
import functools
import json
import os
import statistics
import time

from harness import Absolute, Claim, LOAD_CPU, prise, Server
from watching import (inotifywait, on_disk, prise_watch, Store, Told, Tree, until, Watcher,
                      watchman, wrong)

DIRECTORIES = int(os.environ.get("BENCH_WATCH_DIRECTORIES", "100000"))
OPERATIONS = int(os.environ.get("BENCH_WATCH_OPERATIONS", "1000000"))
FILES = int(os.environ.get("BENCH_WATCH_FILES", "1000000"))
ASK_S, REST_S = 0.1, 1.0


# How soon

@functools.cache
def kept(what, count):
    """A tree that is only looked at, made once."""
    tree = Tree(still=True).__enter__()
    atexit.register(tree.__exit__)
    tree.load(what, count)
    return tree


def whole_ns(spec):
    with Watcher(spec, kept("directories", DIRECTORIES).root) as watcher:
        return watcher.whole()


def sure_ns(spec):
    """Until no later change can be missed; and a change made then is not."""
    root = kept("directories", DIRECTORIES).root
    if not spec.name.startswith("prise"):
        return whole_ns(spec)
    sign = f"{root}/d9/d9/sign"
    with Server(prise("collect")) as server, Watcher(spec, root, server.port, LOAD_CPU) as watcher:
        taken_ns = watcher.marked() if "fanotify" in spec.name else watcher.whole()
        with open(sign, "w", encoding="ascii"):
            pass
        try:
            with Store(server) as store:
                until(lambda: store.has(sign), "what was changed at the sign to be stored", 0.5)
        finally:
            os.unlink(sign)
        return taken_ns


# A burst

class Burst:
    """One burst beside one watcher."""

    def __init__(self, spec):
        with Tree() as tree, Watcher(spec, tree.root) as watcher:
            watcher.whole()
            self.root, before_ns, began = tree.root, watcher.cpu_ns(), time.time()
            self.operations = tree.load("burst", OPERATIONS)["operations"]
            self.wait_told(watcher)
            self.wait_rest(watcher)
            self.cpu_s = (watcher.cpu_ns() - before_ns) / 1e9
            self.wall_s = os.path.getmtime(watcher.out) - began
            self.disk = on_disk(tree.root)
            with open(watcher.out, encoding="utf-8") as f:
                if spec.name == "inotifywait":
                    self.read_lines(f)
                    spec.note = f"same sysctls; told {self.told:,} of {self.operations:,}"
                else:
                    self.read_events(f)

    @staticmethod
    def wait_told(watcher):
        """Makes signs until one of them is told: those before may be lost."""
        signs = []

        def told():
            signs.append(f"{watcher.root}/sign-{len(signs)}")
            with open(signs[-1], "w", encoding="ascii"):
                pass
            with open(watcher.out, "rb") as f:
                f.seek(max(0, os.path.getsize(watcher.out) - 65536))
                tail = f.read()
            return any(sign.encode() in tail for sign in signs)
        until(told, "the end of the burst to be told", ASK_S)

    @staticmethod
    def wait_rest(watcher):
        """Until it has nothing more to do."""
        before = -1
        while (now := watcher.cpu_ns()) - before > REST_S * 1e9 / 100:
            before = now
            time.sleep(REST_S)

    def read_lines(self, lines):
        signs = f"{self.root}/sign-"
        self.told = sum(line.startswith(("CREATE", "MOVED_TO", "DELETE")) and signs not in line
                        for line in lines)

    def read_events(self, lines):
        told = Told(self.root)
        for line in lines:
            told.take(json.loads(line))
        self.wrong = wrong(self.disk, told.tree)
        self.told = 0 if self.wrong else self.operations


BURSTS = {}  # what several rows say of the same ones


def kept_up(spec):
    """Operations a second."""
    burst = Burst(spec)
    BURSTS.setdefault(spec.name, []).append(burst)
    return max(1, burst.told) / burst.wall_s


def processor_ns(spec):
    """What an operation costs: the median of those seen, each an operation told or not."""
    bursts = BURSTS.get(spec.name) or [Burst(spec)]
    return statistics.median(b.cpu_s / b.operations * 1e9 for b in bursts)


def wrong_paths(spec):
    """The worst of those seen."""
    return max(b.wrong for b in BURSTS.get(spec.name) or [Burst(spec)])


# Memory

def private_bytes(spec):
    """Once it has the tree, and the collector everything."""
    root = kept("files", FILES).root
    if spec.name == "watchman":
        with Watcher(spec, root) as watcher:
            watcher.whole()
            return watcher.private_bytes()
    with Server(prise("collect")) as server, Watcher(spec, root, server.port, LOAD_CPU) as watcher:
        watcher.whole()
        with Store(server) as store:
            store.wait_at_rest()
        return watcher.private_bytes()


def sending(source):
    return lambda: prise_watch(source, "--to", "127.0.0.1:{to}")


def printing(source):
    return lambda: prise_watch(source, "--local", "--json")


SURE = f"{DIRECTORIES:,} directories: until no later change can be missed"


def of_burst(source, how):
    what, ours = f"burst of {OPERATIONS:,} operations, {how}", printing(source)
    return [Claim(f"{what}: kept up with", "/s", ours, inotifywait, kept_up, ">=", 2),
            Claim(f"{what}: processor time of one", "ns", ours, inotifywait, processor_ns, "<=",
                  None),
            Absolute(f"{what}: paths wrong afterwards", "count", ours, wrong_paths, "<=", 0)]


CLAIMS = [
    Claim(SURE + ", as root", "ns", sending("fanotify"), inotifywait, sure_ns, "<=", 0.02),
    Claim(f"{DIRECTORIES:,} directories: until the whole index stands, as root", "ns",
          printing("fanotify"), inotifywait, whole_ns, "<=", None),
    Claim(SURE + ", unprivileged", "ns", sending("inotify"), inotifywait, sure_ns, "<=", 0.8),
    Claim(SURE + ", unprivileged", "ns", sending("inotify"), watchman, sure_ns, "<=", 0.2),
    Claim(f"{DIRECTORIES:,} directories: until the whole index stands, unprivileged", "ns",
          printing("inotify"), inotifywait, whole_ns, "<=", None),
    *of_burst("fanotify", "as root"),
    *of_burst("inotify", "unprivileged"),
    Claim(f"memory of a client of {FILES:,} files", "bytes", sending("best"), watchman,
          private_bytes, "<=", 0.25),
]
