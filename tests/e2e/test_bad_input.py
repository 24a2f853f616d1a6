"""What peers send that they should not: each gets a clear refusal or a clean close, nothing leaks,
and nobody else notices."""

import concurrent.futures
import contextlib
import os
import pickle
import random
import resource
import select
import socket
import struct
import time

import pytest
from support import SECONDS, wait_until
from talking import (ask, configured, cpu_seconds, datagrams, descriptors, ended, expect,
                     is_answered, read_all, read_until, resident_kib, talk)

STREAMS = ("echo discard daytime qotd chargen time stamp upper dialogue guess sum inbox "
           "role").split()
DATAGRAMS = ("echo discard daytime qotd chargen time inbox").split()
SMALL_SERVICES = [7, 13, 17, 19, 37, 53, 123, 161, 389, 1900, 5353, 11211]
ADDRESS_SANITIZER = "asan" in os.environ.get("PRISE", "")
ONE_LOOP = {"": "loops = 1"}


@contextlib.contextmanager
def unharmed(daemon):
    """An echo client is served before, during and after; no descriptor is left behind."""
    with daemon.connect("echo") as s:
        s.sendall(b"before")
        expect(s, "before")
        held = descriptors(daemon)
        yield s
        s.sendall(b"after")
        expect(s, "after")
        wait_until(lambda: descriptors(daemon) <= held, "every descriptor to be given back")
    assert daemon.process.poll() is None


def pour(daemon, name, data):
    """Sends as much as the service takes, reading what it says."""
    with daemon.connect(name) as s:
        s.setblocking(False)
        deadline = time.monotonic() + SECONDS
        while data or name != "chargen":
            assert time.monotonic() < deadline, f"{name} takes no more, and does not end"
            readable, writable, _ = select.select([s], [s] if data else [], [], SECONDS)
            try:
                if readable and not s.recv(65536):
                    return
                if writable:
                    data = data[s.send(data[:65536]):]
                    if not data:
                        s.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                return
            except BlockingIOError:
                pass


@pytest.mark.parametrize("name", STREAMS)
def test_a_million_random_bytes(serve, name):
    daemon = configured(serve, {"echo": "", name: ""}, options=["-q"])
    seed = random.randrange(2**32)
    with unharmed(daemon):
        before = resident_kib(daemon)
        for round_ in range(3):
            print("seed", seed + round_)
            pour(daemon, name, random.Random(seed + round_).randbytes(1_000_000))
        kept_mib = 8  # of the last events, at most
        assert resident_kib(daemon) - before < (64 if ADDRESS_SANITIZER else kept_mib + 4) * 1024


def test_random_datagrams(serve):
    blocks = dict.fromkeys(DATAGRAMS, "") | {"qotd": "udp = yes", "chargen": "udp = yes"}
    daemon = configured(serve, blocks, options=["-q"])
    seed = random.randrange(2**32)
    print("seed", seed)
    draw = random.Random(seed)
    with unharmed(daemon):
        for name in DATAGRAMS:
            with datagrams(daemon, name) as s:
                for _ in range(200):
                    with contextlib.suppress(ConnectionRefusedError):
                        s.send(draw.randbytes(draw.choice([0, 1, 100, 1500, 65507])))
        with datagrams(daemon, "echo") as s:
            assert ask(s, b"still there") == b"still there"


def test_a_client_at_a_trickle(serve):
    """A byte at a time, with pauses longer than no limit but all together far longer than one: the
    answer is right, and others are served meanwhile."""
    body = pickle.dumps([1, 2, 3], 0)
    daemon = configured(serve, {"sum": 'idle = "2s"\nfirst_byte = "2s"', "echo": ""})
    with unharmed(daemon) as other, daemon.connect("sum") as s:
        began = time.monotonic()
        for byte in struct.pack("<I", len(body)) + body:
            assert not select.select([s], [], [], 0.1)[0], "ended while it spoke"
            s.send(bytes([byte]))
            other.sendall(b"!")
            expect(other, "!")
        assert time.monotonic() - began > 2
        assert read_all(s) == struct.pack("<I", 6)


def test_ten_thousand_silent_clients(serve):
    count = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 200:
        pytest.skip(f"only {hard} descriptors here")
    daemon = configured(serve, {"dialogue": "", "echo": ""})
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.ExitStack() as held:
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with unharmed(daemon) as other, contextlib.ExitStack() as silent:
            before = resident_kib(daemon)
            for _ in range(count):
                silent.enter_context(daemon.connect("dialogue"))
            wait_until(lambda: descriptors(daemon) > count, "all to be accepted")
            if not ADDRESS_SANITIZER:
                assert resident_kib(daemon) - before < count * 1024 // 1024, "1 KiB each"
            burnt = cpu_seconds(daemon)
            began = time.monotonic()
            while time.monotonic() - began < 0.3:
                other.sendall(b"ping")
                expect(other, "ping")
            with daemon.connect("dialogue") as s:
                assert read_until(s, b"?\n").endswith(b"Votre message ?\n")
            assert cpu_seconds(daemon) - burnt < 1


def test_descriptors_exhausted_then_freed(serve):
    """Accepting pauses with one warning for all services; who is inside is served; who waits is
    served later."""
    daemon = configured(serve, {"echo": "", "upper": ""})
    with unharmed(daemon) as other, concurrent.futures.ThreadPoolExecutor(64) as pool:
        with contextlib.ExitStack() as held:
            inside = [held.enter_context(daemon.connect("echo")) for _ in range(8)]
            for s in inside:
                s.sendall(b"x")
                expect(s, "x")
            limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (descriptors(daemon), limits[1]))
            waiting = [pool.submit(talk, daemon, name, socket.AF_INET, b"%d" % n)
                       for n in range(25) for name in ("echo", "upper")]
            daemon.wait_log("listen.paused")
            burnt, began = cpu_seconds(daemon), time.monotonic()
            # Several times what it waits before it looks again.
            while time.monotonic() - began < 0.5:
                other.sendall(b"still")
                expect(other, "still")
                select.select([], [], [], 0.01)
            assert cpu_seconds(daemon) - burnt < 0.4, "it spins"
            assert not any(one.done() for one in waiting)
        for n, one in enumerate(waiting):  # the eight gave their descriptors back
            assert one.result(SECONDS) == b"%d" % (n // 2)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)
    assert daemon.log().count("listen.paused") == 1


def framed(body, length=None):
    return struct.pack("<I", len(body) if length is None else length) + body


class Runs:
    """Pickled, it is a program to run."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_a_program(serve, tmp_path, protocol):
    daemon = configured(serve, {"sum": "", "echo": ""})
    mark = tmp_path / "ran"
    with unharmed(daemon):
        body = pickle.dumps([1, Runs(f"touch {mark}"), 2], protocol)
        assert talk(daemon, "sum", data=framed(body)) == b""
        daemon.wait_log(r"sum\.\w+ .*")
    assert not mark.exists()


def test_a_pickle_that_claims_four_gibibytes(serve):
    daemon = configured(serve, {"sum": "", "echo": ""})
    with unharmed(daemon):
        before = resident_kib(daemon)
        with daemon.connect("sum") as s:
            s.sendall(framed(b"\x80\x03]", 0xffffffff))
            assert ended(s)
        with daemon.connect("sum") as s:  # the protocol's own lengths lie too: LONG4, FRAME
            s.sendall(framed(b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff]"
                             b"\x8b\xff\xff\xff\x7f", 100))
            s.shutdown(socket.SHUT_WR)
            assert ended(s)
        assert resident_kib(daemon) - before < 4096


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_truncated_anywhere(serve, protocol):
    daemon = configured(serve, {"sum": "", "echo": ""}, options=["-q"])
    whole = framed(pickle.dumps([1, 70000, 2**40, -2**40, True], protocol))
    with unharmed(daemon):
        for cut in range(len(whole)):
            assert talk(daemon, "sum", data=whole[:cut]) == b""
            if cut > 4:  # as a whole of its own, it lacks its end
                assert talk(daemon, "sum", data=framed(whole[4:cut])) == b""
        assert talk(daemon, "sum", data=whole) == struct.pack("<I", 70002)


@pytest.mark.root
@pytest.mark.parametrize("port", SMALL_SERVICES)
def test_datagrams_as_if_from_a_small_service(serve, port):
    daemon = configured(serve, {name: "" for name in ("echo", "daytime", "time")} | ONE_LOOP)
    with unharmed(daemon):
        for name in ("echo", "daytime", "time"):
            try:
                with datagrams(daemon, name, source=("127.0.0.9", port)) as s:
                    assert not is_answered(daemon, s, b"loop?")
            except OSError as error:
                pytest.skip(f"port {port}: {error}")


def test_datagrams_from_a_port_of_our_own(serve):
    """Two services cannot be set against each other, nor one against itself."""
    daemon = configured(serve, {name: "" for name in ("echo", "daytime", "time")} | ONE_LOOP)
    with unharmed(daemon):
        for own in ("echo", "daytime", "time"):
            with datagrams(daemon, "daytime", source=("127.0.0.9", daemon.port(own))) as s:
                assert not is_answered(daemon, s, b"loop?")
        with datagrams(daemon, "daytime", source=("127.0.0.9", 0)) as s:
            assert is_answered(daemon, s, b"")


BROKEN = (b"\xff caf\xc3\xa9 \xe2\x82\xac\xf0\x9f\x98\x80 \xc3\x28 \xed\xa0\x80 \xf8\x88 "
          b"\xe2\x82 fin")


@pytest.mark.parametrize("cut", range(1, len(BROKEN)))
def test_invalid_utf8_cut_anywhere_in_a_dialogue(serve, cut):
    """Whatever the cut, every byte comes back once, in order."""
    daemon = configured(serve, {"dialogue": "", "echo": ""})
    with unharmed(daemon), daemon.connect("dialogue") as s:
        read_until(s, b"Votre message ?\n")
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(BROKEN[:cut])
        s.sendall(BROKEN[cut:])
        s.shutdown(socket.SHUT_WR)
        said = read_all(s)
    assert said.endswith(b"Good Bye.")
    back = said.removesuffix(b"Good Bye.").replace(b"ECHO : ", b"")
    back = back.replace(b"Votre message ?\n", b"")
    assert back in (BROKEN, BROKEN[:cut]) and (back == BROKEN or BROKEN[cut:].strip() == b"fin")


def test_a_character_in_pieces_is_one_message(serve):
    with configured(serve, {"dialogue": ""}).connect("dialogue") as s:
        read_until(s, b"Votre message ?\n")
        s.sendall(b"caf\xc3")
        expect(s, "ECHO : cafVotre message ?\n")
        s.sendall(b"\xa9")
        expect(s, "ECHO : éVotre message ?\n")
        for piece in (b"\xf0", b"\x9f", b"\x98"):  # no answer until the character is whole
            s.sendall(piece)
        s.sendall(b"\x80")
        expect(s, "ECHO : 😀Votre message ?\n")
        s.sendall(b"\xc3")
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == b"Good Bye."


@pytest.mark.parametrize("line", [
    b"hello\n", b"ROLE/2 name=a\n", b"ROLE/1\n", b"ROLE/1 name=\n",
    b"ROLE/1 name=" + b"a" * 65 + b"\n",
    b"ROLE/1 name=a priority=-1\n", b"ROLE/1 name=a\nbeat x\n", b"ROLE/1 name=a\nROLE/1 name=a\n",
    b"ROLE/1 name=a\n" + b"b" * 300, b"\xff" * 300])
def test_role_refuses_with_a_reason_and_the_place_goes_on(serve, line):
    daemon = configured(serve, {"role": "", "echo": ""})
    with unharmed(daemon), daemon.connect("role") as bad, daemon.connect("role") as good:
        expect(bad, "principal")
        expect(good, "secondaire")
        bad.sendall(line)
        assert b"\nrefused: " in read_all(bad)
        if not line.startswith(b"ROLE/1 name=a\n"):  # that one had a lease, which is waited for
            expect(good, "principal")
