#!/usr/bin/python3
"""Vectors into inputs for the fuzz targets (fuzz_machine.c), and such an input back into a vector.

    seeds.py FOLDER FILE.txt...   every case into FOLDER/MACHINE/FILE-LINE, listed
    seeds.py --show INPUT         what a crash did, in the words of a vector file
"""

import datetime
import os
import re
import struct
import sys

FEED, EOF, TICK, ROOM, TELL, DATAGRAM, SETTING, ROOM_BYTES, WALL, SEED, OPS = range(11)
SEED_MOST_BYTES = 32768
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def unescape(text):
    """The bytes a vector's text stands for."""
    plain = {"n": b"\n", "r": b"\r", "t": b"\t", "\\": b"\\", '"': b'"'}

    def one(match):
        hexadecimal, times, repeated, letter = match.groups()
        if hexadecimal:
            return bytes([int(hexadecimal, 16)])
        if times:
            return unescape(repeated.decode()) * int(times)
        return plain[letter.decode()]

    pattern = rb'\\(?:x([0-9a-fA-F]{2})|\{(\d+):([^}]*)\}|([nrt\\"]))'
    return re.sub(pattern, one, text.encode())


def behind(line, mark):
    rest = line[len(mark):]
    return unescape(rest[1:] if rest.startswith(" ") else rest)


def pieces(op, data):
    """`data` as one op, or as several when it is longer than an op can say."""
    parts = [data[at:at + 0xffff] for at in range(0, len(data), 0xffff)] or [b""]
    return b"".join(struct.pack("<BH", op, len(part)) + part for part in parts)


def seconds(duration):
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|m|h|d|)", duration).groups()
    return float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}[unit]


def action(words):
    verb, _, rest = words.partition(" ")
    if verb == "eof":
        return bytes([EOF])
    if verb == "room":
        return bytes([ROOM])
    if verb == "tick":
        return struct.pack("<BI", TICK, int(seconds(rest.lstrip("+")) * 1000))
    found = re.match(r"(\S+)((?: +[0-9]\S*){0,4}) ?(.*)", rest)
    numbers = [int(word, 0) for word in found.group(2).split()]
    numbers += [0] * (4 - len(numbers))
    return (struct.pack("<BB4Q", TELL, int(found.group(1), 0) & 0xff,
                        *(number & 0xffffffffffffffff for number in numbers)) +
            pieces(0, unescape(found.group(3)))[1:])


def head(line):
    word, _, rest = line.partition(" ")
    if word == "set":
        name, _, value = rest.partition("=")
        name, value = name.encode(), unescape(value)[:255]
        return bytes([SETTING, len(name)]) + name + bytes([len(value)]) + value
    if word == "room":
        return struct.pack("<BI", ROOM_BYTES, int(rest, 0))
    if word == "seed":
        return struct.pack("<BQQ", SEED, *(int(number, 0) for number in rest.split()))
    if word == "wall":
        moment = datetime.datetime.fromisoformat(rest.replace("Z", "+00:00"))
        return struct.pack("<Bq", WALL, (moment - EPOCH) // datetime.timedelta(microseconds=1) * 4)
    return b""


class Case:
    def __init__(self, line, machine):
        self.line, self.machine, self.input = line, machine, b""

    def add(self, line):
        if line.startswith("machine "):
            self.machine = line.split()[1]
        elif line.startswith(">"):
            self.input += pieces(FEED, behind(line, ">"))
        elif line.startswith("."):
            self.input += action(line[1:].strip())
        elif line.startswith("d>"):
            self.input += pieces(DATAGRAM, behind(line, "d>"))
        elif line[0] not in "<!~=d":
            self.input += head(line)


def cases(path):
    machine = os.path.basename(path).split(".")[0]
    found = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            if line.startswith("== "):
                found.append(Case(number, machine))
            elif line and line[0] != "#":
                found[-1].add(line)
    return found


def write(folder, paths):
    for path in paths:
        for case in cases(path):
            target = os.path.join(folder, case.machine)
            os.makedirs(target, exist_ok=True)
            if len(case.input) > SEED_MOST_BYTES:
                continue
            name = f"{os.path.basename(path).removesuffix('.txt')}-{case.line}"
            with open(os.path.join(target, name), "wb") as seed:
                seed.write(case.input)
            print(f"{case.machine}/{name}")


def escaped(data):
    names = {9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\"}
    return "".join(names.get(byte, chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")
                   for byte in data)


class Input:
    def __init__(self, data):
        self.data = data

    def take(self, length):
        taken, self.data = self.data[:length], self.data[length:]
        return taken

    def number(self, length):
        return int.from_bytes(self.take(length), "little")


def shown(source):
    """The next op as a line of a vector file."""
    op = source.number(1) % OPS
    if op == FEED:
        return "> " + escaped(source.take(source.number(2)))
    if op == DATAGRAM:
        return "d> " + escaped(source.take(source.number(2)))
    if op == TICK:
        return f". tick +{source.number(4) % 60000}ms"
    if op == TELL:
        numbers = [source.number(length) for length in (1, 8, 8, 8, 8)]
        body = escaped(source.take(source.number(2)))
        return ". tell " + " ".join(map(str, numbers)) + " " + body
    if op == SETTING:
        name = source.take(source.number(1))
        return f"set {escaped(name)}={escaped(source.take(source.number(1)))}"
    if op == ROOM_BYTES:
        return f"room {source.number(4) % (4 * 65536)}"
    if op == SEED:
        return f"seed {source.number(8):#x} {source.number(8):#x}"
    if op == WALL:
        wall = int.from_bytes(source.take(8), "little", signed=True) // 4
        return f"# wall_us {wall}"
    return ". eof" if op == EOF else ". room"


def show(path):
    with open(path, "rb") as crash:
        source = Input(crash.read())
    print(f"== {os.path.basename(path)}")
    while source.data:
        print(shown(source))


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--show":
        show(sys.argv[2])
    elif len(sys.argv) > 2:
        write(sys.argv[1], sys.argv[2:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
