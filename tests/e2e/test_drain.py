"""What is under way over HTTP while the daemon reloads, and when it stops."""

import contextlib
import ctypes
import http.client
import os
import re
import signal
import socket
import threading
import time

import pytest
from streams import Control
from support import SECONDS, free_port, wait_until
from talking import configured, read_until

ASK = b"GET /api/connections?limit=50 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_reloads_while_connections_are_listed(serve):
    """A service that goes is not looked at any more by who had asked before."""
    ports = {name: free_port() for name in ("http", "echo", "inbox")}

    def config(turn):
        keys = f"idle = {10 + turn % 5}s"
        blocks = "".join(f'{name} {{ listen = "127.0.0.1:{ports[name]}" {keys} }}\n'
                         for name in ("echo", "inbox"))
        return f'loops = 1\nhttp {{ listen = "127.0.0.1:{ports["http"]}" }}\n{blocks}'

    daemon = serve(config=config(0))
    daemon.ports.update(ports)
    over = threading.Event()

    def ask():
        while not over.is_set():
            with contextlib.suppress(OSError), daemon.connect("http") as s:
                s.sendall(ASK * 20)
                answers = 0
                while answers < 20 and (part := s.recv(65536)):
                    answers += part.count(b"HTTP/1.1 200")

    askers = [threading.Thread(target=ask) for _ in range(6)]
    for asker in askers:
        asker.start()
    try:
        for turn in range(10_000):
            if len(re.findall("daemon.reloaded", daemon.log())) >= 40:
                break
            daemon.config_path.write_text(config(turn), encoding="utf-8")
            daemon.signal(signal.SIGHUP)
            with daemon.connect("http") as s:
                s.sendall(ASK)
                assert s.recv(65536)
    finally:
        over.set()
        for asker in askers:
            asker.join()


@pytest.fixture(params=[1, 2], ids=["one loop", "two loops"])
def daemon(request, serve):
    return configured(serve, {"": f'loops = {request.param}\ndrain = "1h"', "http": "",
                              "echo": ""})


def held(daemon):
    """A client in the middle of its second request, which the drain waits for."""
    s = daemon.connect("http")
    s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    read_until(s, b"ok\n")  # it was accepted
    s.sendall(b"GET /healthz HTTP/1.1\r\n")
    return s


@pytest.mark.parametrize("path", ["/healthz", "/api/connections", "/api/status", "/"])
def test_who_asks_on_is_told_of_the_end(daemon, path):
    """Else whoever asks again within the 200 ms that count as quiet would be served for ever."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(8):
            client = http.client.HTTPConnection("127.0.0.1", daemon.port("http"), timeout=SECONDS)
            stack.callback(client.close)
            client.request("GET", path)
            client.getresponse().read()
            clients.append(client)
        waiting = stack.enter_context(held(daemon))
        daemon.signal(signal.SIGTERM)
        daemon.wait_log(r"daemon\.stopping")
        stopping = time.monotonic()
        for client in clients:
            with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError):
                told = None
                while told != "close":  # the other loop may not have heard of the end yet
                    client.request("GET", path)
                    answer = client.getresponse()
                    answer.read()
                    told = answer.headers["Connection"]
                    assert answer.status == 200 and time.monotonic() - stopping < 5
        waiting.sendall(b"Host: localhost\r\n\r\n")
        assert b"Connection: close" in read_until(waiting, b"ok\n")
        begun = time.monotonic()
        assert daemon.process.wait(SECONDS) == 0 and time.monotonic() - begun < 5


def test_a_question_while_the_other_loop_has_nothing_left(serve):
    daemon = configured(serve, {"": 'loops = 4\ndrain = "1h"', "http": ""})
    with held(daemon) as s:
        daemon.signal(signal.SIGTERM)
        daemon.wait_log(r"daemon\.stopping")
        s.sendall(b"X: y\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in read_until(s, b"ok\n")
    assert daemon.process.wait(SECONDS) == 0
    daemon = configured(serve, {"": 'loops = 4\ndrain = "1h"', "http": ""})
    with daemon.connect("http") as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + ASK[:30])
        read_until(s, b"ok\n")
        daemon.signal(signal.SIGTERM)
        daemon.wait_log(r"daemon\.stopping")
        s.sendall(ASK[30:])
        head = read_until(s, b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
    assert daemon.process.wait(SECONDS) == 0


LATE = 0.6  # seconds: longer than a stream gets for what its reader should still know
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17  # ptrace(2)
WALL = 0x40000000  # waitpid(2): threads too


def ptrace(request, thread):
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.argtypes = [ctypes.c_long] * 4
    if call(request, thread, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


@contextlib.contextmanager
def thread_of_events_late(daemon):
    """Those that stand back (loop_stand_back), and it is one of them, do not run meanwhile."""
    threads = [int(name) for name in os.listdir(f"/proc/{daemon.pid}/task")]
    threads = [t for t in threads if os.sched_getscheduler(t) == os.SCHED_BATCH]
    assert threads
    with contextlib.ExitStack() as stack:
        for thread in threads:
            try:
                ptrace(SEIZE, thread)
            except PermissionError:
                pytest.skip("no thread may be stopped here")
            stack.callback(ptrace, DETACH, thread)
            ptrace(INTERRUPT, thread)
            os.waitpid(thread, WALL)
        yield


@contextlib.contextmanager
def streaming(daemon):
    client = http.client.HTTPConnection("127.0.0.1", daemon.port("http"), timeout=SECONDS)
    with contextlib.closing(client):
        client.request("GET", "/api/stream")
        answer = client.getresponse()
        while b'"pid"' not in answer.readline():
            pass
        yield answer


def test_a_stream_is_told_that_the_daemon_stops(daemon):
    with streaming(daemon) as answer:
        daemon.signal(signal.SIGTERM)
        assert b"daemon.stopping" in answer.read()  # to its last chunk: else IncompleteRead
    assert daemon.process.wait(SECONDS) == 0


def test_a_stream_is_told_when_the_thread_of_events_is_late(daemon):
    with streaming(daemon) as answer:
        with thread_of_events_late(daemon):
            daemon.signal(signal.SIGTERM)
            wait_until(lambda: daemon._notified(b"STOPPING=1"), "the daemon to stop")
            time.sleep(LATE)
        assert b"daemon.stopping" in answer.read()
    assert daemon.process.wait(SECONDS) == 0


def test_a_stream_is_told_when_the_daemon_is_late(daemon):
    with streaming(daemon) as answer:
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: daemon._notified(b"STOPPING=1"), "the daemon to stop")
        daemon.signal(signal.SIGSTOP)
        time.sleep(LATE)
        daemon.signal(signal.SIGCONT)
        assert b"daemon.stopping" in answer.read()
    assert daemon.process.wait(SECONDS) == 0


def test_a_stream_that_nobody_reads_ends_with_the_drain(prise, serve):
    daemon = configured(serve, {"": 'drain = "1s"', "http": ""})
    with Control(prise) as writer, Control(prise) as watcher:
        watcher.follow()
        for i in range(4000):
            writer.publish("a.b", i=i, text="x" * 1000)
        watcher.wait(lambda e: e.get("i") == 3999)
    with socket.socket() as s:
        s.settimeout(SECONDS)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", daemon.port("http")))
        s.sendall(b"GET /api/stream?since=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_until(s, b"id: 1-")
        daemon.signal(signal.SIGTERM)
        begun = time.monotonic()
        assert daemon.process.wait(SECONDS) == 0 and time.monotonic() - begun < 5
