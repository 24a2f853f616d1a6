"""Compares proto/http1.c with h11, a parser of HTTP/1.1 for Python, on the same inputs.

usage: http1_cross.py HELPER VECTORS... [SEED]     (1; 0: one of its own choice)

The inputs are those of the vector files, messages drawn from a grammar, and random changes of both;
we read each whole and cut, to the same effect. Both must read the same messages (fields, content,
whether another may follow) and then both be content or both refuse, unless the difference is one
that is meant: STRICTER, LAXER and OTHERWISE say which and why, and an example of each must still
differ so. Exits 77 without h11."""

import random
import re
import struct
import subprocess
import sys

try:
    import h11
except ImportError:
    print("there is no h11 (python3-h11)")
    sys.exit(77)

ROUNDS = 8000
REQUEST, RESPONSE = 0, 1

# What we refuse and h11 takes, by our words for it.
STRICTER = {
    "a control character in a head": "RFC 9110 5.5 calls it invalid; a log or a terminal obeys it",
    "a field that begins with white space": "a folded line: h11 joins it, others read two fields",
    "a fragment in the target": "it is never sent; who cuts it off serves another path",
    "a target of no form that the method has": "RFC 9112 3.2 has four forms",
    "no valid host in the Host field": "RFC 9112 3.2: 400 for an invalid value",
    "no Host field in HTTP/1.1": "h11 asks for it in 1.1 alone, not in 1.2 to 1.9",
    "another version than HTTP/1": "h11 takes any two digits",
    "two lengths": "h11 takes equal ones",
    "a length that is not just digits": "h11 takes a list of equal ones",
    "a length beside a transfer coding": "RFC 9112 6.3: maybe smuggling; h11 drops the length",
    "a transfer coding in HTTP/1.0": "RFC 9112 6.1: its framing is faulty",
    "a coding on a folded line": "who reads two fields there sees none",
    "a CR without its LF": "h11 takes a CR in an extension of a chunk",
    "a control character before a chunk": "h11 takes any in an extension",
    "a trailer that is no field": "h11 takes bare LF, folded lines and control characters there",
    "more fields than their limit": "h11 has none",
    "a request line longer than its limit": "h11 has none of its own",
    "a status line longer than its limit": "h11 has none of its own",
    "a head longer than its limit": "h11's is larger here",
    "trailers longer than their limit": "h11 has none",
    "a line before a chunk longer than its limit": "h11 has none",
}

# What h11 refuses and we take, by what the input has.
LAXER = {
    "bytes beyond ASCII in a target": "people type them",
    "more than 20 digits in a chunk size": "zeros before a number do not change it",
    "white space between a chunk size and its extension": "BWS in RFC 9112 7.1.1",
    "a length or a coding among trailers": "what is read over says nothing",
    "identity in a response": "servers of old mean the connection's end",
    "fields about a body where there is none": "RFC 9112 6.3: whatever the fields say",
}

# What both take and mean otherwise.
OTHERWISE = {
    "keep-alive in HTTP/1.0": "RFC 9112 9.3; h11 does not know it",
    "close on a folded line": "who closes is seen to do so",
    "close in quotes": "a list's members may be quoted; h11 splits at every comma",
    "a length beside chunked in a response": "RFC 9112 6.3: nothing behind it is to be believed",
}


FOLDED_CODING = re.compile(rb"(?im)^transfer-encoding:[^\n]*\n[ \t]")
FOLDED_CONNECTION = re.compile(rb"(?im)^connection:[^\n]*\n[ \t]")


class Message:
    """A message as read: `content` is None while it is not whole."""

    def __init__(self, minor, start, fields):
        self.minor, self.start, self.fields = minor, start, fields
        self.content, self.keep = None, True

    def shown(self):
        return (self.minor, self.start, self.fields, self.content)


def unfolded(value):
    return re.sub(rb"\r?\n[ \t]+", b" ", value).strip(b" \t")


class Helper:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def take(self, count):
        data = self.process.stdout.read(count)
        if len(data) != count:
            sys.exit(f"the helper ended, exit {self.process.wait()}")
        return data

    def number(self):
        return struct.unpack("<I", self.take(4))[0]

    def string(self):
        return self.take(self.number())

    def head(self, side):
        minor, status, keep = self.number(), self.number(), self.number()
        words, target = self.string(), self.string()
        fields = [(self.string().lower(), unfolded(self.string())) for _ in range(self.number())]
        message = Message(minor, (status, words) if side else (words, target), fields)
        message.keep = bool(keep)
        return message

    def read(self, side, method, data, cut):
        """The messages, and None when both ends agree, or why not."""
        request = struct.pack("<II", side, len(method)) + method
        self.process.stdin.write(request + struct.pack("<II", cut, len(data)) + data)
        self.process.stdin.flush()
        messages = []
        while True:
            kind = self.take(1)
            if kind == b"H":
                messages.append(self.head(side))
            elif kind == b"B":
                messages[-1].content = self.string()
            else:
                why = {b"E": lambda: None, b"L": lambda: "left",
                       b"R": lambda: self.string().decode()}[kind]()
                return whole(messages), why


def whole(messages):
    return [message for message in messages if message.content is not None]


def h11_connection(side, method):
    connection = h11.Connection(h11.CLIENT if side else h11.SERVER,
                                max_incomplete_event_size=1 << 24)
    if side:
        target = b"a:80" if method == b"CONNECT" else b"/"
        connection.send(h11.Request(method=method, target=target, headers=[
            ("Host", "a"), ("Upgrade", "x"), ("Connection", "upgrade")]))
        connection.send(h11.EndOfMessage())
    return connection


def h11_fields(event):
    return [(bytes(name), bytes(value)) for name, value in event.headers]


def h11_head(event):
    start = ((event.status_code, bytes(event.reason)) if hasattr(event, "status_code") else
             (bytes(event.method), bytes(event.target)))
    return Message(int(event.http_version[2:]), start, h11_fields(event))


def h11_stays(connection, side):
    """Whether another message may follow, once one is whole."""
    if side == REQUEST:
        connection.send(h11.Response(status_code=400, headers=[("Content-Length", "0")]))
        connection.send(h11.EndOfMessage())
    return connection.our_state is h11.DONE and connection.their_state is h11.DONE


def h11_message(connection, side, messages):
    """Reads one; whether another may follow, or None at the end. That the connection has ended is
    said only when h11 wants more: what ends with that was read until the end."""
    ended = False
    while True:
        event = connection.next_event()
        if isinstance(event, (h11.Request, h11.Response)):
            messages.append(h11_head(event))
            body = b""
        elif isinstance(event, h11.InformationalResponse):
            messages.append(h11_head(event))
            messages[-1].content = b""
            messages[-1].keep = event.status_code != 101
            return messages[-1].keep
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            messages[-1].content = bytes(body)
            messages[-1].keep = not ended and h11_stays(connection, side)
            return messages[-1].keep
        elif event is h11.NEED_DATA:
            ended = True
            connection.receive_data(b"")
        elif event is h11.PAUSED:  # a tunnel
            messages[-1].content = b""
            messages[-1].keep = False
            return False
        else:
            return None


def h11_read(side, method, data):
    """As Helper.read. A connection of h11's a message: it does not skip empty lines before it."""
    messages = []
    while True:
        if side == REQUEST:
            data = re.sub(rb"\A(\r?\n)+", b"", data)
        if not data:
            return messages, None
        connection = h11_connection(side, method)
        connection.receive_data(data)
        try:
            stays = h11_message(connection, side, messages)
        except h11.RemoteProtocolError as why:
            return whole(messages), str(why)
        if not stays:
            return whole(messages), None
        data = connection.trailing_data[0]


def laxer(side, method, data, mine, why):
    """Which of LAXER it is that we take `mine`, a message of `data`, and h11 does not."""
    codings = [value.lower() for name, value in mine.fields if name == b"transfer-encoding"]
    if side == REQUEST and "request line" in why and max(mine.start[1]) >= 0x80:
        return "bytes beyond ASCII in a target"
    if "chunk header" in why and re.search(rb"^[0-9a-fA-F]{21,}", data, re.M):
        return "more than 20 digits in a chunk size"
    if "chunk header" in why and re.search(rb"^[0-9a-fA-F]+[ \t]+;", data, re.M):
        return "white space between a chunk size and its extension"
    if "Transfer-Encoding" not in why and "Content-Length" not in why:
        return None
    if side == RESPONSE and (mine.start[0] < 200 or mine.start[0] in (204, 304) or
                             method in (b"HEAD", b"CONNECT")):
        return "fields about a body where there is none"
    if codings == [b"chunked"]:
        return "a length or a coding among trailers"
    if side == RESPONSE and set(codings) == {b"identity"}:
        return "identity in a response"
    return None


def normal(shown):
    """As h11 shows it: a coding in small letters, one length in place of equal ones."""
    minor, start, fields, content = shown
    changed = []
    for name, value in fields:
        if name == b"transfer-encoding":
            value = value.lower()
        if name == b"content-length":
            value = value.split(b",")[0].strip()
        if name != b"content-length" or (name, value) not in changed:
            changed.append((name, value))
    return minor, start, changed, content


def difference(side, method, data, ours, theirs):
    """None when they are the same, the name of a deliberate difference, or "! WHAT"."""
    (messages, why), (their_messages, their_why) = ours, theirs
    for mine, other in zip(messages, their_messages):
        if normal(mine.shown()) != other.shown():
            return f"! read otherwise: {mine.shown()} by us, {other.shown()} by h11"
        if mine.keep != other.keep:
            connection = [value for name, value in mine.fields if name == b"connection"]
            if mine.keep and mine.minor == 0 and b"keep-alive" in b",".join(connection).lower():
                return "keep-alive in HTTP/1.0"
            if mine.keep and any(b'"' in value for value in connection):
                return "close in quotes"
            if mine.keep and side == RESPONSE and FOLDED_CONNECTION.search(data):
                return "close on a folded line"
            if other.keep and re.search(rb"(?i)^content-length *:", data, re.M) and any(
                    name == b"transfer-encoding" for name, _ in mine.fields) and side == RESPONSE:
                return "a length beside chunked in a response"
            return f"! another may follow: {mine.keep} for us, {other.keep} for h11"
    if len(messages) < len(their_messages) or (why and not their_why):
        if why not in STRICTER and side == RESPONSE and FOLDED_CODING.search(data):
            return "a coding on a folded line"
        return why if why in STRICTER else f"! {why!r} for us, h11 takes it"
    if len(messages) > len(their_messages) or (their_why and not why):
        mine = messages[len(their_messages)] if len(messages) > len(their_messages) else None
        found = mine and laxer(side, method, data, mine, their_why or "")
        return found or f"! {their_why!r} for h11, we take it"
    return None


def cut_difference(whole_read, cut_read):
    """What we read must not depend on how it comes in."""
    shown = [([(message.shown(), message.keep) for message in messages], why)
             for messages, why in (whole_read, cut_read)]
    return None if shown[0] == shown[1] else f"! whole {shown[0]}, cut {shown[1]}"


GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"

# An example of each deliberate difference.
EXAMPLES = [
    ("a control character in a head", REQUEST, GET + b"X: \x1b\r\n\r\n"),
    ("a field that begins with white space", REQUEST, GET + b"X: a\r\n b\r\n\r\n"),
    ("a fragment in the target", REQUEST, b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target of no form that the method has", REQUEST, b"GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no valid host in the Host field", REQUEST, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("no Host field in HTTP/1.1", REQUEST, b"GET / HTTP/1.2\r\n\r\n"),
    ("another version than HTTP/1", REQUEST, b"GET / HTTP/3.0\r\nHost: a\r\n\r\n"),
    ("two lengths", REQUEST, GET + b"Content-Length: 0\r\n" * 2 + b"\r\n"),
    ("a length that is not just digits", REQUEST, GET + b"Content-Length: 0, 0\r\n\r\n"),
    ("a length beside a transfer coding", REQUEST,
     CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n0\r\n\r\n"),
    ("a transfer coding in HTTP/1.0", REQUEST,
     b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("close on a folded line", RESPONSE, OK + b"Connection:\r\n close\r\n" + EMPTY),
    ("a coding on a folded line", RESPONSE,
     OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    ("a CR without its LF", REQUEST, CHUNKED + b"1;\r;\r\nx\r\n0\r\n\r\n"),
    ("a control character before a chunk", REQUEST, CHUNKED + b"1;\0\r\nx\r\n0\r\n\r\n"),
    ("a trailer that is no field", REQUEST, CHUNKED + b"0\r\nX: y\n\r\n"),
    ("more fields than their limit", REQUEST, GET + b"X:\r\n" * 128 + b"\r\n"),
    ("a request line longer than its limit", REQUEST,
     b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a status line longer than its limit", RESPONSE, OK[:-2] + b"a" * 8192 + b"\r\n" + EMPTY),
    ("a head longer than its limit", REQUEST, GET + b"X: " + b"a" * 32768 + b"\r\n\r\n"),
    ("trailers longer than their limit", REQUEST, CHUNKED + b"0\r\nX:" + b"a" * 9000 + b"\r\n\r\n"),
    ("a line before a chunk longer than its limit", REQUEST,
     CHUNKED + b"1;" + b"a" * 2000 + b"\r\nx\r\n0\r\n\r\n"),
    ("bytes beyond ASCII in a target", REQUEST, b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("more than 20 digits in a chunk size", REQUEST,
     CHUNKED + b"0" * 20 + b"1\r\nx\r\n0\r\n\r\n"),
    ("white space between a chunk size and its extension", REQUEST,
     CHUNKED + b"1 ;a\r\nx\r\n0\r\n\r\n"),
    ("a length or a coding among trailers", REQUEST,
     CHUNKED + b"0\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ("identity in a response", RESPONSE, OK + b"Transfer-Encoding: identity\r\n\r\nhello"),
    ("fields about a body where there is none", RESPONSE,
     b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ("keep-alive in HTTP/1.0", REQUEST, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    ("close in quotes", REQUEST, GET + b'Connection: "a, close, b"\r\n\r\n'),
    ("a length beside chunked in a response", RESPONSE,
     OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
]


def check_examples(helper):
    for name, side, data in EXAMPLES:
        found = difference(side, b"GET", data, helper.read(side, b"GET", data, 0),
                           h11_read(side, b"GET", data))
        if found != name:
            sys.exit(f"the example of '{name}' shows {found!r}")
    missing = {*STRICTER, *LAXER, *OTHERWISE} - {name for name, _, _ in EXAMPLES}
    if missing:
        sys.exit(f"no example of {missing}")


def vector_inputs(paths):
    """(side, method, input) of every case."""
    sys.path.insert(0, re.sub(r"[^/]*/[^/]*$", "fuzz", paths[0]))
    from seeds import behind  # pylint: disable=import-outside-toplevel
    for path in paths:
        side, method, data = REQUEST, b"GET", b""
        for line in [*open(path, encoding="utf-8").read().split("\n"), "== end"]:
            if line.startswith("== "):
                if data and len(data) < 10000:
                    yield side, method, data
                side, method, data = REQUEST, b"GET", b""
            elif line == "set side=response":
                side = RESPONSE
            elif line.startswith("set method="):
                method = line[11:].encode()
            elif line.startswith(">"):
                data += behind(line, ">")


FIELDS = [b"Host: a", b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: 05",
          b"Content-Length: 5, 5", b"Content-Length: 5,6", b"Transfer-Encoding: chunked",
          b"Transfer-Encoding: Chunked", b"Transfer-Encoding: gzip, chunked",
          b"Transfer-Encoding: identity", b"Connection: close", b"Connection: keep-alive",
          b"Connection: Upgrade, close", b"X : y", b" X: y", b"X", b": y"]
PLAIN = [b"Expect: 100-continue", b"X: y", b"X:", b"x:\ty \t", b"Accept: text/html, */*;q=0.5",
         b"X: \xc3\xa9", b"Connection: keep-alive", b"Connection: a, b"]
LINES = [b"GET / HTTP/1.1", b"GET /a?b HTTP/1.1", b"POST / HTTP/1.1", b"HEAD / HTTP/1.1",
         b"GET / HTTP/1.0", b"POST / HTTP/1.0", b"OPTIONS * HTTP/1.1", b"CONNECT a:80 HTTP/1.1",
         b"GET http://a/b HTTP/1.1", b"GET / HTTP/1.2", b"GET  / HTTP/1.1", b"GET /",
         b"get / http/1.1"]
STATUSES = [b"200 OK", b"200", b"200 ", b"204 No Content", b"304 Not Modified", b"404 Not Found",
            b"100 Continue", b"103 Early Hints", b"101 Switching Protocols", b"500 X Y", b"20 OK",
            b"2000 OK", b"999 X"]
SIZES = [b"0", b"5", b"05", b"5;a=b", b'5;a="b;c"', b"5 ", b"5 ;a", b"4", b"6", b"+5", b"0x5", b""]
BREAKING = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b'"', b"0", b"5", b"\x0b",
            b"\x7f", b"\x80", b"\r\n\r\n", b"\n\n", b"chunked", b"Content-Length: 5\r\n"]


def draw_chunks(rng):
    chunks = b"".join(rng.choice(SIZES[1:]) + b"\r\nhello\r\n" if rng.random() < 0.1 else
                      b"5\r\nhello\r\n" for _ in range(rng.randrange(4)))
    trailers = b"".join(rng.choice(PLAIN) + b"\r\n" for _ in range(rng.choice((0, 0, 0, 1, 2))))
    return chunks + b"0\r\n" + trailers + b"\r\n"


def draw_message(rng, side):
    end = rng.choice((b"\r\n", b"\r\n", b"\r\n", b"\n"))
    if side == REQUEST:
        start, fields = rng.choice(LINES[:10] * 9 + LINES), [b"Host: a"]
    else:
        start, fields = b"HTTP/1." + rng.choice((b"0 ", b"1 ", b"1 ", b"1 ")) + rng.choice(
            STATUSES[:1] * 8 + STATUSES), []
    framing = rng.choice((None, b"Content-Length: 5", b"Transfer-Encoding: chunked"))
    fields += [framing] if framing else []
    fields += [rng.choice(FIELDS if rng.random() < 0.1 else PLAIN)
               for _ in range(rng.choice((0, 1, 2, 4)))]
    rng.shuffle(fields)
    body = {None: b"", b"Content-Length: 5": b"hello"}.get(framing)
    return end.join([start, *fields, b"", b""]) + (draw_chunks(rng) if body is None else body)


def change(data, rng):
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            data = data[:at] + rng.choice(BREAKING) + data[at:]
        elif kind == 1:
            data = data[:at] + data[at + rng.randrange(1, 4):]
        elif kind == 2:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1:]
        elif kind == 3:
            lines = data.split(b"\r\n")
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            data = b"\r\n".join(lines)
        else:
            data = data[:at]
    return data


def draw(rng, vectors):
    if rng.random() < 0.3:
        side, method, data = rng.choice(vectors)
    else:
        side = rng.choice((REQUEST, RESPONSE))
        method = rng.choice((b"GET", b"GET", b"GET", b"HEAD", b"CONNECT"))
        data = b"".join(draw_message(rng, side) for _ in range(rng.choice((1, 1, 2, 3))))
    return side, method, change(data, rng) if rng.random() < 0.5 else data


def main():
    arguments = sys.argv[1:]
    seed = int(arguments.pop()) if arguments[-1].isdigit() else 1
    seed = seed or random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    helper = Helper(arguments[0])
    check_examples(helper)
    vectors = list(vector_inputs(arguments[1:]))
    inputs = vectors + [draw(rng, vectors) for _ in range(ROUNDS)]
    met, taken, refused = {}, 0, 0
    for side, method, data in inputs:
        ours = helper.read(side, method, data, 0)
        found = (cut_difference(ours, helper.read(side, method, data, rng.choice((1, 2, 7, 100))))
                 or difference(side, method, data, ours, h11_read(side, method, data)))
        if found and found[0] == "!":
            sys.exit(f"seed {seed}: {['requests', 'responses'][side]}, method {method!r}, "
                     f"{data!r}:\n{found[2:]}")
        if found:
            met[found] = met.get(found, 0) + 1
        elif ours[1]:
            refused += 1
        else:
            taken += 1
    print(f"{len(inputs)} inputs: {taken} taken by both, {refused} refused by both, others meant:")
    for name in sorted(met, key=met.get, reverse=True):
        print(f"{met[name]:6} {name}")
    if min(taken, refused) < len(inputs) // 8 or sum(met.values()) > len(inputs) // 3:
        sys.exit("this tests little")


main()
