"""A client of the feed (docs/protocols/feed.md) in Python, byte by byte: for tests of the server.

    feed = Feed(port)              magic, HELLO; feed.newest is what WELCOME says
    feed.send(record(...), ...)    one RECORDS frame; numbers go on by themselves
    feed.wait_acknowledged()       until all of it is committed

and the course's own client, plain(port, data, ...), which sends and hears nothing."""

import itertools
import os
import socket
import struct
import time

from support import SECONDS

MAGIC = b"\xf6fed\r\n\x01\n"
HELLO, WELCOME, RECORDS, ACK, PING, PONG, BYE, REFUSE = range(1, 9)
PACKED = 1
(BAD_FRAME, BAD_VERSION, HELD, BAD_NUMBER, BAD_RECORD, TOO_MUCH, NO_STORE,
 STOPPING) = range(1, 9)
TYPES = {"create": 1, "modify": 2, "delete": 3, "move": 4, "attrib": 5, "gap": 6, "settled": 7}
KINDS = {"": 0, "file": 1, "directory": 2, "link": 3, "other": 4}
HEAD = struct.Struct(">BBHI")
FIXED = struct.Struct(">BBBBBBHHHIqqQQ")


def record(kind, path, *, what="file", source=b"", size=0, mode=0, inode=0, when_us=None,
           why=b"", reset=False, user=b"", program=b"", pid=0):
    """A change as a record."""
    path = path.encode() if isinstance(path, str) else path
    when_us = time.time_ns() // 1000 if when_us is None else when_us
    what = "" if kind in ("gap", "settled") else what
    return FIXED.pack(TYPES[kind], KINDS[what], 1 if reset else 0, len(program), len(user),
                      len(why), len(path), len(source), mode, pid, when_us, 0, size,
                      inode) + path + source + program + user + why


class Refused(Exception):
    """The server said REFUSE: code and reason."""


class Feed:
    """One connection of one client."""

    def __init__(self, port, instance=None, host="here", hello=True, address="127.0.0.1"):
        self.instance = instance or os.urandom(16)
        self.host = host
        self.socket = socket.create_connection((address, port), timeout=SECONDS)
        self.rest = b""
        self.acknowledged = self.newest = self.last = 0
        if hello:
            self.hello()

    def hello(self):
        self.socket.sendall(MAGIC)
        self.frame(HELLO, self.instance + self.host.encode())
        kind, body = self.hear()
        assert kind == WELCOME, (kind, body)
        self.newest, self.window, self.largest = struct.unpack(">QII", body)
        self.acknowledged = self.last = self.newest

    def frame(self, kind, body=b"", flags=0):
        self.socket.sendall(HEAD.pack(kind, flags, 0, len(body)) + body)

    def _read(self, count):
        while len(self.rest) < count:
            part = self.socket.recv(65536)
            if not part:
                raise EOFError(f"the server left; {self.rest!r} had come")
            self.rest += part
        data, self.rest = self.rest[:count], self.rest[count:]
        return data

    def hear(self):
        """The next frame: (type, body). REFUSE is raised."""
        kind, _, _, length = HEAD.unpack(self._read(HEAD.size))
        body = self._read(length)
        if kind == REFUSE:
            raise Refused(struct.unpack(">H", body[:2])[0], body[2:].decode())
        return kind, body

    def send(self, *records, first=None, count=None, raw=None, flags=0, body=None):
        """One frame of records. Returns the number of the last."""
        plain = b"".join(records)
        first = self.last + 1 if first is None else first
        count = len(records) if count is None else count
        self.frame(RECORDS, struct.pack(">QII", first, count, len(plain) if raw is None else raw)
                   + (plain if body is None else body), flags)
        self.last = first + count - 1
        return self.last

    def hear_acknowledgement(self):
        """The newest number that is committed, once that is news."""
        while True:
            kind, body = self.hear()
            if kind == PING:
                self.frame(PONG)
            if kind == ACK:
                self.acknowledged = struct.unpack(">QQ", body)[0]
                return self.acknowledged

    def wait_acknowledged(self, upto=None):
        while self.acknowledged < (self.last if upto is None else upto):
            self.hear_acknowledgement()
        return self.acknowledged

    def bye(self):
        self.frame(BYE)
        self.socket.close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def changes(number, start=0):
    """So many records, each of another path."""
    return [record("create", f"/tree/{i}", size=i) for i in range(start, start + number)]


def plain(port, *parts, address="127.0.0.1"):
    """The course's client: connects, sends each part with a send() of its own, closes."""
    with socket.create_connection((address, port), timeout=SECONDS) as s:
        for part in parts:
            s.send(part)


def stored(prise, *arguments):
    """What prise events finds, as objects."""
    done = prise("events", "--json", *arguments)
    assert done.code == 0, done
    return done.events


def pairs(events):
    """(client, seq) of each, to be looked at for doubles."""
    return [(e["client"], e["seq"]) for e in events]


def has_doubles(events):
    found = pairs(events)
    return len(found) != len(set(found))


def by_client(events):
    ordered = sorted(events, key=lambda e: (e["client"], e["seq"]))
    return {client: list(group)
            for client, group in itertools.groupby(ordered, key=lambda e: e["client"])}
