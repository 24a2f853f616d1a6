"""The limits that hold for every service: connections in all, per source, per second,
time, bytes, and the kernel's queue."""

import concurrent.futures
import contextlib
import os
import pathlib
import select
import shutil
import socket
import subprocess
import threading
import time

import pytest
from support import SECONDS, wait_until
from talking import (configured, cpu_seconds, datagrams, descriptors, ended, expect, read_all,
                     read_exactly, read_until, resident_kib)

QUEUE_KIB = 256  # unless configured
PATIENCE = 0.15  # what must not happen gets this long to happen
ADDRESS_SANITIZER = "asan" in os.environ.get("PRISE", "")


def silent(stream):
    return not select.select([stream], [], [], PATIENCE)[0]


def greeted(stream):
    return read_until(stream, b"\n").startswith(b"Vous")


@pytest.mark.parametrize("loops", [1, 4])
def test_one_client_at_a_time(serve, loops):
    """The courses' one-client server: the second is connected, and waits."""
    daemon = configured(serve, {"": f"loops = {loops}", "dialogue": "max_connections = 1"})
    for _ in range(5):
        with daemon.connect("dialogue") as first:
            assert greeted(first)
            with daemon.connect("dialogue") as second:
                assert silent(second)
                first.close()
                assert greeted(second)


@pytest.mark.parametrize("loops", [1, 4])
@pytest.mark.parametrize("most", [1, 3])
def test_never_more_than_max_connections(serve, loops, most):
    daemon = configured(serve, {"": f"loops = {loops}", "dialogue": f"max_connections = {most}"})
    lock, inside, seen = threading.Lock(), 0, []

    def client(_):
        nonlocal inside
        with daemon.connect("dialogue") as s:
            assert greeted(s)
            with lock:
                inside += 1
                seen.append(inside)
            s.sendall(b"hello")
            read_until(s, b"hello")
            with lock:
                inside -= 1

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(client, n) for n in range(200)]:
            done.result(SECONDS)
    assert max(seen) <= most


def test_max_connections_over_both_families(serve):
    daemon = configured(serve, {"dialogue": "max_connections = 1"})
    with daemon.connect("dialogue") as first:
        assert greeted(first)
        try:
            second = daemon.connect("dialogue", socket.AF_INET6)
        except OSError:
            pytest.skip("no IPv6 here")
        with second:
            assert silent(second)
            first.close()
            assert greeted(second)


def from_source(daemon, name, source):
    return socket.create_connection(("127.0.0.1", daemon.port(name)), SECONDS, (source, 0))


def test_max_per_source(serve):
    daemon = configured(serve, {"dialogue": "max_per_source = 2"})
    one, two = (from_source(daemon, "dialogue", "127.0.0.5") for _ in range(2))
    assert greeted(one) and greeted(two)
    with from_source(daemon, "dialogue", "127.0.0.5") as three:
        assert ended(three)
    daemon.wait_log("conn.refused.*127.0.0.5.*why=limit")
    with from_source(daemon, "dialogue", "127.0.0.6") as other:
        assert greeted(other)
    one.close()

    def admitted():
        with from_source(daemon, "dialogue", "127.0.0.5") as s:
            return s.recv(4) == b"Vous"

    wait_until(admitted, "the place that was given back")
    two.close()


def test_max_per_second(serve):
    """A burst of twice the rate, then the rate; nobody is refused."""
    daemon = configured(serve, {"dialogue": "max_per_second = 50"})
    began, burnt = time.monotonic(), cpu_seconds(daemon)
    for _ in range(140):
        with daemon.connect("dialogue") as s:
            assert greeted(s)
    took = time.monotonic() - began
    assert 0.7 < took < SECONDS, "40 beyond the burst, at 50 a second"
    assert cpu_seconds(daemon) - burnt < took / 2 + 0.3, "it spins while it waits"


def test_idle(serve):
    """Who talks stays, who is silent does not. Where we were held up ourselves for nearly as long
    as it waits, nothing was seen: once more."""
    daemon = configured(serve, {"echo": 'idle = "300ms"'})

    def silence():
        said = began = time.monotonic()
        with daemon.connect("echo") as s:
            try:
                while said - began < 0.6:
                    s.sendall(b"x")
                    expect(s, "x")
                    before, said = said, time.monotonic()
                    if said - before > 0.2:
                        return None
                s.sendall(b"x")
                expect(s, "x")
            except (AssertionError, ConnectionError):
                if time.monotonic() - said > 0.2:
                    return None
                raise
            assert ended(s)
        return time.monotonic() - said

    assert 0.3 <= wait_until(silence, "a talk that nothing holds up") < SECONDS


def test_first_byte(serve):
    daemon = configured(serve, {"echo": 'first_byte = "200ms"'})
    with daemon.connect("echo") as speaks, daemon.connect("echo") as s:
        speaks.sendall(b"x")
        began = time.monotonic()
        assert ended(s)
        assert 0.15 < time.monotonic() - began < 5
        speaks.sendall(b"y")
        expect(speaks, "xy")


def test_role_has_no_time_to_its_first_byte(serve):
    daemon = configured(serve, {"role": "", "echo": 'first_byte = "200ms"'})
    with daemon.connect("role") as role, daemon.connect("echo") as s:
        expect(role, "principal")
        assert ended(s)
        assert silent(role)


def stands_still(daemon):
    """Whether the daemon did next to nothing for a moment."""
    before = cpu_seconds(daemon)
    select.select([], [], [], 0.2)
    return cpu_seconds(daemon) - before < 0.05


def flood(stream, data):
    """Sends `data` again and again until nothing has gone out for a moment."""
    sent = 0
    stream.setblocking(False)
    while select.select([], [stream], [], 0.3)[1]:
        with contextlib.suppress(BlockingIOError):
            for _ in range(1000):
                sent += stream.send(data)
        assert sent < 1 << 28, "it takes all, and must keep it somewhere"
    stream.setblocking(True)
    stream.settimeout(SECONDS)
    return sent


@pytest.mark.parametrize("name, keys, data", [
    ("echo", "", bytes(65536)), ("stamp", "", b"x" * 1024), ("dialogue", "", b"x" * 1024),
    ("guess", "", b"5\n" * 512), ("guess", "terse = yes", b"5\n" * 512), ("chargen", "", b"")],
    ids=["echo", "stamp", "dialogue", "guess", "guess-terse", "chargen"])
def test_a_client_that_never_reads(serve, name, keys, data):
    """What is kept for it is bounded, nothing spins, and others are served."""
    daemon = configured(serve, {"discard": "", name: keys})
    others = name if name == "echo" else "discard"
    before = resident_kib(daemon)
    with contextlib.ExitStack() as held:
        for _ in range(3):
            s = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.connect(("127.0.0.1", daemon.port(name)))
            if name == "guess":
                s.sendall(b"9000000000000000000\n")
            if data:
                flood(s, data)
        kept = resident_kib(daemon) - before
        assert kept < (64 << 10 if ADDRESS_SANITIZER else 3 * 2 * QUEUE_KIB + 1024), f"{kept} KiB"
        wait_until(lambda: stands_still(daemon), "an end of what the kernel still had for it")
        burnt = cpu_seconds(daemon)
        with daemon.connect(others) as other:
            began = time.monotonic()
            while time.monotonic() - began < 0.3:
                other.sendall(b"ping")
                if others == "echo":
                    expect(other, "ping")
                select.select([], [], [], 0.01)
        assert cpu_seconds(daemon) - burnt < 0.2, "it spins"


def test_a_client_that_reads_late_gets_everything(serve):
    daemon = configured(serve, {"echo": 'queue = "64K"'})
    with daemon.connect("echo") as s:
        sent = flood(s, bytes(range(256)))
        assert sent > 1 << 17
        s.shutdown(socket.SHUT_WR)
        back = read_exactly(s, sent)
        assert back == (bytes(range(256)) * (sent // 256 + 1))[:sent] and s.recv(1) == b""


def half_closed_and_read(port):
    """Whether the daemon has read all that a client said up to its end (CLOSE_WAIT, nothing
    waits)."""
    for line in pathlib.Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        words = line.split()
        if (words[1].endswith(f":{port:04X}") and words[3] == "08"
                and words[4].endswith(":00000000")):
            return True
    return False


def test_what_is_queued_at_the_clients_end_is_still_sent(serve):
    daemon = configured(serve, {"echo": 'listen = "127.0.0.1:PORT" queue = "64M"'})
    data = os.urandom(8 << 20)
    with socket.socket() as s:
        s.settimeout(SECONDS)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", daemon.port("echo")))
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        wait_until(lambda: half_closed_and_read(daemon.port("echo")), "the daemon to read it all")
        assert read_all(s) == data


def test_backlog(serve):
    if not shutil.which("ss"):
        pytest.skip("no ss here")
    daemon = configured(serve, {"": "loops = 1", "echo": "max_connections = 1\nbacklog = 3"})
    rows = subprocess.run(["ss", "-ltnH", f"sport = :{daemon.port('echo')}"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.splitlines()
    assert rows and all(row.split()[2] == "3" for row in rows)


def test_a_source_on_udp_is_not_limited_on_loopback(serve):
    daemon = configured(serve, {"echo": "udp_rate = 1\nudp_burst = 1"})
    with datagrams(daemon, "echo") as s:
        for n in range(50):
            s.send(b"%d" % n)
            assert s.recv(10) == b"%d" % n


def test_what_was_held_is_given_back(serve):
    daemon = configured(serve, {"echo": ""})
    held = descriptors(daemon)
    for _ in range(3):
        clients = [daemon.connect("echo") for _ in range(100)]
        wait_until(lambda: descriptors(daemon) >= held + 100, "all to be accepted")
        for client in clients:
            client.close()
        wait_until(lambda: descriptors(daemon) == held, "all descriptors to be given back")
