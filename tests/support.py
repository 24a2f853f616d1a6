"""What the tests of e2e/ and netns/ share: the program under test, free ports, a daemon.

The binary is $PRISE (build/release/prise unless told). Everything a test starts keeps its state in
the test's own directory, listens on ports of its own, and is gone when the test ends. Nothing here
sleeps: `wait_until` looks again until a deadline."""

import random
import itertools
import errno
import contextlib
import fcntl
import json
import os
import pathlib
import re
import select
import socket
import subprocess
import time
from signal import SIG_DFL, SIGHUP, SIGTERM, signal

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
SECONDS = 20  # the deadline of whatever a test waits for; sanitizers on a busy machine are slow
SANITIZER = re.compile(rb"(ERROR|WARNING): (Address|Thread|Leak)Sanitizer|runtime error:")

signal(SIGHUP, SIG_DFL)  # nohup(1) has it ignored, and what is started would keep that


def wait_until(look, what, seconds=SECONDS):
    """The first true value that look() returns; fails naming `what` when the deadline passes."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        select.select([], [], [], 0.01)


STRETCH = 512  # ports
MARKS = []  # held for as long as we run: they say that a stretch is ours


def ports_of_ours():
    """Every port once, of stretches that no other process of the tests has in this network: what
    was chosen here and is not bound yet is chosen by nobody else. They lie below those that the
    kernel chooses for clients."""
    firsts = range(10240, 32000 - STRETCH, STRETCH)
    for first in random.sample(firsts, len(firsts)):
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0prise-tests-ports-{first}")
        except OSError:  # another's
            mark.close()
            continue
        MARKS.append(mark)
        yield from random.sample(range(first, first + STRETCH), STRETCH)


PORTS = ports_of_ours()


def is_free(port):
    """Whether a port is free for TCP and UDP, on IPv4 and (where there is any) IPv6."""
    address = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
    for family, kind in itertools.product(address, (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
        try:
            with socket.socket(family, kind) as s:
                s.bind((address[family], port))
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                return False
    return True


def free_port():
    """A free port, that is not given twice."""
    for port in PORTS:
        if is_free(port):
            return port
    raise AssertionError("no free port")


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


@contextlib.contextmanager
def sysctl(name, value, when=lambda old: True):
    """Sets a limit that has no namespace, for as long as it takes, where what it was needs that;
    skips where nobody may. Whoever has begun before keeps what he had. One test after the
    other, with a lock on the limit's file: none sees or restores what another one set."""
    path = pathlib.Path("/proc/sys") / name.replace(".", "/")
    with open(path, encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        old = int(path.read_text())
        if not when(old):
            yield
            return
        try:
            path.write_text(str(value))
        except OSError as error:
            pytest.skip(f"{name} is {old}, and cannot be set: {error}")
        try:
            yield
        finally:
            path.write_text(str(old))


class Result:
    """How a command ended: code, out, err (text), raw (stdout's bytes)."""

    def __init__(self, code, raw, err):
        self.code, self.raw, self.err = code, raw, err.decode("utf-8", "replace")
        self.out = raw.decode("utf-8", "replace")

    @property
    def events(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def __repr__(self):
        return f"exit {self.code}\nout: {self.out}\nerr: {self.err}"


class Prise:
    """The program under test, with HOME and XDG_* in a directory of its own."""

    def __init__(self, directory):
        self.path = os.environ.get("PRISE", str(ROOT / "build" / "release" / "prise"))
        self.directory = pathlib.Path(directory)
        self.started = []
        self.environment = {k: v for k, v in os.environ.items()
                            if k not in ("LANG", "LANGUAGE", "NO_COLOR", "NOTIFY_SOCKET")
                            and not k.startswith(("LC_", "LISTEN_"))}
        self.environment.update(LC_ALL="C.UTF-8", HOME=str(directory),
                                PYTHONDONTWRITEBYTECODE="1")
        for name in ("STATE", "CONFIG", "RUNTIME"):
            place = self.directory / name.lower()
            place.mkdir(mode=0o700, exist_ok=True)
            suffix = "DIR" if name == "RUNTIME" else "HOME"
            self.environment[f"XDG_{name}_{suffix}"] = str(place)

    def __call__(self, *arguments, stdin=b"", env=None, seconds=SECONDS, **more):
        """Runs a command to its end."""
        stdin = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run([self.path, *map(str, arguments)], input=stdin, capture_output=True,
                              env={**self.environment, **(env or {})}, timeout=seconds,
                              check=False, cwd=self.directory, **more)
        assert not SANITIZER.search(done.stderr), done.stderr.decode("utf-8", "replace")
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments, env=None, **more):
        """Starts a command and returns its Popen; ended with the test if it still runs."""
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                   "cwd": self.directory, **more}
        process = subprocess.Popen([self.path, *map(str, arguments)],
                                   env={**self.environment, **(env or {})}, **options)
        self.started.append(process)
        return process

    def end(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    with contextlib.suppress(OSError):
                        stream.close()


class Daemon:
    """A `prise serve` of the test's own: Daemon(prise, "echo", "daytime") gives each service a free
    port of 127.0.0.1; "echo=*:PORT" is passed on as it is. Ready when sd_notify says READY=1."""

    def __init__(self, prise, *services, options=(), env=None, config=None, wait=True,
                 **more):
        self.prise = prise
        self.ports = {}
        self.number = len(prise.started)
        self.out_path = prise.directory / f"serve{self.number}.out"
        self.err_path = prise.directory / f"serve{self.number}.err"
        words = [self._word(service) for service in services]
        if config is not None:
            path = prise.directory / f"serve{self.number}.conf"
            path.write_text(config, encoding="utf-8")
            words = ["-c", str(path), *words]
            self.config_path = path
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify_path = prise.directory / f"notify{self.number}"
        self.notify.bind(str(notify_path))
        notify_path.chmod(0o666)  # the daemon may become another user before it is ready
        self.notify.setblocking(False)
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = prise.start("serve", *words, *options,
                                       env={"NOTIFY_SOCKET": str(notify_path), **(env or {})},
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=err, **more)
        self.pid = self.process.pid
        if wait:
            self.wait_ready()

    def _word(self, service):
        name, equals, address = service.partition("=")
        if not equals:
            port = free_port()
            while port in self.ports.values():  # given before, and not bound yet
                port = free_port()
            address = f"127.0.0.1:{port}"
        port = address.rpartition(":")[2]
        self.ports[name] = int(port) if port.isdigit() else 0
        return f"{name}={address}"

    def _notified(self, word):
        assert self.process.poll() is None, f"serve ended ({self.process.returncode}): {self.log()}"
        with contextlib.suppress(BlockingIOError):
            return word in self.notify.recv(4096)
        return False

    def wait_ready(self):
        """Until it listens: after the start, or after a SIGHUP."""
        wait_until(lambda: self._notified(b"READY=1"), "serve to be ready")

    def port(self, name):
        return self.ports[name]

    def log(self):
        """What it has said so far: the table and the log."""
        return (self.out_path.read_bytes() + self.err_path.read_bytes()).decode("utf-8", "replace")

    def wait_log(self, pattern):
        return wait_until(lambda: re.search(pattern, self.log()), f"{pattern!r} in the log")

    def connect(self, name, family=socket.AF_INET):
        host = "127.0.0.1" if family == socket.AF_INET else "::1"
        return socket.create_connection((host, self.port(name)), timeout=SECONDS)

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, number=SIGTERM):
        """Ends it; returns its exit code. A sanitizer's report fails the test."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"serve did not end: {self.log()}") from None
        self.notify.close()
        assert not SANITIZER.search(self.err_path.read_bytes()), self.log()
        return self.process.returncode


@pytest.fixture
def prise(tmp_path):
    program = Prise(tmp_path)
    yield program
    program.end()


@pytest.fixture
def serve(prise):
    """serve("echo", "guess") starts a Daemon; each is stopped, and must stop well, at the end."""
    started = []

    def start(*services, **more):
        daemon = Daemon(prise, *services, **more)
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        ended_before = daemon.process.poll() is not None
        code = daemon.stop()
        assert ended_before or code == 0, f"serve ended with {code}: {daemon.log()}"


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        site = getattr(item, "callspec", None) and item.callspec.params.get("site")
        if "mocked" in item.fixturenames or site == "mock":
            item.add_marker("mock")
