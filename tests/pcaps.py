"""Capture files made by hand: frames as bytes, conversations as lists of frames, files of either
form and byte order. Checksums are left at zero, as a card that computes them later would."""

import ipaddress
import struct

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ETHERNET, RAW, NULL, COOKED, COOKED2 = 1, 101, 0, 113, 276
CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 80)


def mac(ip):
    """An address of a card for an address of IP."""
    return b"\x02\x00" + ipaddress.ip_address(ip).packed[-4:]


def ip(source, target, protocol, payload, ident=0, fragment=0, total=None):
    source, target = ipaddress.ip_address(source), ipaddress.ip_address(target)
    if source.version == 6:
        return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + source.packed + \
            target.packed + payload
    total = 20 + len(payload) if total is None else total
    return struct.pack(">BBHHHBBH", 0x45, 0, total, ident, fragment, 64, protocol, 0) + \
        source.packed + target.packed + payload


def tcp(ports, seq, ack, flags, payload=b"", options=b""):
    return struct.pack(">HHIIBBHHH", *ports, seq % 2**32, ack % 2**32,
                       (20 + len(options)) // 4 << 4, flags, 65535, 0, 0) + options + payload


def udp(ports, payload):
    return struct.pack(">HHHH", *ports, 8 + len(payload), 0) + payload


def ethernet(packet, source="10.0.0.1", target="10.0.0.2", kind=None, tags=(), pad=60):
    """`packet` in a frame, padded to the 60 bytes that Ethernet wants."""
    kind = kind or (0x86DD if packet[0] >> 4 == 6 else 0x0800)
    head = mac(target) + mac(source) + b"".join(struct.pack(">HH", 0x8100, t) for t in tags)
    made = head + struct.pack(">H", kind) + packet
    return made + b"\x55" * (pad - len(made))


def arp(operation, source, target):
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + mac(source) + \
        ipaddress.ip_address(source).packed + \
        (bytes(6) if operation == 1 else mac(target)) + ipaddress.ip_address(target).packed
    made = ethernet(body, source, target, kind=0x0806)
    return b"\xff" * 6 + made[6:] if operation == 1 else made


def dns_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def dns(ident, name, kind=1, answers=()):
    """A query, or with `answers` (packed addresses) what answers it."""
    head = struct.pack(">HHHHHH", ident, 0x8180 if answers else 0x0100, 1, len(answers), 0, 0)
    records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(a)) + a for a in answers)
    return head + dns_name(name) + struct.pack(">HH", kind, 1) + records


class Talk:
    """A TCP conversation; each of its calls returns the packets (IP) that it makes."""

    def __init__(self, client=CLIENT, server=SERVER, isn=(1000, 5000), mss=1460):
        self.ends, self.mss = (client, server), mss
        self.seq = list(isn)

    def packet(self, way, flags, payload=b"", seq=None, move=True):
        """One packet of the client (0) or the server (1)."""
        source, target = self.ends[way], self.ends[1 - way]
        at = self.seq[way] if seq is None else seq
        if move and seq is None:
            self.seq[way] += len(payload) + bool(flags & (SYN | FIN))
        return ip(source[0], target[0], 6, tcp((source[1], target[1]), at,
                                               self.seq[1 - way] if flags & ACK else 0, flags,
                                               payload))

    def open(self):
        return [self.packet(0, SYN), self.packet(1, SYN | ACK), self.packet(0, ACK)]

    def say(self, way, data, ack=True):
        """Segments, and the acknowledgement."""
        made = [self.packet(way, PSH | ACK, data[at:at + self.mss])
                for at in range(0, len(data), self.mss)]
        return made + ([self.packet(1 - way, ACK)] if ack else [])

    def close(self):
        return [self.packet(1, FIN | ACK), self.packet(0, FIN | ACK), self.packet(1, ACK)]

    def exchange(self, request, response):
        return self.say(0, request) + self.say(1, response)

    def whole(self, *pairs):
        return self.open() + sum((self.exchange(*pair) for pair in pairs), []) + self.close()


def framed(packets, pad=60):
    """Packets in Ethernet frames."""
    return [ethernet(p, str(ipaddress.ip_address(p[12:16] if p[0] >> 4 == 4 else p[8:24])),
                     str(ipaddress.ip_address(p[16:20] if p[0] >> 4 == 4 else p[24:40])),
                     pad=pad)
            for p in packets]


def file(frames, link=ETHERNET, order="<", nano=False, snap=None, step_us=1000,
         start=1_700_000_000, at_us=()):
    """A pcap file; `snap` cuts each frame; `at_us` says when each was captured."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    made = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap or 262144, link)]
    for i, frame in enumerate(frames):
        at = at_us[i] if at_us else i * step_us
        made.append(struct.pack(order + "IIII", start + at // 10**6,
                                at % 10**6 * (1000 if nano else 1), len(frame[:snap]), len(frame)))
        made.append(frame[:snap])
    return b"".join(made)


def file_ng(frames, link=ETHERNET, order="<", step_us=1000, start=1_700_000_000, more=()):
    """A pcapng file: one section, one interface (and those of the links `more`), nanoseconds."""
    def block(kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack(order + "II", kind, 12 + len(body)) + body + \
            struct.pack(order + "I", 12 + len(body))

    made = [block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)),
            *(block(1, struct.pack(order + "HHIHHB3xHH", kind, 0, 262144, 9, 1, 9, 0, 0))
              for kind in (link, *more))]
    for i, frame in enumerate(frames):
        at = start * 10**9 + i * step_us * 1000
        made.append(block(6, struct.pack(order + "IIIII", 0, at >> 32, at & 0xFFFFFFFF, len(frame),
                                         len(frame)) + frame))
    return b"".join(made)


def response(body=b"", status="200 OK", head=b""):
    return b"HTTP/1.1 " + status.encode() + b"\r\n" + head + \
        b"Content-Length: %d\r\n\r\n" % len(body) + body


def request(target="/", method="GET", head=b"", host="example.test"):
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n".encode() + head + b"\r\n"
