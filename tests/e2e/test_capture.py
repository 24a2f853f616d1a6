"""`prise capture`: what it shows of files that the tests make themselves (pcaps.py), of every form
and in every state; an interface."""

import gzip
import json
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess

import box
import pcaps
import pytest
import schema
from capturing import (capture, BIG, GET, OK, body, course_frames, exchanges, one,  # noqa: F401
                       simple, sixteen)
from pcaps import ACK, FIN, SYN, Talk, framed, request, response
from support import ROOT, SECONDS


# What it shows

def test_a_row(capture):
    done = capture(simple())
    head, row = done.out.splitlines()
    assert head.split()[:3] == ["TCP", "frames", "seconds"]
    assert row.split()[:7] == ["1", "4", "6", "0.003000", "10.0.0.1:40000", ">", "10.0.0.2:80"]
    assert row.split()[7:10] == ["200", "0", "12"] and row.endswith("  GET / HTTP/1.1")
    assert done.code == 0 and "frames: 10, TCP conversations: 1, HTTP exchanges: 1" in done.err


def test_the_event(capture):
    e = one(capture(simple(), "--json"))
    assert (e["request_frame"], e["response_frame"], e["status"]) == (4, 6, 200)
    assert (e["client"], e["server"]) == ("10.0.0.1:40000", "10.0.0.2:80")
    assert (e["method"], e["target"], e["authority"]) == ("GET", "/", "example.test")
    assert (e["request_bytes"], e["response_bytes"], e["missing_bytes"]) == (0, 12, 0)
    assert e["time"] == "2023-11-14T22:13:20.003000Z" and e["took_us"] == 2000 and "note" not in e


def test_headers(capture):
    done = capture(simple(), "-i")
    assert "\n  > GET / HTTP/1.1\n  > Host: example.test\n  < HTTP/1.1 200 OK\n" in done.out
    events = capture(simple(), "-i", "--json").events
    assert [(e["side"], e["name"], e["value"]) for e in events if e["type"] == "capture.header"] \
        == [("request", "Host", "example.test"), ("response", "Content-Length", "12")]


def test_events_keep_to_their_page(capture):
    page, types = schema.page(), set()
    frames = course_frames() + framed(Talk(("10.0.0.9", 9)).open() + Talk().say(1, OK))
    for options in (["-i"], ["--diagram"], ["--follow"]):
        for event in capture(frames, "--json", *options).events:
            assert schema.fault(event, page) is None, schema.fault(event, page)
            types.add(event["type"])
    assert types == {name for name in page if name.startswith("capture.")}


def test_follow(capture):
    done = capture(simple(), "--follow")
    assert "--- frame 4, 0.003000 s, 10.0.0.1:40000 > 10.0.0.2:80\nGET / HTTP/1.1\n" in done.out
    assert "--- frame 6, 0.005000 s, 10.0.0.2:80 > 10.0.0.1:40000\nHTTP/1.1 200 OK\n" in done.out
    assert done.out.endswith("\n\nhello world\n")
    events = capture(simple(), "--follow", "--json").events
    assert [e["text"] for e in events if e["type"] == "capture.data"] == \
        [GET.decode(), OK.decode()]


@pytest.mark.parametrize("mss", [1, 2, 3])
def test_follow_keeps_characters_and_lines_whole(capture, mss):
    answer = response("été à Noël\r\n€ \x80\r x".encode("latin-1", "replace") + "€é\r\n".encode())
    whole, cut = (
        [line for line in capture(framed(Talk(mss=size).whole((GET, answer))), "--follow").out
         .splitlines() if not line.startswith("---")] for size in (9000, mss))
    assert cut == whole and "€é" in whole[-1] and r"\r x" in whole[-1]


def test_one_conversation_of_several(capture):
    frames = framed(Talk().whole((GET, OK)) +
                    Talk(client=("10.0.0.3", 1)).whole((request("/b"), OK)))
    assert "/b" not in capture(frames, "--follow").out
    done = capture(frames, "--follow", "--conversation", "2")
    assert "GET /b" in done.out and "GET / " not in done.out
    assert one(capture(frames, "--json", "--conversation", "2"))["target"] == "/b"
    done = capture(frames, "--follow", "--conversation", "3")
    assert done.code == 1 and "no conversation 3" in done.err


def test_control_characters_are_shown_never_obeyed(capture):
    frames = framed(Talk().whole((request("/\x1b]0;x\x07"), response(b"\x1b[31m\x9b\r\x08"))))
    for options in ([], ["-i"], ["--follow"], ["--diagram"], ["--json"], ["--json", "--follow"]):
        done = capture(frames, *options)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.out), options
    assert r"\x1b[31m" in capture(frames, "--follow").out


# The diagram

def test_diagram(capture):
    done = capture(course_frames(), "--diagram")
    lines = done.out.splitlines()
    assert lines[0].split() == ["A", "10.0.0.1", "B", "10.0.0.53", "C", "10.0.0.2"]
    assert max(map(len, lines)) <= 100 and len(lines) == 2 + 14
    told = [re.match(r" +(\d+) +(\S+)  .*[│▶] (.*)$", line).group(1, 3) for line in lines[2:]]
    assert told == [(str(i + 1), text) for i, text in enumerate([
        "ARP who has 10.0.0.53? tell 10.0.0.1", "ARP 10.0.0.53 is at 02:00:0a:00:00:35",
        "DNS query 0x1b34 A www.example.test",
        "DNS answer 0x1b34 A www.example.test: 10.0.0.2",
        "TCP 40000 > 80 SYN seq 0", "TCP 80 > 40000 SYN ACK seq 0 ack 1",
        "TCP 40000 > 80 ACK seq 1 ack 1", f"GET / HTTP/1.1, {len(GET)} bytes",
        f"TCP 80 > 40000 ACK seq 1 ack {len(GET) + 1}", f"HTTP/1.1 200 OK, {len(OK)} bytes",
        f"TCP 40000 > 80 ACK seq {len(GET) + 1} ack {len(OK) + 1}",
        f"TCP 80 > 40000 FIN ACK seq {len(OK) + 1} ack {len(GET) + 1}",
        f"TCP 40000 > 80 FIN ACK seq {len(GET) + 1} ack {len(OK) + 2}",
        f"TCP 80 > 40000 ACK seq {len(OK) + 2} ack {len(GET) + 2}"])]
    assert "●────────────┼────────────▶" in lines[2] and "│◀───────────│" in lines[3]


def test_the_sixteen_frames_of_the_exercises(prise):
    """tests/capturing.py makes the file, and this sees that it is the one."""
    path = ROOT / "examples" / "sixteen.pcap"
    assert path.read_bytes() == sixteen()
    done = prise("capture", "--diagram", path)
    assert [re.search("ARP|DNS|SYN|FIN|GET|200 OK|ACK", line)[0] for line in
            done.out.splitlines()[2:]] == ["ARP"] * 2 + ["DNS"] * 4 + \
        ["SYN", "SYN", "ACK", "GET", "ACK", "200 OK", "ACK", "FIN", "FIN", "ACK"]


def test_diagram_of_many_hosts(capture):
    packets = [p for n in range(9) for p in Talk(client=(f"10.0.1.{n}", 9)).whole((GET, OK))]
    done = capture(framed(packets), "--diagram")
    assert max(map(len, done.out.splitlines())) <= 100
    assert len(re.findall(r"HTTP/1.1 200 OK", done.out)) == 9
    assert all(f" 10.0.1.{n}" in done.out for n in range(9))


def test_the_heading_stands_once_for_as_long_as_it_can(capture):
    """Twelve clients in turn: three fit beside the server, and from then on each is new."""
    packets = [Talk(client=(f"10.0.1.{n}", 9)).packet(0, SYN) for n in range(12)]
    done = capture(framed(packets), "--diagram")
    kinds = ["head" if re.match("  A ", line) else "arrow" for line in done.out.splitlines()
             if re.match("  A | +[0-9]+ ", line)]
    assert kinds[:5] == ["head", "arrow", "arrow", "arrow", "head"] and kinds.count("head") == 10


def test_marks_are_not_cut_off(capture):
    talk = Talk(mss=12)
    packets = talk.open() + talk.say(0, request("/" + "é" * 40))
    packets += packets[3:5] + [packets[3]]
    long = Talk(client=("10.0.0.3", 4))
    segment = long.say(0, request("/" + "é" * 40))[0]
    lines = capture(framed(packets + [segment, segment]), "--diagram").out.splitlines()
    assert max(map(len, lines)) <= 100 and len([x for x in lines if "(sent again) " in x]) == 4
    assert not [x for x in lines if r"\xc3" in x and "GET /" in x and "…" not in x]


def test_diagram_as_events(capture):
    events = capture(course_frames(), "--diagram", "--json").events
    frames = [e for e in events if e["type"] == "capture.frame"]
    assert [e["frame"] for e in frames] == list(range(1, 15))
    assert frames[0]["everyone"] and frames[0]["bytes"] == 60
    assert (frames[4]["source"], frames[4]["target"]) == ("10.0.0.1", "10.0.0.2")


def test_lifelines_on_this_machine_are_told_apart_by_port(capture):
    talk = Talk(client=("127.0.0.1", 5), server=("127.0.0.1", 80))
    lines = capture(framed(talk.whole((GET, OK))), "--diagram").out.splitlines()
    assert lines[0].split() == ["A", "127.0.0.1:5", "B", "127.0.0.1:80"]


# HTTP on top

CASES = {
    "head": (request(method="HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", 0),
    "interim": (request(method="POST", head=b"Content-Length: 3\r\n") + b"abc",
                b"HTTP/1.1 100 Continue\r\n\r\n" + response(b"fine"), 4),
    "no content": (request(), b"HTTP/1.1 204 No Content\r\n\r\n", 0),
    "not modified": (request(), b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 0),
    "chunked": (request(), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"5;x=1\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n", 6),
    "until the end": (request(), b"HTTP/1.0 200 OK\r\n\r\nall that comes", 14),
    "bare LF": (b"GET / HTTP/1.0\n\n", b"HTTP/1.0 200 OK\nContent-Length: 2\n\nok", 2),
}


@pytest.mark.parametrize("name", CASES)
def test_framing(capture, name):
    asked, answered, length = CASES[name]
    for mss in (1460, 7, 1):
        e = one(capture(framed(Talk(mss=mss).whole((asked, answered))), "--json"))
        assert e["response_bytes"] == length and "note" not in e, (name, mss)


def test_pipelined(capture):
    asked = b"".join(request(f"/{n}") for n in range(5))
    answered = b"".join(response(b"x" * n) for n in range(5))
    done = capture(framed(Talk().whole((asked, answered))), "--json")
    assert [(e["target"], e["response_bytes"]) for e in exchanges(done)] == \
        [(f"/{n}", n) for n in range(5)]


def test_what_breaks_the_rules_is_shown_with_the_rule(capture):
    bad = request(head=b"Content-Length: 1\r\nContent-Length: 2\r\n")
    e = one(capture(framed(Talk().whole((bad, response(b"no", "400 Bad Request")))), "--json"))
    assert e["status"] == 400 and e["note"].startswith("request: ") and e["target"] == "/"


def test_typed_wrong(capture):
    answer = response(b"", "400 Bad Request")
    e = one(capture(framed(Talk().whole((b"GET /\r\n", answer))), "--json"))
    assert e["status"] == 400 and e["method"] == "GET" and "version" in e["note"]


def test_after_an_upgrade_nothing_is_taken_for_http(capture):
    talk = Talk()
    packets = talk.open() + talk.exchange(request(head=b"Upgrade: x\r\nConnection: upgrade\r\n"),
                                          b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    packets += talk.exchange(GET, OK) + talk.close()
    assert one(capture(framed(packets), "--json"))["status"] == 101


@pytest.mark.parametrize("noise", [b"SSH-2.0-x\r\n", b"\x16\x03\x01\x02\x00", b"EHLO x\r\n" * 9,
                                   b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"A" * 20_000, bytes(9000)],
                         ids=range(6))
def test_what_is_not_http_is_left_alone(capture, noise):
    done = capture(framed(Talk().whole((noise, noise))))
    assert done.code == 0 and done.out == "" and "HTTP exchanges: 0" in done.err


# Files of every form

@pytest.mark.parametrize("form", ["<", ">", "<n", ">n", "ng<", "ng>"])
def test_forms_of_files(capture, form):
    order = form.strip("ng") or "<"
    data = pcaps.file_ng(simple(), order=order) if "ng" in form else \
        pcaps.file(simple(), order=order, nano="n" in form)
    e = one(capture(data, "--json"))
    assert (e["request_frame"], e["status"], e["took_us"]) == (4, 200, 2000)
    assert e["time"] == "2023-11-14T22:13:20.003000Z"


def test_interfaces_of_several_kinds_in_a_file(capture):
    done = capture(pcaps.file_ng(simple(), more=[pcaps.ETHERNET]), "--json")
    assert one(done)["status"] == 200
    done = capture(pcaps.file_ng(simple(), more=[pcaps.RAW]))
    assert done.code == 8 and "several interfaces" in done.err and "damaged" not in done.err


def linked(packet, link):
    six = packet[0] >> 4 == 6
    kind = struct.pack(">H", 0x86DD if six else 0x0800)
    if link == "vlan":
        return pcaps.ethernet(packet, tags=(5, 6))
    return {pcaps.RAW: b"", 228: b"", 229: b"", pcaps.NULL: struct.pack("<I", 24 if six else 2),
            108: struct.pack(">I", 30 if six else 2),
            pcaps.COOKED: struct.pack(">HHH", 0, 1, 6) + bytes(8) + kind,
            pcaps.COOKED2: kind + struct.pack(">HIHBB", 0, 1, 1, 0, 6) + bytes(8)}[link] + packet


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize("link", [pcaps.RAW, pcaps.NULL, 108, pcaps.COOKED, pcaps.COOKED2, "vlan"])
def test_links(capture, link, six):
    talk = Talk(("2001:db8::1", 4), ("2001:db8::2", 80)) if six else Talk()
    frames = [linked(p, link) for p in talk.whole((GET, OK))]
    done = capture(frames, "--json", link=1 if link == "vlan" else link)
    assert one(done)["status"] == 200
    assert one(done)["server"] == ("[2001:db8::2]:80" if six else "10.0.0.2:80")


def test_extension_headers(capture):
    talk = Talk(("2001:db8::1", 4), ("2001:db8::2", 80))
    packets = []
    for p in talk.whole((GET, OK)):
        chain = bytes([60, 0, 1, 4, 0, 0, 0, 0]) + bytes([6, 0, 1, 4, 0, 0, 0, 0])
        packets.append(p[:4] + struct.pack(">HB", len(p) - 40 + 16, 0) + p[7:40] + chain + p[40:])
    assert one(capture(framed(packets), "--json"))["status"] == 200


def test_fragments(capture, prise):
    packets = []
    for number, p in enumerate(Talk().whole((GET, response(BIG[:1000])))):
        body_, parts = p[20:], []
        for at in range(0, len(body_), 160):
            more = 0x2000 if at + 160 < len(body_) else 0
            parts.append(pcaps.ip("10.0.0.1" if p[12:16] == b"\n\0\0\1" else "10.0.0.2",
                                  "10.0.0.2" if p[12:16] == b"\n\0\0\1" else "10.0.0.1", 6,
                                  body_[at:at + 160], number, more | at // 8))
        random.Random(number).shuffle(parts)
        packets += parts
    got, e = body(capture, prise, packets)
    assert got == BIG[:1000] and "note" not in e
    assert "IP fragment" in capture(framed(packets), "--diagram").out


def test_frames_above_the_mtu(capture, prise):
    talk = Talk(mss=60_000)
    assert body(capture, prise, talk.whole((GET, response(BIG))))[0] == BIG
    big = [p[:2] + b"\0\0" + p[4:] if len(p) > 9000 else p
           for p in Talk(mss=60_000).whole((GET, response(BIG)))]  # a length that the card fills in
    assert body(capture, prise, big)[0] == BIG


def test_padding_is_cut(capture):
    """An acknowledgement in 60 bytes: the six behind the packet are no data."""
    frames = framed(Talk(mss=3).whole((GET, OK)))
    assert min(map(len, frames)) == 60
    assert one(capture(frames, "--json"))["response_bytes"] == 12


# What is wrong with a file

def test_cut_at_any_byte(capture):
    data = pcaps.file(simple())
    ends = {24 + sum(16 + len(f) for f in simple()[:n]): n for n in range(11)}
    for length in range(len(data) + 1):
        done = capture(data[:length], "--json")
        summary = [e["frames"] for e in done.events if e["type"] == "capture.summary"]
        assert done.code == (0 if length in ends else 8), length
        if length >= 24:
            assert summary == [max(n for end, n in ends.items() if end <= length)]
            assert len(exchanges(done)) == (summary[0] > 3)
        if done.code:
            assert "\n  try: " in done.err and len(done.err) > 40
    assert "cut short" in capture(data[:-1]).err


def test_pcapng_cut_at_any_byte(capture):
    data = pcaps.file_ng(simple())
    codes = {capture(data[:length]).code for length in range(0, len(data), 3)}
    assert codes <= {0, 8}


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\n", bytes(500), b"\x7fELF" * 30],
                         ids=range(4))
def test_no_capture_at_all(capture, data):
    done = capture(data)
    assert done.code == 8 and "t.pcap" in done.err and done.out == ""
    assert "no capture" in done.err or "cut short" in done.err


def test_another_link(capture):
    done = capture(simple(), link=105)
    assert done.code == 8 and "802_11" in done.err and "kind" in done.err


def test_a_damaged_file(capture):
    data = bytearray(pcaps.file(simple()))
    data[24 + 16 + 60 + 8] = 255
    data[24 + 16 + 60 + 11] = 255  # the length of the second frame
    done = capture(bytes(data))
    assert done.code == 8 and "frames: 1," in done.err


def test_bytes_at_random(capture):
    for seed in range(40):
        chance = random.Random(seed)
        frames = [bytearray(f) for f in simple()]
        for frame in chance.sample(frames, 5):
            for _ in range(chance.randrange(1, 6)):
                frame[chance.randrange(12, len(frame))] = chance.randrange(256)
        done = capture([bytes(f[:chance.randrange(1, 200)]) for f in frames], "--diagram")
        assert done.code == 0, f"seed {seed}"


# Usage

def test_usage(capture, prise):
    assert prise("capture").code == 2 and prise("capture", "a", "b").code == 2
    done = prise("capture", "no-such-thing")
    assert done.code == 9 and "neither a file nor a network interface" in done.err
    assert prise("capture", "no/such/thing").code == 9
    assert prise("capture", ".").code == 8
    done = capture(simple(), "--duration", "1s")
    assert done.code == 2 and "interface" in done.err
    done = capture(gzip.compress(pcaps.file(simple())))
    assert done.code == 8 and "try: `zcat FILE | prise capture -`" in done.err
    assert "EN10MB" in capture(simple(), "-v").err
    assert capture(simple(), "--follow", "--diagram").code == 2
    done = capture(simple(), "--filter", "tcp prt 80")
    assert done.code == 2 and "filter" in done.err


def test_without_libpcap_only_capture_is_missing(prise):
    (prise.directory / "t.pcap").write_bytes(pcaps.file(simple()))
    hidden = {"setup": ["set -- $(ldconfig -p | awk '/libpcap\\.so/ { print $NF }') &&"
                        " test $# -gt 0 && for i; do mount --bind /dev/null $i; done"]}
    done = box.run(prise, hidden, "capture", "t.pcap")
    assert done.code == 9 and "libpcap is missing" in done.err
    assert "try: `apt install libpcap0.8`" in done.err
    assert box.run(prise, hidden, "services", "http").code == 0


def test_filter_and_count(capture):
    packets = Talk().whole((GET, OK)) + Talk(server=("10.0.0.2", 81)).whole((request("/b"), OK))
    e = one(capture(framed(packets), "--json", "--filter", "tcp port 81"))
    assert e["target"] == "/b" and e["request_frame"] == 14  # numbers stay those of the file
    done = capture(framed(packets), "--json", "-c", "6")
    assert done.events[-1]["frames"] == 6 and one(done)["status"] == 200


def test_standard_input(prise):
    data = pcaps.file(simple())
    assert one(prise("capture", "--json", "-", stdin=data))["status"] == 200
    process = prise.start("capture", "-")
    process.stdin.write(data)
    process.stdin.flush()
    assert b"GET" in (process.stdout.readline() + process.stdout.readline())  # as it comes
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 130
    assert b"frames: 10," in process.stderr.read()


def test_a_reader_that_leaves(prise):
    (prise.directory / "t.pcap").write_bytes(pcaps.file(framed(
        [p for n in range(2000) for p in Talk(("10.0.0.1", n + 1)).whole((GET, OK))])))
    process = prise.start("capture", "t.pcap")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(SECONDS) == 0


# An interface

def serve_once(listener):
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(OK)


@pytest.mark.root
def test_live(prise, serve):
    """On lo, only what goes to a port of the test's own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = prise.start("capture", "lo", "--filter", f"tcp port {port}", "--json")
        assert b"capturing on lo" in process.stderr.readline()
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(GET)
            serve_once(listener)
            assert s.recv(4096) == OK
        event = json.loads(process.stdout.readline())
        assert event["status"] == 200 and event["server"] == f"127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
        summary = json.loads(process.stdout.readlines()[-1])
        assert summary["type"] == "capture.summary" and summary["frames"] >= 7
        assert summary["dropped"] == 0


@pytest.mark.root
def test_live_ends(prise):
    nobody = "tcp src port 1 and tcp dst port 1"
    done = prise("capture", "lo", "--filter", nobody, "--duration", "100ms")
    assert done.code == 0 and "frames: 0," in done.err
    done = prise("capture", "lo", "--filter", "tcp prt 1")
    assert done.code == 2


VETH = "ip link add d0 type veth peer name d1 && ip link set d0 up"


def inside(prise, setup, *arguments):
    """A capture in a network of its own, and how to run something else there."""
    process = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", setup + ' && exec "$@"', "sh", prise.path, "capture",
         *arguments], env=prise.environment, cwd=prise.directory, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    prise.started.append(process)
    said = process.stderr.readline()
    if b"capturing" not in said:
        process.kill()
        pytest.skip(f"no network of its own: {said}")
    there = ["nsenter", "-t", str(process.pid), "-n"]
    return process, lambda *more: subprocess.run([*there, *more], capture_output=True, text=True,
                                                 check=True, timeout=SECONDS).stdout


@pytest.mark.root
@pytest.mark.parametrize("end", [["set", "d0", "down"], ["del", "d0"]], ids="-".join)
def test_an_interface_that_goes(prise, end):
    process, there = inside(prise, VETH, "d0")
    there("ip", "link", *end)
    assert process.wait(SECONDS) == 6
    assert b"d0 is down or gone" in process.stderr.read()


@pytest.mark.root
@pytest.mark.parametrize("options", [[], ["-p"]])
def test_promiscuous(prise, options):
    process, there = inside(prise, VETH, "d0", *options)
    link, = json.loads(there("ip", "-d", "-j", "link", "show", "d0"))
    assert link["promiscuity"] == (0 if options else 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 130


def test_live_without_the_right(prise):
    if os.geteuid() == 0:
        options = {"user": 65534, "group": 65534}
        pathlib.Path(prise.directory).chmod(0o755)
        if not os.access(prise.path, os.X_OK):
            pytest.skip("nobody may not run it")
    else:
        options = {}
    try:
        done = prise("capture", "lo", "--duration", "100ms", **options)
    except PermissionError:
        pytest.skip("nobody may not reach the program")
    assert done.code == 9 and "may not capture on lo" in done.err and "cap_net_raw" in done.err
