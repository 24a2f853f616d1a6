"""Dashboard: 1000 events a second to 100 open streams. Two absolute claims: the share of a core
that the daemon uses, and by how much the stream that is furthest behind lags."""

import contextlib
import json
import re
import selectors
import socket
import threading
import time

from harness import Absolute, prise, Server, wait_until

STREAMS, EVENTS_A_SECOND, RUN_S = 100, 1000, 4


class Feeder(threading.Thread):
    """Publishes events at an even pace over the control socket; each says when it was written."""

    def __init__(self, path):
        super().__init__()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.sent = 0

    def run(self):
        begin = time.monotonic()
        while (passed := time.monotonic() - begin) < RUN_S:
            lines = b""
            while self.sent < passed * EVENTS_A_SECOND:
                lines += json.dumps({"time": "2026-11-21T20:00:00.000000Z", "type": "echo.round",
                                     "service": "echo", "round": self.sent, "bytes": 56,
                                     "sent_ns": time.monotonic_ns()},
                                    separators=(",", ":")).encode() + b"\n"
                self.sent += 1
            self.socket.sendall(lines)
            time.sleep(0.001)


class Readers:
    """The open streams: how many events came, and the greatest lag of any."""

    def __init__(self, port):
        self.selector, self.came, self.lag_ns, self.sockets = selectors.DefaultSelector(), 0, 0, []
        for _ in range(STREAMS):
            s = socket.create_connection(("127.0.0.1", port))
            s.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            s.setblocking(False)
            self.selector.register(s, selectors.EVENT_READ)
            self.sockets.append(s)

    def read(self, wait_s):
        for key, _ in self.selector.select(wait_s):
            data = key.fileobj.recv(1 << 20)
            if not data:
                raise RuntimeError("a stream ended")
            sent = re.findall(rb'"sent_ns":(\d+)', data)
            self.came += len(sent)
            if sent:
                self.lag_ns = max(self.lag_ns, time.monotonic_ns() - int(sent[0]))

    def close(self):
        for s in self.sockets:
            s.close()


def run(spec):
    """(share of a core, greatest lag in ns); an event that did not come is a failure."""
    with Server(spec) as server:
        feeder = Feeder(f"{server.directory.name}/prise/ctl")
        with contextlib.closing(Readers(server.port)) as readers:
            before, begin = server.cpu_ns(), time.monotonic_ns()
            feeder.start()
            while feeder.is_alive():
                readers.read(0.05)
            share = (server.cpu_ns() - before) / (time.monotonic_ns() - begin)
            due = feeder.sent * STREAMS
            wait_until(lambda: readers.read(0.05) or readers.came >= due * 0.9999,
                       f"{due} events, of which {readers.came} came")
        feeder.socket.close()
    return share, readers.lag_ns


CLAIMS = [Absolute(f"dashboard, {EVENTS_A_SECOND} events/s to {STREAMS} streams: share of a core",
                   "share", lambda: prise("http"), lambda spec: run(spec)[0], "<=", 0.15),
          Absolute(f"dashboard, {EVENTS_A_SECOND} events/s to {STREAMS} streams: greatest lag",
                   "ns", lambda: prise("http"), lambda spec: run(spec)[1], "<=", 1e9)]
