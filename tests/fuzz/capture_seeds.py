#!/usr/bin/python3
"""Inputs for the fuzz targets of captures: the messages of the HTTP vectors as segments, cut in
several ways, and frames of every kind.

    capture_seeds.py FOLDER FILE.txt...   into FOLDER/conversation and FOLDER/frame, listed"""

import os
import re
import struct
import sys

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

import pcaps
import seeds

WAY, FIN, SYN, LOST = 1, 2, 4, 64
GET = pcaps.request()


def segment(kind, data=b""):
    return struct.pack("<BH", kind, len(data)) + data


def talk(request, response, step, lost=None):
    made = segment(SYN) + segment(WAY | SYN)
    number = 0
    for way, data in ((0, request), (WAY, response)):
        for at in range(0, len(data), step):
            made += segment(way | (LOST if number == lost else 0), data[at:at + step])
            number += 1
    return made + segment(WAY | FIN) + segment(FIN)


def messages(path):
    """(line, bytes) of each case."""
    with open(path, encoding="utf-8") as f:
        cases = re.split(r"^== ", f.read(), flags=re.M)
    for number, case in enumerate(cases[1:]):
        data = b"".join(seeds.behind(line, ">") for line in case.splitlines()
                        if line.startswith("> "))
        if data:
            yield number, data[:16000]


def write(folder, name, data):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with open(path, "wb") as f:
        f.write(data)
    print(path)


def conversations(folder, paths):
    for path in paths:
        stem = os.path.splitext(os.path.basename(path))[0]
        for number, data in messages(path):
            is_response = data.startswith(b"HTTP/")
            pair = (GET, data) if is_response else (data, pcaps.response(b"fine"))
            write(folder, f"{stem}-{number}", talk(*pair, 1460))
            write(folder, f"{stem}-{number}-cut", talk(*pair, 60, lost=3 if number % 2 else None))


def frames(folder):
    exchange = pcaps.Talk().whole((GET, pcaps.response(b"hello")))
    six = pcaps.Talk(("2001:db8::1", 4), ("2001:db8::2", 80)).whole((GET, pcaps.response(b"hi")))
    query = pcaps.ip("10.0.0.1", "10.0.0.53", 17, pcaps.udp((9, 53), pcaps.dns(1, "a.test")))
    answer = pcaps.ip("10.0.0.53", "10.0.0.1", 17,
                      pcaps.udp((53, 9), pcaps.dns(1, "a.test", answers=[b"\n\0\0\1"])))
    parts = [pcaps.ip("10.0.0.1", "10.0.0.2", 6, exchange[3][20 + at:60 + at], 7,
                      (0x2000 if at + 40 < len(exchange[3]) - 20 else 0) | at // 8)
             for at in range(0, len(exchange[3]) - 20, 40)]
    lists = {"http": (0, pcaps.framed(exchange)), "six": (2, six), "fragments": (2, parts),
             "dns": (2, [query, answer]), "null": (1, [b"\2\0\0\0" + p for p in exchange]),
             "arp": (0, [pcaps.arp(1, "10.0.0.1", "10.0.0.2"),
                         pcaps.arp(2, "10.0.0.2", "10.0.0.1")]),
             "vlan": (0, [pcaps.ethernet(p, tags=(1, 2)) for p in exchange]),
             "cooked": (4, [bytes(14) + b"\x08\0" + p for p in exchange]),
             "cooked2": (5, [b"\x08\0" + bytes(18) + p for p in exchange])}
    for name, (link, made) in lists.items():
        write(folder, name, bytes([link]) + b"".join(struct.pack("<H", len(f)) + f for f in made))


def main():
    conversations(os.path.join(sys.argv[1], "conversation"), sys.argv[2:])
    frames(os.path.join(sys.argv[1], "frame"))


main()
