"""Watch and collect between hosts: packets that are lost, a cable that is pulled and put back, a
server that vanishes. Nothing is lost, nothing is there twice."""

import contextlib
import shutil
import sqlite3
import subprocess

import pytest
import truth
from support import wait_until

pytestmark = pytest.mark.root
PORT = 9002


class Apart(truth.World):
    """A world whose client and server are on hosts of their own."""

    def __init__(self, net, directory, program):
        super().__init__(directory, program, 0)
        self.near, self.far = net.host(1), net.host(2)

    def start_server(self):
        with self.far:
            self.server = self.start("s", "serve", f"collect=any:{PORT}", "--insecure")

    def start_client(self, *options):
        with self.near:
            self.client = self.start("c", "watch", str(self.root), "--to",
                                     f"{self.far.v4}:{PORT}", "--settle", "50ms", *options)

    @staticmethod
    def lose(percent, *hosts):
        """So many of a hundred packets that they send or, where there is no netem, receive."""
        for host in hosts:
            try:
                host.run("tc", "qdisc", "replace", "dev", "eth0", "root", "netem", "loss",
                         f"{percent}%")
            except subprocess.CalledProcessError:
                host.filter(f"meta l4proto tcp numgen random mod 100 < {percent} drop")

    def change_for(self, seconds):
        """Two processes change the tree; yields as long as they do."""
        changers = self.changers(2, seconds)
        for changer in changers:
            while truth.goes_on(changer, 0.05):
                yield

    def check(self):
        replay = self.settle()
        pairs = [(e["client"], e["seq"]) for e in self.events()]
        assert len(pairs) == len(set(pairs)) and len({c for c, _ in pairs}) == 1
        assert "server" not in replay.gaps
        return replay


@pytest.fixture
def apart(net, prise, tmp_path):
    shutil.rmtree(tmp_path / "apart", ignore_errors=True)
    (tmp_path / "apart").mkdir()
    world = Apart(net, tmp_path / "apart", prise.path)
    yield world
    world.end()
    log = (world.directory / "log").read_bytes()
    assert b"Sanitizer" not in log and b"runtime error" not in log, log


def test_packets_are_lost(apart):
    apart.lose(5, apart.near, apart.far)
    apart.start_server()
    apart.start_client()
    for _ in apart.change_for(2):
        pass
    apart.check()


def test_the_cable_is_pulled_and_put_back(apart):
    """Again and again, while changes go on and packets are lost."""
    apart.lose(5, apart.near, apart.far)
    apart.start_server()
    apart.start_client()
    wait_until(lambda: "connected to" in apart.said(), "the client to be there")
    at = 0
    for _ in apart.change_for(3):
        at += 1
        if at % 20 == 5:
            apart.near.cut()
        elif at % 20 == 12:
            apart.near.heal()
            apart.lose(5, apart.near)
    apart.near.heal()
    apart.check()


def test_the_server_vanishes(apart):
    """What it acknowledged is not heard any more, then its cable is out, and it is another process
    when that is back: what it lacks comes, and what it has is there once."""
    apart.start_server()
    apart.start_client()
    (apart.root / "a").write_bytes(b"x")
    apart.settle()
    apart.near.filter(f"tcp sport {PORT} drop")
    for i in range(200):
        (apart.root / f"unheard{i}").write_bytes(b"x" * i)
    wait_until(lambda: unacknowledged(apart) >= 200, "the changes to be in the spool")
    wait_until(lambda: "unheard" in str(apart.events()), "them to arrive")
    apart.far.cut()
    for i in range(200):
        (apart.root / f"meanwhile{i}").write_bytes(b"x" * i)
    wait_until(lambda: unacknowledged(apart) >= 400, "the changes to be in the spool")
    apart.server.kill()
    apart.server.wait()
    apart.near.heal()
    apart.far.heal()
    apart.start_server()
    apart.check()


def unacknowledged(world):
    path, = (world.directory / "c" / "state" / "prise" / "watch").glob("*.db")
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as state:
        newest, acknowledged = state.execute("SELECT newest, acknowledged FROM state").fetchone()
    return newest - acknowledged
