"""`prise capture` puts TCP together: in any order, twice, with gaps, from the middle on; and beside
tshark and tcpflow."""

import base64
import os
import random
import shutil
import subprocess

import pytest
from capturing import (capture, BIG, GET, OK, big_talk, body, course_frames,  # noqa: F401
                       exchanges, one)
from pcaps import ACK, PSH, RST, Talk, framed, request, response


# TCP put together

@pytest.mark.parametrize("isn", [(1000, 5000), (2**32 - 20, 2**32 - 20_000), (2**31, 2**31 - 9)])
def test_numbers_wrap_around(capture, prise, isn):
    before, middle, after = big_talk(isn=isn)
    got, e = body(capture, prise, before + middle + after)
    assert got == BIG and e["missing_bytes"] == 0 and "note" not in e


@pytest.mark.parametrize("seed", range(12))
def test_reordered_and_repeated(capture, prise, seed):
    chance = random.Random(seed)
    before, middle, after = big_talk(isn=(1, 2**32 - 20_000))
    middle = middle + chance.sample(middle, 9)
    for i in range(len(middle)):
        j = min(len(middle) - 1, i + chance.randrange(6))
        middle[i], middle[j] = middle[j], middle[i]
    got, e = body(capture, prise, before + middle + after)
    assert got == BIG and "note" not in e, f"seed {seed}"


@pytest.mark.parametrize("seed", range(6))
def test_overlaps(capture, prise, seed):
    """Segments of any length at any place, each byte the same wherever it comes from."""
    chance = random.Random(seed)
    talk = Talk()
    packets = talk.open() + talk.say(0, GET)
    data, start, at = response(BIG), talk.seq[1], 0
    while at < len(data):
        end = min(len(data), at + chance.randrange(1, 3000))
        begin = max(0, at - chance.randrange(2000))
        packets.append(talk.packet(1, PSH | ACK, data[begin:end], seq=start + begin))
        at = end
    talk.seq[1] += len(data)
    got, e = body(capture, prise, packets + talk.close())
    assert got == BIG and "note" not in e, f"seed {seed}"


def test_of_bytes_that_come_twice_the_first_count(capture, prise):
    before, middle, after = big_talk()
    talk = Talk()
    talk.open(), talk.say(0, GET)
    liar = talk.packet(1, PSH | ACK, b"X" * 1000)
    assert body(capture, prise, before + middle[:3] + [liar] + middle[3:] + after)[0] == BIG


def test_a_gap_is_marked(capture, prise):
    before, middle, after = big_talk()
    got, e = body(capture, prise, before + middle[:5] + middle[7:] + after)
    at = 5 * 1460 - (len(response(BIG)) - len(BIG))
    assert e["missing_bytes"] == 2 * 1460 and "not captured" in e["note"]
    assert got == BIG[:at] + bytes(2 * 1460) + BIG[at + 2 * 1460:]
    done = capture(framed(before + middle[:5] + middle[7:] + after))
    assert "\n  ! response: 2920 bytes were not captured\n" in done.out
    done = capture(framed(before + middle[:5] + middle[7:] + after), "--follow")
    assert "  ! 2920 bytes were not captured\n" in done.out


def test_a_gap_in_chunks(capture, prise):
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(BIG[at:at + 8000]), BIG[at:at + 8000])
                       for at in range(0, len(BIG), 8000)) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    talk = Talk()
    before, middle = talk.open() + talk.say(0, GET), talk.say(1, head + chunked, ack=False)
    after = talk.exchange(request("/next"), OK) + talk.close()
    assert body(capture, prise, before + middle + [talk.packet(0, ACK)])[0] == BIG
    done = capture(framed(before + middle[:2] + middle[3:] + after), "--json")
    assert [(e["target"], e["missing_bytes"]) for e in exchanges(done)] == \
        [("/", 1460), ("/next", 0)]  # within a chunk
    done = capture(framed(before + middle[:5] + middle[6:] + after), "--json")
    first, second = exchanges(done)
    assert "framing" in first["note"]  # the line between two chunks is gone
    assert first["missing_bytes"] == 1460
    assert second["target"] == "/next" and second["status"] == 200 and "note" not in second


def test_a_lost_request(capture):
    talk = Talk()
    packets = talk.open() + talk.say(0, GET)[1:] + talk.say(1, OK) + \
        talk.exchange(request("/b"), response(b"bb")) + talk.close()
    done = capture(framed(packets), "--json")
    told = [(e["request_frame"], e.get("target"), e["response_bytes"]) for e in exchanges(done)]
    assert told == [(0, None, 12), (7, "/b", 2)]


def told(done):
    """Target and length of each pair: the tests below answer /N with N bytes."""
    return [(int(e["target"][1:]), e["response_bytes"] + e["missing_bytes"])
            for e in exchanges(done) if "target" in e and e["status"]]


def test_a_lost_response_shifts_no_other(capture):
    """Whichever frame is lost, none is paired with another's, and all others are paired."""
    packets = Talk().whole(*((request(f"/{n}"), response(b"x" * n)) for n in range(1, 6)))
    for lost in range(3, len(packets) - 3):
        done = capture(framed(packets[:lost] + packets[lost + 1:]), "--json")
        pairs = told(done)
        assert all(n == length for n, length in pairs), lost
        assert len(pairs) == (4 if lost % 4 != 0 and len(packets[lost]) > 40 else 5), lost
    lost = packets.index(next(p for p in packets if p.endswith(b"xx") and b"HTTP" in p))
    done = capture(framed(packets[:lost] + packets[lost + 1:]))
    assert "/2 HTTP/1.1\n  ! response: its beginning was not captured\n" in done.out


@pytest.mark.parametrize("seed", range(8))
def test_what_is_lost_at_random_pairs_nothing_wrongly(capture, seed):
    chance = random.Random(seed)
    talk = Talk(isn=(2**32 - 300, 2**32 - 9000), mss=chance.choice([200, 1460]))
    sizes = chance.sample(range(4000), 40)
    packets = talk.whole(*((request(f"/{n}"), response(b"x" * n)) for n in sizes))
    kept = [p for p in packets if chance.random() > 0.06]
    pairs = told(capture(framed(kept), "--json"))
    assert all(n == length for n, length in pairs) and len(pairs) > 10, f"seed {seed}"


def test_behind_a_gap_those_who_did_not_wait_are_not_guessed(capture):
    talk = Talk()
    packets = talk.open() + talk.say(0, b"".join(request(f"/{n}") for n in range(1, 5)))
    answers = [talk.say(1, response(b"x" * n))[0] for n in range(1, 5)]
    packets += answers[:1] + answers[2:] + talk.exchange(request("/7"), response(b"7" * 7))
    done = capture(framed(packets + talk.close()), "--json")
    assert told(done) == [(1, 1), (7, 7)]
    notes = [e["note"] for e in exchanges(done) if "target" not in e]
    assert len(notes) == 2 and all("which one this answers is not known" in n for n in notes)


def test_an_interim_response_finds_its_request_too(capture):
    talk = Talk()
    packets = talk.open() + talk.say(0, request("/1")) + talk.say(1, response(b"x"))[1:]
    packets += talk.say(0, request("/2", "POST", b"Content-Length: 1\r\n"))
    packets += talk.say(1, b"HTTP/1.1 100 Continue\r\n\r\n") + talk.say(0, b"a")
    packets += talk.say(1, response(b"22")) + talk.close()
    done = capture(framed(packets), "--json")
    assert told(done) == [(2, 2)] and [e["status"] for e in exchanges(done)] == [0, 200]


def test_more_wait_than_there_is_room_for(capture):
    talk, count = Talk(), 1500
    packets = talk.open() + talk.say(0, b"".join(request(f"/{n}") for n in range(count)))
    packets += talk.say(1, b"".join(response(b"x" * n) for n in range(count)), ack=False)
    done = capture(framed(packets + talk.close()), "--json")
    pairs = told(done)
    assert all(n == length for n, length in pairs) and len(pairs) == 1024
    notes = [e["note"] for e in exchanges(done) if "note" in e]
    assert len(notes) == 2 * (count - 1024) and all("too many" in n for n in notes)


def test_a_head_of_a_request_that_breaks_a_rule_has_no_body_either(capture):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
    done = capture(framed(Talk().whole((request("/1", "HEAD", b"Host: another\r\n"), answer),
                                       (request("/2"), response(b"22")))), "--json")
    assert [(e["target"], e["status"], e["response_bytes"]) for e in exchanges(done)] == \
        [("/1", 200, 0), ("/2", 200, 2)]


@pytest.mark.parametrize("asked", [b"BONJOUR\r\n", b"get / HTTP/1.0\r\n\r\n"])
def test_what_was_asked_is_no_http(capture, asked):
    e = one(capture(framed(Talk().whole((asked, response(b"", "400 Bad Request")))), "--json"))
    assert e["status"] == 400 and "does not look like HTTP" in e["note"]


def test_beginning_in_the_middle(capture):
    talk = Talk()
    packets = talk.whole((GET, OK), (request("/b"), response(BIG)), (request("/c"), OK))
    for first in range(len(packets)):
        done = capture(framed(packets[first:]), "--json")
        told = {e["target"]: e["status"] for e in exchanges(done) if "target" in e}
        assert done.code == 0
        assert told.get("/c") == 200 or first > len(packets) - 7
    events = exchanges(capture(framed(packets[5:]), "--json"))
    assert "not in the capture" in events[0]["note"] and events[1]["target"] == "/b"


def test_a_reset_ends_it(capture):
    talk = Talk()
    before, middle, _ = big_talk()
    e = one(capture(framed(before + middle[:4] + [talk.packet(0, RST)]), "--json"))
    assert e["status"] == 200 and "not whole" in e["note"]


def test_ports_used_again(capture):
    packets = Talk().whole((GET, OK)) + Talk(isn=(70_000, 90_000)).whole((request("/b"), OK))
    done = capture(framed(packets), "--json")
    assert [(e["conversation"], e["target"]) for e in exchanges(done)] == [(1, "/"), (2, "/b")]


def test_an_end_without_its_response(capture):
    talk = Talk()
    e = one(capture(framed(talk.open() + talk.say(0, GET)), "--json"))
    assert e["status"] == 0 and e["response_frame"] == 0 and "response" in e["note"]


def test_segments_cut_when_they_were_captured(capture, prise):
    before, middle, after = big_talk()
    e = one(capture(framed(before + middle + after), "--json", snap=400))
    assert e["response_bytes"] + e["missing_bytes"] == len(BIG) and e["missing_bytes"] > 20_000


# Beside others

def many(seed):
    """Conversations side by side, their frames shuffled lightly, some twice."""
    chance = random.Random(seed)
    talks = []
    for n in range(12):
        pairs = []
        for i in range(chance.randrange(1, 6)):
            size = chance.choice([0, 10, 3000, 30_000])
            pairs.append((request(f"/{n}/{i}"), response(BIG[:size])))
        talks.append(Talk(("10.0.2.1", 1000 + n), isn=(chance.getrandbits(32),
                                                      chance.getrandbits(32))).whole(*pairs))
    packets = []
    while talks:
        talk = chance.choice(talks)
        packets.append(talk.pop(0))
        if chance.random() < 0.05:
            packets.append(packets[-1])
        if not talk:
            talks.remove(talk)
    return framed(packets, pad=0)  # padding tcpflow would take for data


def tool(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.mark.parametrize("seed", range(4))
def test_beside_tshark(capture, prise, seed):
    done = capture(many(seed), "--json")
    lines = subprocess.run(
        [tool("tshark"), "-n", "-r", "t.pcap", "-Y", "http.response", "-T", "fields", "-e",
         "tcp.srcport", "-e", "tcp.dstport", "-e", "http.request_in", "-e", "http.response.code",
         "-e", "http.content_length", "-e", "http.request.uri", "-e", "http.response_for.uri"],
        cwd=prise.directory, env={**prise.environment, "HOME": str(prise.directory)},
        capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    theirs = sorted((int(f[1]), int(f[2]), int(f[3]), int(f[4]), f[6].split("example.test")[1])
                    for f in (line.split("\t") for line in lines))
    ours = sorted((int(e["client"].rpartition(":")[2]), e["request_frame"], e["status"],
                   e["response_bytes"], e["target"]) for e in exchanges(done))
    assert ours == theirs and len(ours) > 20


def test_beside_tcpflow(capture, prise):
    done = capture(many(9), "--json", "--follow", "--conversation", "3")
    out = prise.directory / "flows"
    out.mkdir()
    subprocess.run([tool("tcpflow"), "-q", "-r", "t.pcap", "-o", str(out)], cwd=prise.directory,
                   capture_output=True, timeout=60, check=True)
    data = [e for e in done.events if e["type"] == "capture.data"]
    for source in {e["source"] for e in data}:
        mine = b"".join(base64.b64decode(e["text_b64"]) if "text_b64" in e else e["text"].encode()
                        for e in data if e["source"] == source)
        target = next(e["target"] for e in data if e["source"] == source)
        name = "-".join("{}.{:05d}".format(".".join(f"{int(p):03d}" for p in host.split(".")),
                                           int(port))
                        for host, _, port in (source.rpartition(":"), target.rpartition(":")))
        assert (out / name).read_bytes() == mine


@pytest.mark.parametrize("name", ["capinfos", "tshark"])
def test_the_files_of_these_tests_are_captures_to_others_too(capture, prise, name):
    capture(course_frames())
    done = subprocess.run([tool(name), "-r", "t.pcap"] if name == "tshark" else
                          [tool(name), "t.pcap"], cwd=prise.directory, capture_output=True,
                          text=True, timeout=60, check=True,
                          env={**prise.environment, "HOME": str(prise.directory)})
    assert "malformed" not in done.stdout.lower()
