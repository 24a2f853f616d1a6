"""What the tests of `prise capture` share: the command on a file made for it, and what it said."""

import random
import shutil
import socket

import pcaps
import pytest
from pcaps import ACK, Talk, framed, request, response

GET, OK = request(), response(b"hello world\n")


@pytest.fixture
def capture(prise):
    """capture(frames, *options): the command on a file with these Ethernet frames (or packets)."""
    def run(frames, *options, name="t.pcap", **more):
        path = prise.directory / name
        data = frames if isinstance(frames, bytes) else pcaps.file(frames, **more)
        path.write_bytes(data)
        return prise("capture", *options, name)
    return run


def exchanges(done):
    return [e for e in done.events if e["type"] == "capture.exchange"]


def one(done):
    found, = exchanges(done)
    return found


def simple():
    return framed(Talk().whole((GET, OK)))


BIG = bytes(random.Random(7).randbytes(40_000))


def big_talk(**more):
    """(packets before, those of the response, packets after)."""
    talk = Talk(**more)
    before = talk.open() + talk.say(0, GET)
    middle = talk.say(1, response(BIG), ack=False)
    return before, middle, [talk.packet(0, ACK)] + talk.close()


def body(capture, prise, packets, *options):
    """The response's body as --body writes it, and the exchange."""
    directory = prise.directory / "bodies"
    shutil.rmtree(directory, ignore_errors=True)
    e = one(capture(framed(packets), "--json", "--body", "bodies", *options))
    found = [p.read_bytes() for p in directory.iterdir() if "response" in p.name]
    return (found[0] if found else b""), e


def course_frames():
    """ARP, DNS, the handshake, an exchange, the end: what the courses look at."""
    talk = Talk()
    query = pcaps.dns(0x1B34, "www.example.test")
    answer = pcaps.dns(0x1B34, "www.example.test", answers=[bytes([10, 0, 0, 2])])
    return [pcaps.arp(1, "10.0.0.1", "10.0.0.53"), pcaps.arp(2, "10.0.0.53", "10.0.0.1")] + \
        framed([pcaps.ip("10.0.0.1", "10.0.0.53", 17, pcaps.udp((5353 + 1, 53), query)),
                pcaps.ip("10.0.0.53", "10.0.0.1", 17, pcaps.udp((53, 5354), answer)),
                *talk.whole((GET, OK))])


def sixteen():
    """examples/sixteen.pcap: the first page that a machine gets from beyond its router, which also
    answers for names: 2 frames of ARP, 4 of DNS, 3 to open, 4 for the exchange, 3 to close."""
    client, router, server = "192.0.2.15", "192.0.2.1", "198.51.100.80"
    name, hosts = "example.org", []

    def to(packet):
        hosts.append(pcaps.ethernet(packet, client, router))

    def back(packet):
        hosts.append(pcaps.ethernet(packet, router, client))
    hosts += [pcaps.arp(1, client, router), pcaps.arp(2, router, client)]
    addresses = (1, socket.inet_pton(socket.AF_INET, server)), \
        (28, socket.inet_pton(socket.AF_INET6, "2001:db8::80"))
    for ident, (kind, address) in enumerate(addresses, 0x1B34):
        to(pcaps.ip(client, router, 17, pcaps.udp((40101, 53), pcaps.dns(ident, name, kind))))
        back(pcaps.ip(router, client, 17,
                      pcaps.udp((53, 40101), pcaps.dns(ident, name, kind, [address]))))
    talk = Talk((client, 45734), (server, 80))
    page = response(b"<!DOCTYPE html><title>It works</title>\n", head=b"Content-Type: text/html\r\n"
                    b"Connection: close\r\n")
    for packet in talk.whole((request(host=name), page)):
        (to if packet[12:16] == socket.inet_aton(client) else back)(packet)
    return pcaps.file(hosts, at_us=(0, 310, 350, 14_200, 14_250, 27_900, 28_300, 119_400, 119_450,
                                    119_700, 211_000, 213_600, 213_650, 213_900, 214_100, 305_200))
