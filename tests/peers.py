"""Third parties in Python: servers as the courses write them, each a function of a connected
socket, and ones that misbehave. The fixtures `peer` and `datagrams` start them:
peer(close_early).address."""

import contextlib
import socket
import struct
import threading

import pexpect
import pytest
from support import SECONDS


class Peer:
    """A server on a free port of 127.0.0.1, a thread a connection. What its function raises fails
    the test, but for a client that is gone."""

    def __init__(self, talk):
        self.talk = talk
        self.errors = []
        self.threads = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._start(self._accept)

    def _start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _serve(self, connection):
        connection.settimeout(SECONDS)
        try:
            self.talk(connection)
        except ConnectionError:
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(error)
        finally:
            connection.close()

    def end(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), "a connection was left open"
        assert not self.errors, self.errors


@pytest.fixture
def peer():
    started = []

    def start(talk):
        started.append(Peer(talk))
        return started[-1]

    yield start
    for one in started:
        one.end()


class Datagrams:
    """A UDP server whose `judge` maps a datagram's number, from 1 on, and the datagram to the list
    of those that go back."""

    def __init__(self, judge, port=0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.judge = judge
        self.seen = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            data, client = self.socket.recvfrom(70000)
            if data == b"stop":
                return
            self.seen.append(data)
            for answer in self.judge(len(self.seen), data):
                self.socket.sendto(answer, client)

    def end(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"stop", self.socket.getsockname())
        self.thread.join(SECONDS)
        self.socket.close()


@pytest.fixture
def datagrams():
    started = []

    def start(judge, port=0):
        started.append(Datagrams(judge, port))
        return started[-1]

    yield start
    for one in started:
        one.end()


def exactly(connection, size):
    """`size` bytes, or what came before the end."""
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            break
        data += part
    return data


def to_the_end(connection):
    while connection.recv(65536):
        pass


def close_early(connection):
    connection.close()


def never_answer(connection):
    to_the_end(connection)


def reset(connection):
    """Takes a byte, then breaks the connection off."""
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def says(*pieces, then=to_the_end):
    """A server that says this whatever it hears, a write a piece, and then `then`."""
    def talk(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        then(connection)
    return talk


class Terminal:
    """A command on a terminal of 24 lines by 80, for a person's hands: expect, send, end."""

    def __init__(self, prise, *arguments):
        self.child = pexpect.spawn(prise.path, [str(a) for a in arguments], timeout=SECONDS,
                                   env={**prise.environment, "TERM": "xterm"},
                                   cwd=str(prise.directory), dimensions=(24, 80))
        self.seen = b""

    def expect(self, text):
        self.child.expect_exact(text if isinstance(text, bytes) else text.encode())
        self.seen += self.child.before + self.child.after

    def send(self, keys):
        self.child.send(keys)

    def end(self):
        """Until it is over; returns its exit code (128 + n by signal), `seen` is all it showed."""
        self.child.expect(pexpect.EOF)
        self.seen += self.child.before
        self.child.close()
        if self.child.signalstatus:
            return 128 + self.child.signalstatus
        return self.child.exitstatus
