"""A capture of HTTP read from beginning to end, as a whole process: `prise capture FILE` beside
tshark, which lists the exchanges too, and beside tcpflow, which writes each direction to a file.

The capture is made anew in a temporary directory, the same each time: keep-alive conversations,
sixteen at a time, bodies from 300 bytes to 200 KB by length or chunked, an acknowledgement for
every second segment. BENCH_CAPTURE_MIB (500) says how long it is."""

import atexit
import functools
import os
import random
import resource
import shutil
import struct
import subprocess
import tempfile
import time

from harness import BUILD, Claim, installed, PATIENCE_S, SERVER_CPU, Spec, spawn, Unavailable

MIB = int(os.environ.get("BENCH_CAPTURE_MIB", "500"))
SEGMENT_BYTES, AT_A_TIME, EXCHANGES = 1448, 16, 8
SIZES = (300, 2_000, 15_000, 60_000, 200_000)
SERVER = bytes([192, 0, 2, 1])
ETHERNET = bytes.fromhex("525400123502 080027000337 0800")
OPTIONS = bytes.fromhex("0101080a0006d9810006d981")
SYN, ACK, PSH_ACK, FIN_ACK, SYN_ACK = 2, 16, 24, 17, 18


def frame(source, target, ports, numbers, flags, payload):
    """One Ethernet frame without what carries it in a file."""
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 52 + len(payload), 0, 0x4000, 64, 6, 0, source,
                     target)
    tcp = struct.pack(">HHIIBBHHH", *ports, *numbers, 0x80, flags, 502, 0, 0)
    return ETHERNET + ip + tcp + OPTIONS + payload


class Conversation:
    """The frames of one, in order."""

    def __init__(self, number, noise):
        self.client = struct.pack(">I", 0x0A000000 + number // 20000)
        self.port = 32768 + number % 20000
        self.number, self.noise = number, noise
        self.seq = {True: number * 7919 % 2**32, False: number * 104729 % 2**32}

    def one(self, up, flags, payload=b""):
        ends = (self.client, SERVER) if up else (SERVER, self.client)
        ports = (self.port, 80) if up else (80, self.port)
        made = frame(*ends, ports, (self.seq[up], self.seq[not up]), flags, payload)
        self.seq[up] = (self.seq[up] + len(payload) + (flags & 3 != 0)) % 2**32
        return made

    def body(self, i):
        size = SIZES[(self.number * 3 + i) % len(SIZES)]
        at = (self.number * 7919 + i * 104729) % (len(self.noise) - size)
        return self.noise[at:at + size]

    def response(self, i):
        body = self.body(i)
        head = b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/octet-stream\r\n"
        if (self.number + i) % 4:
            return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        chunks = [b"%x\r\n%s\r\n" % (len(body[at:at + 8192]), body[at:at + 8192])
                  for at in range(0, len(body), 8192)]
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + b"0\r\n\r\n"

    def frames(self):
        yield self.one(True, SYN)
        yield self.one(False, SYN_ACK)
        yield self.one(True, ACK)
        for i in range(EXCHANGES):
            yield self.one(True, PSH_ACK, b"GET /%d/%d.bin HTTP/1.1\r\nHost: bench.example\r\n"
                           b"User-Agent: bench\r\nAccept: */*\r\n\r\n" % (self.number, i))
            yield self.one(False, ACK)
            data = self.response(i)
            for at in range(0, len(data), SEGMENT_BYTES):
                yield self.one(False, PSH_ACK, data[at:at + SEGMENT_BYTES])
                if at // SEGMENT_BYTES % 2:
                    yield self.one(True, ACK)
        yield self.one(True, FIN_ACK)
        yield self.one(False, FIN_ACK)
        yield self.one(True, ACK)


def write(path, limit_bytes):
    """Conversations until the file is that long; how many exchanges they are."""
    noise = random.Random(1).randbytes(1 << 22)
    alive, begun, at_us, written = [], 0, 0, 24
    with open(path, "wb", buffering=1 << 20) as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        while alive or written < limit_bytes:
            while len(alive) < AT_A_TIME and written < limit_bytes:
                alive.append(Conversation(begun, noise).frames())
                begun += 1
            for frames in list(alive):
                made = next(frames, None)
                if made is None:
                    alive.remove(frames)
                    continue
                at_us += 3
                f.write(struct.pack("<IIII", 1_700_000_000 + at_us // 10**6, at_us % 10**6,
                                    len(made), len(made)) + made)
                written += 16 + len(made)
    return begun * EXCHANGES


@functools.cache
def capture():
    """(directory, file, exchanges), made when it is first asked for."""
    directory = tempfile.mkdtemp(prefix="bench-capture-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    if shutil.disk_usage(directory).free < (3 * MIB + 100) << 20:
        raise Unavailable("too little room for the capture and what tcpflow writes")
    path = f"{directory}/http.pcap"
    return directory, path, write(path, MIB << 20)


def run(spec, count=None):
    """One run: (processor seconds, wall seconds). `count` looks whether all exchanges were seen."""
    directory, path, exchanges = capture()
    out = f"{directory}/out"
    os.mkdir(out)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    argv = [a.format(path=path, out=out) for a in spec.argv]
    process = spawn(argv, SERVER_CPU, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines = sum(1 for _ in process.stdout)
    process.stdout.close()
    code = process.wait(PATIENCE_S)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(out)
    if code != 0:
        raise RuntimeError(f"{spec.name} ended with {code}")
    if count and count(lines) != exchanges:
        raise RuntimeError(f"{spec.name} saw {lines} of {exchanges}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def ours():
    if not os.path.exists(f"{BUILD}/prise"):
        raise Unavailable("prise was not built")
    return Spec("prise capture", [f"{BUILD}/prise", "capture", "-q", "{path}"])


def tshark():
    return Spec("tshark", [installed("tshark"), "-n", "-r", "{path}", "-Y", "http.response", "-T",
                           "fields", "-e", "frame.number", "-e", "http.request_in", "-e",
                           "http.response.code"], note="-n -Y http.response -T fields")


def tcpflow():
    return Spec("tcpflow", [installed("tcpflow"), "-q", "-o", "{out}", "-r", "{path}"],
                note="writes each direction to a file")


def cpu_ns(spec):
    return run(spec, None if spec.name == "tcpflow" else lambda lines: lines)[0] * 1e9


def wall_ns(spec):
    return run(spec, None if spec.name == "tcpflow" else lambda lines: lines)[1] * 1e9


CLAIMS = [
    Claim(f"capture of {MIB} MiB of HTTP: time", "ns", ours, tshark, wall_ns, "<=", 0.1),
    Claim(f"capture of {MIB} MiB of HTTP: processor time", "ns", ours, tcpflow, cpu_ns, "<=", 1),
]
