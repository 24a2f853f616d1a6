"""Readers of the daemon's events, for tests: /api/stream, and the control socket."""

import json
import os
import re
import select
import socket
import time

from support import SECONDS


# A sanitizer keeps what was freed, so memory says little about the program.
SANITIZED = re.search("asan|tsan", os.environ.get("PRISE", ""))


class Stream:
    """GET /api/stream over a socket of its own: `next()` is (event, id, data)."""

    def __init__(self, port, path="/api/stream", headers=(), host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=SECONDS)
        lines = [f"GET {path} HTTP/1.0", "Host: localhost", *headers]
        self.socket.sendall("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
        self.buffer = b""
        self.head = self._until(b"\r\n\r\n").decode()
        self.status = int(self.head.split()[1])

    def _until(self, end):
        deadline = time.monotonic() + SECONDS
        while end not in self.buffer:
            assert select.select([self.socket], [], [], max(0, deadline - time.monotonic()))[0], \
                f"waited for {end!r} after {self.buffer[-200:]!r}"
            part = self.socket.recv(1 << 20)
            assert part, f"the end after {self.buffer!r}"
            self.buffer += part
        part, _, self.buffer = self.buffer.partition(end)
        return part

    def next(self):
        event, number, data = "message", None, None
        for line in self._until(b"\n\n").decode().splitlines():
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "id":
                number = value
            elif name == "data":
                data = json.loads(value)
        return event, number, data

    def wait(self, wanted):
        """The first block for which wanted(event, data); blocks before it are passed over."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            event, number, data = self.next()
            if data is not None and wanted(event, data):
                return number, data
        raise AssertionError("what was waited for did not come")

    def wait_type(self, kind):
        return self.wait(lambda event, data: event == "message" and data["type"] == kind)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Control:
    """A connection to the control socket: lines of JSON both ways."""

    def __init__(self, prise):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(SECONDS)
        self.socket.connect(control_path(prise))
        self.lines = self.socket.makefile("rb")

    def send(self, what):
        line = what if isinstance(what, bytes) else json.dumps(what).encode() + b"\n"
        self.socket.sendall(line)

    def publish(self, kind, **fields):
        self.send({"time": "2026-11-21T20:00:00.000000Z", "type": kind, **fields})

    def line(self):
        line = self.lines.readline()
        return json.loads(line) if line else None

    def follow(self, **more):
        self.send({"ask": "events", **more})
        answer = self.line()
        assert answer["answer"] == "events", answer
        return answer["newest"]

    def wait(self, wanted):
        while True:
            line = self.line()
            assert line is not None, "the daemon ended it"
            if wanted(line):
                return line

    def close(self):
        self.lines.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def control_path(prise):
    return f"{prise.environment['XDG_RUNTIME_DIR']}/prise/ctl"


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return 1024 * int(re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M)[1])
