"""Clients of role that run a command while principal, and what their commands wrote down: who
worked when, under which epoch. Two reigns never overlap, and the epoch only grows."""

import re
import subprocess
import time

from support import wait_until

# Every few milliseconds: NAME EPOCH nanoseconds. It does not end by SIGTERM, which is the worst
# case.
WORK = ('trap "" TERM; while :; do echo "{name} $PRISE_EPOCH $(date +%s%N)"; sleep 0.01; done'
        ' >> {path}')


class Reigns:
    def __init__(self, prise):
        self.prise = prise
        self.path = prise.directory / "reigns"
        self.path.touch()

    def client(self, name, address, *options):
        """`prise role --exec`; its Popen is prise itself, not the helper that runs the command."""
        work = WORK.format(name=name, path=self.path)
        return self.prise.start("role", address, "--name", name, *options, "--exec", work,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def lines(self):
        """(name, epoch, seconds), in order of time."""
        found = re.findall(r"^(\w+) (\d+) (\d+)$", self.path.read_text("ascii"), re.M)
        return sorted(((name, int(epoch), int(ns) / 1e9) for name, epoch, ns in found),
                      key=lambda line: line[2])

    def wait_for(self, name, after=0.0):
        """Until `name` (a pattern) works, later than `after` (seconds since the epoch)."""
        wait_until(lambda: any(re.fullmatch(name, line[0]) and line[2] > after
                               for line in self.lines()), f"{name} to work")
        return time.time()

    def wait_until_still(self, name):
        """Until `name` has not worked for a while."""
        wait_until(lambda: all(line[2] < time.time() - 0.5
                               for line in self.lines() if line[0] == name),
                   f"{name} to stop")

    def check(self):
        """Returns who worked in which order."""
        order, lines = [], self.lines()
        for name, epoch, _ in lines:
            if not order or order[-1] != (name, epoch):
                order.append((name, epoch))
        epochs = [epoch for _, epoch in order]
        assert epochs == sorted(set(epochs)), f"reigns overlap, or an epoch fell: {order}"
        return [name for name, _ in order]
