"""Compares proto/pickle.c with Python's own pickle, both its C and its Python form.

usage: pickle_cross.py HELPER [SEED]     compare, through the program built from pickle_helper.c
       pickle_cross.py --table           print pickle_table.h, the tables of the unit test

Written lists must equal pickle.dumps byte for byte in every protocol. Lists that either pickler
wrote must be read back to their sum and length, however they are cut. What our reader takes after
a random change Python must take too, as a flat list of integers with the same sum."""

import os
import pickle
import random
import struct
import subprocess
import sys
import zlib

PROTOCOLS = range(6)
DONE, MORE, REFUSED = 1, 0, 2
EDGES = [0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
         2**39 - 1, 2**39, 2**40, 2**47 - 1, 2**47, 2**55 - 1, 2**55, 2**63 - 1]
EDGES += [-n for n in EDGES] + [-2**31 - 1, -2**39 - 1, -2**55 - 1, -2**63]


class Helper:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, request):
        self.process.stdin.write(request)
        self.process.stdin.flush()

    def take(self, count):
        data = self.process.stdout.read(count)
        if len(data) != count:
            sys.exit("the helper ended, exit %s" % self.process.wait())
        return data

    def write(self, items, protocol):
        self.ask(struct.pack("<cBI%dq" % len(items), b"W", protocol, len(items), *items))
        return self.take(struct.unpack("<I", self.take(4))[0])

    def read(self, data, cut):
        self.ask(struct.pack("<cII", b"R", cut, len(data)) + data)
        status = self.take(1)[0]
        total = int.from_bytes(self.take(16), "little", signed=True)
        return status, total, int.from_bytes(self.take(8), "little")


def number(rng):
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(EDGES)
    bits = (8, 16, 31, 40, 63)[kind - 1]
    return rng.randrange(-2**bits, 2**bits) if rng.random() < 0.3 else rng.randrange(2**bits)


def lists(rng):
    yield from ([], [0], [2**31], EDGES, list(range(70000)))
    for count in (2, 999, 1000, 1001, 1999, 2000, 2001, 3000):
        yield [number(rng) for _ in range(count)]
    # one byte more or less at the end of a frame: items of 2 bytes, then one of 1 to 11
    for count in range(32725, 32745, 2):
        yield [7] * count + [rng.choice(EDGES) for _ in range(9)]
    # a frame fills with the last items: the next is short, or there is none
    yield from ([7] * count for count in range(32729, 32739))
    for count in (1, 2, 3, 10, 500, 1500, 12000) * 4:
        yield [number(rng) for _ in range(count)]


def check_written(helper, items):
    for protocol in PROTOCOLS:
        ours, theirs = helper.write(items, protocol), pickle.dumps(items, protocol)
        if ours != theirs:
            at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b),
                      min(len(ours), len(theirs)))
            sys.exit("protocol %d, %d items: written otherwise at byte %d: %r, Python %r" % (
                protocol, len(items), at, ours[at:at + 20], theirs[at:at + 20]))


def check_read(helper, items, rng):
    want = (DONE, sum(items), len(items))
    for protocol in PROTOCOLS:
        # the Python form is slow: of long lists it writes one protocol, drawn
        slow = len(items) <= 3000 or protocol == rng.choice(PROTOCOLS)
        for dumps in (pickle.dumps, pickle._dumps) if slow else (pickle.dumps,):
            data = dumps(items, protocol)
            for cut in (len(data), rng.randrange(1, 40)):
                got = helper.read(data + b"rest", cut)
                if got != want:
                    sys.exit("protocol %d, cut %d, %d items: read %r instead of %r: %r" % (
                        protocol, cut, len(items), got, want, data[:100]))


class Plain(pickle._Unpickler):
    def find_class(self, module, name):
        raise pickle.UnpicklingError("a class")


class Source:
    """A file over bytes that knows no size, as pickle.py asks for."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def read(self, count):
        part = self.data[self.at:self.at + count]
        self.at += len(part)
        return part

    def readline(self):
        end = self.data.find(b"\n", self.at)
        return self.read((end + 1 if end >= 0 else len(self.data)) - self.at)


def change(data, rng):
    data = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data))
        kind = rng.randrange(5)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at] = rng.choice(b"(]lae.IKJMLpqr0g\n\x80\x88\x89\x8a\x8b\x94\x95")
        elif kind == 2:
            del data[at:at + rng.randrange(1, 5)]
            data += b"."
        elif kind == 3:
            data[at:at] = data[rng.randrange(len(data)):][:rng.randrange(1, 8)]
        else:
            data = data[:at] + data[rng.randrange(len(data)):] + b"."
    return bytes(data)


def check_changed(helper, rng, rounds):
    taken = 0
    for _ in range(rounds):
        items = [rng.choice((True, False, number(rng))) for _ in range(rng.choice((0, 1, 2, 5)))]
        data = change(pickle.dumps(items, rng.choice(PROTOCOLS)), rng)
        status, total, count = helper.read(data, rng.randrange(1, 9))
        if status != DONE:
            continue
        taken += 1
        try:
            theirs = Plain(Source(data)).load()
        except Exception as why:
            sys.exit("taken, but Python refuses it (%s): %r" % (why, data))
        if not isinstance(theirs, list) or not all(isinstance(n, int) for n in theirs) or \
                (sum(theirs), len(theirs)) != (total, count):
            sys.exit("read as %d items, sum %d, but Python reads %r: %r" % (
                count, total, theirs, data))
    if not rounds // 100 < taken < rounds:
        sys.exit("of %d changed pickles %d were taken: this tests little" % (rounds, taken))


class Program:
    def __reduce__(self):
        return os.system, ("echo executed",)


def c_bytes(data):
    shown = (chr(b) if 32 < b < 127 and b not in b'"\\?' else "\\%03o" % b for b in data)
    return '"' + "".join(shown) + '"'


def print_table():
    print("/* Made by pickle_cross.py --table with Python %s: not to be edited. */" %
          sys.version.split()[0])
    print("#ifndef TESTS_UNIT_PICKLE_TABLE_H\n#define TESTS_UNIT_PICKLE_TABLE_H\n")
    print("#include <stddef.h>\n#include <stdint.h>\n")
    samples = [[], [1], [1, 2, 3], [0, 255, 256, 65535, 65536, 2**31 - 1, -1, -2**31],
               [2**31, -2**31 - 1, 2**39, -2**39 - 1, 2**63 - 1, -2**63]]
    for i, items in enumerate(samples):
        texts = ["INT64_MIN" if n == -2**63 else "%dll" % n for n in items] or ["0"]
        print("static const int64_t items_%d[] = {\n\t%s,\n};" % (i, ",\n\t".join(texts)))
    print("\n/* What pickle.dumps(items, protocol) gives. */\nstatic const struct written {")
    print("\tint protocol;\n\tsize_t count;\n\tconst int64_t *items;\n\tsize_t len;")
    print("\tconst char *pickle;\n} written[] = {")
    for protocol in PROTOCOLS:
        for i, items in enumerate(samples):
            data = pickle.dumps(items, protocol)
            print("\t{%d, %d, items_%d, %d," % (protocol, len(items), i, len(data)))
            print_string(data)
    print("};\n\n/* Lists of True, False, True. */\nstatic const struct raw {\n\tsize_t len;")
    print("\tconst char *pickle;\n} booleans[] = {")
    print_raw([True, False, True])
    print("};\n\n/* An object whose unpickling runs os.system(\"echo executed\"), in a list. */")
    print("static const struct raw programs[] = {")
    print_raw([1, Program()])
    print("};\n\n/* list(range(70000)): the pickle's length and its zlib.crc32. */")
    print("static const struct {\n\tsize_t len;\n\tuint32_t crc;\n} seventy_thousand[] = {")
    for protocol in PROTOCOLS:
        data = pickle.dumps(list(range(70000)), protocol)
        print("\t{%d, 0x%08x}," % (len(data), zlib.crc32(data)))
    print("};\n\n#endif")


def print_string(data):
    parts = [data[i:i + 20] for i in range(0, len(data), 20)]
    print("\n".join("\t " + c_bytes(part) for part in parts) + "},")


def print_raw(items):
    for protocol in PROTOCOLS:
        data = pickle.dumps(items, protocol)
        print("\t{%d," % len(data))
        print_string(data)


def main():
    if sys.argv[1] == "--table":
        print_table()
        return
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 20260131
    print("seed", seed)
    rng = random.Random(seed)
    helper = Helper(sys.argv[1])
    for items in lists(rng):
        check_written(helper, items)
        check_read(helper, items, rng)
    for _ in range(100):
        check_read(helper, [rng.choice((True, False, number(rng))) for _ in range(50)], rng)
    check_changed(helper, rng, 20000)


main()
