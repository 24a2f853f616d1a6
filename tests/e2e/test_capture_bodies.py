"""`prise capture --body` and `--har`: bodies unpacked, names that do no harm, archives."""

import base64
import gzip
import json
import os
import re
import signal
import stat
import subprocess
import zlib

import pcaps
import pytest
from capturing import capture, BIG, GET, OK, body, exchanges, simple  # noqa: F401
from pcaps import Talk, framed, request, response
from support import SECONDS


PACKED = {
    "gzip": gzip.compress(BIG),
    "x-gzip": gzip.compress(BIG[:9]) + gzip.compress(BIG[9:]),
    "deflate": zlib.compress(BIG),
}


@pytest.mark.parametrize("coding", [*PACKED, "raw deflate"])
def test_bodies_are_unpacked(capture, prise, coding):
    packed = PACKED.get(coding)
    if packed is None:
        packer = zlib.compressobj(wbits=-15)
        packed = packer.compress(BIG) + packer.flush()
    answer = response(packed, head=f"Content-Encoding: {coding.split()[-1]}\r\n".encode())
    for mss in (1460, 1):
        got, e = body(capture, prise, Talk(mss=mss).whole((GET, answer)))
        assert got == BIG and e["response_bytes"] == len(packed) and "note" not in e
        if mss == 1460 and len(packed) > 30_000:
            continue


def test_bodies_that_are_not_unpacked_are_left_as_they_came(capture, prise):
    for coding, word in ((b"gzip", "coding"), (b"deflate", "coding"), (b"br", "left packed")):
        wrong = response(b"not packed at all", head=b"Content-Encoding: %s\r\n" % coding)
        for mss in (1460, 1):
            got, e = body(capture, prise, Talk(mss=mss).whole((GET, wrong)))
            assert got == b"not packed at all" and word in e["note"]


def test_what_unpacks_at_a_time_has_a_limit(capture, prise):
    """2000 bodies under way: those that find no place are there too, packed."""
    packed = gzip.compress(BIG[:500])
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    talks = [Talk((f"10.1.{n >> 8}.{n & 255}", 9)) for n in range(2000)]
    packets = [p for t in talks for p in t.open() + t.say(0, GET) + t.say(1, head + packed[:100])]
    packets += [p for t in talks for p in t.say(1, packed[100:]) + t.close()]
    done = capture(framed(packets), "--json", "--body", "bodies")
    found = [p.read_bytes() for p in (prise.directory / "bodies").iterdir()]
    assert found.count(BIG[:500]) == 1024 and found.count(packed) == 2000 - 1024
    notes = [e["note"] for e in exchanges(done) if "note" in e]
    assert len(notes) == 2000 - 1024 and all("left packed: too many" in n for n in notes)


def test_names_of_bodies_are_safe(capture, prise):
    targets = ["/../../etc/passwd", "/a/..", "/%2e%2e/x", "/a/.hidden", "/" + "n" * 400,
               "/a\\b c", "/-rf", "http://h/../x?y=/..", "/\x00\xff"]
    pairs = [(request(t.encode().decode("latin-1"), head=b"Content-Length: 2\r\n") + b"in",
              response(b"out")) for t in targets[:-1]]
    done = capture(framed(Talk().whole(*pairs)), "--body", "bodies")
    names = sorted(os.listdir(prise.directory / "bodies"))
    assert done.code == 0 and len(names) >= 2 * (len(pairs) - 1)
    assert all(re.fullmatch(r"[0-9]+-[0-9]+-re(quest|sponse)[-\w.]{0,49}", n) for n in names)
    assert set(os.listdir(prise.directory)) == {"bodies", "t.pcap", "state", "config", "runtime"}


def test_no_body_is_written_over(capture, prise):
    assert capture(simple(), "--body", "bodies").code == 0
    path, = (prise.directory / "bodies").iterdir()
    path.write_text("mine")
    done = capture(simple(), "--body", "bodies")
    assert done.code == 9 and path.read_text() == "mine"
    assert f"{path.name} is there already" in done.err and "address" not in done.err
    assert "200" in done.out
    path.unlink()
    path.symlink_to(prise.directory / "elsewhere")
    assert capture(simple(), "--body", "bodies").code == 9
    assert not (prise.directory / "elsewhere").exists()


def test_har(capture, prise):
    answer = response(gzip.compress(b"<p>\xc3\xa9"), head=b"Content-Type: text/html\r\n"
                      b"Content-Encoding: gzip\r\n")
    sent = request("/f?a=1&b=%20", "POST", b"Content-Type: text/plain\r\nContent-Length: 4\r\n")
    frames = framed(Talk().whole((sent + b"data", answer), (GET, response(b"\xff\0"))))
    assert capture(frames, "--har", "x.har").code == 0
    text = (prise.directory / "x.har").read_text()
    assert capture(frames, "--har", "-").out == text
    log = json.loads(text)["log"]
    first, second = log["entries"]
    assert log["version"] == "1.2" and log["creator"]["name"] == "prise"
    assert first["startedDateTime"] == "2023-11-14T22:13:20.003000Z" and first["time"] == 2
    asked, answered = first["request"], first["response"]
    assert asked["url"] == "http://example.test/f?a=1&b=%20" and asked["method"] == "POST"
    assert asked["queryString"] == [{"name": "a", "value": "1"}, {"name": "b", "value": "%20"}]
    assert asked["postData"]["text"] == "data" and asked["bodySize"] == 4
    assert {"name": "Host", "value": "example.test"} in asked["headers"]
    assert answered["status"] == 200 and answered["statusText"] == "OK"
    assert answered["content"] == {"size": 5, "mimeType": "text/html", "text": "<p>é"}
    assert base64.b64decode(second["response"]["content"]["text"]) == b"\xff\0"
    for entry in log["entries"]:
        assert set(entry["timings"]) == {"send", "wait", "receive"} and entry["cache"] == {}
        assert {"cookies", "headers", "headersSize", "httpVersion"} <= set(entry["response"])


def test_har_of_what_is_wrong(capture):
    """Each exchange that has a request, with its rule; the others are counted."""
    talk = Talk()
    packets = talk.open() + talk.say(0, GET)[1:] + talk.say(1, OK)
    packets += talk.exchange(request("/a?b", head=b"Host: another\r\n"), OK)
    packets += talk.exchange(request("/c"), b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
                             b"Content-Length: 2\r\n\r\n")
    packets += talk.say(0, request("/d")) + talk.close()
    done = capture(framed(packets), "--har", "-")
    first, second, third = json.loads(done.out)["log"]["entries"]
    assert first["request"]["method"] == "GET" and "two Host" in first["request"]["comment"]
    assert first["request"]["queryString"] == [{"name": "b", "value": ""}]
    assert first["request"]["url"].endswith("/a?b")
    assert first["response"]["status"] == 200 and "comment" not in first["response"]
    assert second["response"]["status"] == 200 and second["response"]["comment"]
    assert second["response"]["httpVersion"] == "HTTP/1.1"
    assert third["response"]["status"] == 0 and third["response"]["httpVersion"] == ""
    assert "1 exchanges are not in the archive" in done.err


def test_signals_that_are_ignored(prise):
    """nohup(1) has SIGHUP ignored, a shell SIGINT of what runs beside it."""
    def ignore():
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    process = prise.start("capture", "-", preexec_fn=ignore)
    process.stdin.write(pcaps.file(simple()))
    process.stdin.flush()
    process.stdout.readline(), process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 130


def test_what_an_archive_is_written_to(capture, prise):
    """A device, a pipe and a link stay what they are; a file is there whole or not at all."""
    place, frames = prise.directory, simple()
    capture(frames, "--har", "plain.har")
    text = (place / "plain.har").read_text()
    (place / "real").mkdir()
    (place / "real" / "x.har").write_text("old")
    (place / "real" / "x.har").chmod(0o600)
    (place / "link.har").symlink_to("real/x.har")
    assert capture(frames, "--har", "link.har").code == 0
    assert (place / "link.har").is_symlink() and (place / "real" / "x.har").read_text() == text
    assert (place / "real" / "x.har").stat().st_mode & 0o777 == 0o600
    os.mkfifo(place / "pipe.har")
    reader = subprocess.Popen(["cat", place / "pipe.har"], stdout=subprocess.PIPE, text=True)
    assert capture(frames, "--har", "pipe.har").code == 0
    assert reader.communicate(timeout=SECONDS)[0] == text and (place / "pipe.har").is_fifo()
    assert sorted(p.name for p in (place / "real").iterdir()) == ["x.har"]
    assert not [p for p in place.iterdir() if "prise-" in p.name]
    assert capture(frames, "--har", "none/x.har").code == 9


@pytest.mark.root
def test_a_device_stays_one(capture, prise):
    device = prise.directory / "null"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    try:
        device.write_bytes(b"")
    except PermissionError:
        pytest.skip("no devices here")
    assert capture(simple(), "--har", "null").code == 0 and device.is_char_device()
    device.unlink()
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
    done = capture(simple(), "--har", "null")
    assert done.code == 9 and "null" in done.err and device.is_char_device()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_archive_too(prise, number):
    process = prise.start("capture", "--har", "x.har", "-")
    process.stdin.write(pcaps.file(simple()))
    process.stdin.flush()
    process.stdout.readline(), process.stdout.readline()
    process.send_signal(number)
    assert process.wait(SECONDS) == 128 + number
    assert len(json.loads((prise.directory / "x.har").read_text())["log"]["entries"]) == 1
    assert not [p for p in prise.directory.iterdir() if "prise-" in p.name]
