"""What the tests of connect and listen share: third parties that are started, waited for and
ended, and reading with a deadline."""

import contextlib
import os
import random
import select
import shutil
import socket
import subprocess
import threading
import time

import pytest

from support import SECONDS, free_port, has_ipv6, wait_until

MIB = 1 << 20


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"no {program} here")


def read_until(stream, wanted, seconds=SECONDS):
    """Reads a pipe until `wanted` (bytes) has come; returns everything read."""
    got = b""
    deadline = time.monotonic() + seconds
    while wanted not in got:
        left = deadline - time.monotonic()
        assert left > 0, f"waited {seconds} s for {wanted!r}, got {got!r}"
        if select.select([stream], [], [], left)[0]:
            piece = os.read(stream.fileno(), 65536)
            assert piece, f"ended before {wanted!r}: {got!r}"
            got += piece
    return got


def listen(prise, *arguments, host="127.0.0.1", **more):
    """Starts `prise listen` on a free port and returns (process, port), once it listens."""
    port = free_port()
    process = prise.start("listen", f"{host}:{port}", *arguments, **more)
    shown = {"*": "[::]" if has_ipv6() else "0.0.0.0"}.get(host, host)  # the last of them
    process.seen = read_until(process.stderr, f"listening on {shown}:{port}\n".encode())
    return process, port


def dial(port, host="127.0.0.1"):
    return socket.create_connection((host, port), timeout=SECONDS)


def receive_all(sock):
    got = bytearray()
    while piece := sock.recv(65536):
        got += piece
    return bytes(got)


def receive_until(sock, wanted):
    got = b""
    while wanted not in got:
        piece = sock.recv(65536)
        assert piece, f"ended before {wanted!r}: {got!r}"
        got += piece
    return got


@pytest.fixture
def peer():
    """peer(command...) starts a third party with pipes for stdin, stdout and stderr."""
    started = []

    def start(*command, **more):
        need(command[0])
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen([str(word) for word in command], **{**pipes, **more}))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()
        for stream in (one.stdin, one.stdout, one.stderr):
            with contextlib.suppress(OSError):
                stream.close()


def say(process, data):
    """Writes all of data to a process's stdin, in a thread of its own; stdin stays open."""
    def run():
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(data)
            process.stdin.flush()

    saying = threading.Thread(target=run, daemon=True)
    saying.start()
    return saying


def read_exactly(stream, size, seconds=SECONDS):
    got = bytearray()
    deadline = time.monotonic() + seconds
    while len(got) < size:
        left = deadline - time.monotonic()
        assert left > 0, f"waited {seconds} s for {size} bytes, got {len(got)}"
        if select.select([stream], [], [], left)[0]:
            piece = os.read(stream.fileno(), size - len(got))
            assert piece, f"ended after {len(got)} of {size} bytes"
            got += piece
    return bytes(got)


def reading(stream):
    """Reads a stream to its end in a thread of its own; call what it returns for the bytes."""
    got = []
    thread = threading.Thread(target=lambda: got.append(stream.read()), daemon=True)
    thread.start()

    def result():
        thread.join(SECONDS)
        assert got, f"waited {SECONDS} s for the end of a stream"
        return got[0]

    return result


def cross(one, other, size=MIB):
    """Both processes say random bytes at once, and each prints what the other said, exactly."""
    said, answer = noise(size, 2), noise(size, 3)
    saying = [say(one, said), say(other, answer)]
    heard = []
    hearing = threading.Thread(target=lambda: heard.append(read_exactly(other.stdout, size)))
    hearing.start()
    assert read_exactly(one.stdout, size) == answer
    for thread in [hearing, *saying]:
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert heard == [said]


def wait_listening(port, kind="tcp"):
    """Until somebody listens on 127.0.0.1:port, without connecting to it."""
    wanted = f"0100007F:{port:04X}"
    anyone = f"00000000:{port:04X}"

    def look():
        with open(f"/proc/net/{kind}", encoding="ascii") as table:
            rows = [line.split() for line in table][1:]
        states = ("0A",) if kind == "tcp" else ("07", "01")
        return any(row[1] in (wanted, anyone) and row[3] in states for row in rows)

    wait_until(look, f"somebody to listen on {port}")


class Server(threading.Thread):
    """A Python server of one connection: Server(lambda sock: ...). .port; ended() is what it
    returned."""

    def __init__(self, serve, family=socket.AF_INET, address=("127.0.0.1", 0)):
        super().__init__(daemon=True)
        self.serve, self.result = serve, None
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind(address)
        self.listener.listen(8)
        self.listener.settimeout(SECONDS)
        self.port = self.listener.getsockname()[1] if family == socket.AF_INET else 0
        self.start()

    def run(self):
        with contextlib.suppress(OSError), self.listener:
            sock, _ = self.listener.accept()
            sock.settimeout(SECONDS)
            with sock:
                self.result = self.serve(sock)

    def ended(self):
        self.join(SECONDS)
        assert not self.is_alive()
        return self.result
