"""What tests say over a socket, and how they hear it: to the byte, with deadlines."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import socket

from support import SECONDS, free_port, wait_until


def read_all(stream):
    """To the peer's end."""
    return b"".join(iter(lambda: stream.recv(65536), b""))


def read_exactly(stream, count):
    data = b""
    while len(data) < count:
        part = stream.recv(count - len(data))
        assert part, f"the end after {data!r}"
        data += part
    return data


def read_until(stream, end):
    data = b""
    while not data.endswith(end):
        part = stream.recv(1)
        assert part, f"the end after {data!r}"
        data += part
    return data


def expect(stream, text):
    text = text.encode() if isinstance(text, str) else text
    assert read_exactly(stream, len(text)) == text


def ended(stream):
    """Whether the peer ended it, politely or not."""
    try:
        return stream.recv(65536) == b""
    except ConnectionResetError:
        return True


def talk(daemon, name, family=socket.AF_INET, data=b""):
    """Sends all while reading all, half-closes, and returns everything that came back."""
    with daemon.connect(name, family) as s, concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(read_all, s)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        return answer.result(SECONDS)


@contextlib.contextmanager
def datagrams(daemon, name, family=socket.AF_INET, source=None):
    """A socket connected to the service's UDP port, from `source` (address, port) if any."""
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(SECONDS)
        if source:
            s.bind(source)
        s.connect(("127.0.0.1" if family == socket.AF_INET else "::1", daemon.port(name)))
        yield s


def ask(stream, data):
    stream.send(data)
    return stream.recv(65536)


def is_answered(daemon, stream, data):
    """Whether a datagram got an answer by the time that the daemon's echo answered a later one."""
    stream.send(data)
    with datagrams(daemon, "echo") as s:
        assert ask(s, b"later") == b"later"
    stream.setblocking(False)
    try:
        stream.recv(65536)
        return True
    except BlockingIOError:
        return False
    finally:
        stream.settimeout(SECONDS)


def counts(daemon, name):
    """What the API says of a service: all its loops together."""
    client = http.client.HTTPConnection("127.0.0.1", daemon.port("http"), timeout=SECONDS)
    with contextlib.closing(client):
        client.request("GET", "/api/status")
        services = json.load(client.getresponse())["services"]
    return next(s for s in services if s["name"] == name)


def burst(daemon, name, senders):
    """A datagram from each sender; how many were answered once every loop has judged its own."""
    def so_far():
        found = counts(daemon, name)
        return found["datagrams_out"], found["datagrams_refused"]

    before = so_far()
    for s in senders:
        s.send(b"and?")
    judged = sum(before) + len(senders)
    after = wait_until(lambda: sum(found := so_far()) == judged and found,
                       "all datagrams to be judged")
    return after[0] - before[0]


def configured(serve, blocks, **more):
    """A daemon of `blocks`, {"echo": 'max_connections = 1', "": 'loops = 2'}, each service on a
    port of its own of loopback unless its block says `listen`."""
    ports, lines = {}, [blocks.get("", "")]
    for name, keys in blocks.items():
        if name:
            ports[name] = free_port()
            listen = "" if "listen" in keys else f'listen = "{ports[name]}"\n'
            lines.append(f"{name} {{\n{listen}{keys.replace('PORT', str(ports[name]))}\n}}")
    daemon = serve(config="\n".join(lines) + "\n", **more)
    daemon.ports.update(ports)
    return daemon


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def resident_kib(daemon):
    for line in pathlib.Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def cpu_seconds(daemon):
    words = pathlib.Path(f"/proc/{daemon.pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
    return sum(map(int, words.split()[11:13])) / os.sysconf("SC_CLK_TCK")
