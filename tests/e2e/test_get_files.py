"""prise get: files, what is left of them when something goes wrong, and going on with them."""

import hashlib
import os
import re
import signal
import subprocess
import time

import pytest

from support import free_port, wait_until
# pylint: disable-next=unused-import
from webs import BINARY, NO_PROXIES, Odd, Web, fixed, get  # noqa: F401

BIG = os.urandom(5 << 20)


class Ranged:
    """A thing of `body` with an ETag. `cut` answers in a row stop after so many bytes."""

    def __init__(self, body, *cuts, tag='"v1"', modified=None, ranges=True):
        self.body, self.cuts, self.tag, self.modified = body, list(cuts), tag, modified
        self.ranges = ranges

    def fields(self):
        fields = ""
        if self.tag:
            fields += f"ETag: {self.tag}\r\n"
        if self.modified:
            fields += f"Last-Modified: {self.modified}\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\n"
        return fields

    def __call__(self, s, head):
        asked = re.search(rb"Range: bytes=(\d+)-\r\n", head)
        condition = re.search(rb"If-Range: (.*)\r\n", head)
        body, status = self.body, "200 OK"
        if self.ranges and asked and (not condition or condition[1].decode() == self.tag):
            first = int(asked[1])
            if first >= len(body):
                s.sendall(f"HTTP/1.1 416 No\r\nContent-Range: bytes */{len(body)}\r\n"
                          "Content-Length: 0\r\n\r\n".encode())
                return
            status = (f"206 Partial Content\r\n"
                      f"Content-Range: bytes {first}-{len(body) - 1}/{len(body)}")
            body = body[first:]
        s.sendall(f"HTTP/1.1 {status}\r\n{self.fields()}Content-Length: {len(body)}\r\n\r\n"
                  .encode())
        s.sendall(body[:self.cuts.pop(0)] if self.cuts else body)

    def odd(self):
        def talk(s):
            head = odd.head(s)
            self(s, head)
        odd = Odd(talk)
        return odd


def files(prise):
    return {p.name for p in prise.directory.iterdir() if p.is_file()}


def test_output(get, prise):
    with Web(fixed(BIG)) as web:
        done = get("-o", "f", web.url)
        assert done.code == 0 and done.raw == b""
        assert (prise.directory / "f").read_bytes() == BIG
        (prise.directory / "link").symlink_to("g")
        assert get("-o", "link", web.url).code == 0
        assert (prise.directory / "link").is_symlink() or (prise.directory / "link").exists()
        assert get("-o", "/dev/null", web.url).code == 0
    assert files(prise) >= {"f"}
    assert os.path.exists("/dev/null") and not os.path.isfile("/dev/null")


def test_an_old_file_is_kept_until_the_new_one_is_whole(get, prise):
    (prise.directory / "f").write_text("old")
    with Odd(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nnew") as odd:
        assert get("-o", "f", odd.url).code == 8
    assert (prise.directory / "f").read_text() == "old" and files(prise) == {"f"}


@pytest.mark.parametrize("path, name", [
    ("/a/b.txt?x=y", "b.txt"), ("/", "index.html"), ("/x/", "index.html"), ("/a%20b", "a b"),
    ("/%2e%2e%2fetc", "_._etc"), ("/.profile", "_profile"), ("/-rf", "_rf"), ("/a%1bb", "a_b"),
    ("/%00x", "index.html"), ("/%c3%a9", "é")])
def test_remote_names(get, prise, path, name):
    with Web(fixed(b"x")) as web:
        assert get("-O", web.url + path).code == 0
    assert files(prise) == {name}


def test_much_into_a_file_in_many_ways(get, prise):
    """Above a megabyte content goes past the machine: by splice, or copied where a file is only
    appended to; the connection stays in use."""
    with Web(fixed(BIG)) as web:
        done = get("-o", "a", "-o", "b", web.url + "/1", web.url + "/2")
        assert done.code == 0 and web.connections == 1
        for mode in ("wb", "ab"):
            with open(prise.directory / "out", mode) as out:
                subprocess.run([prise.path, "get", web.url], stdout=out, check=True,
                               env={**prise.environment, **NO_PROXIES})
    assert (prise.directory / "a").read_bytes() == (prise.directory / "b").read_bytes() == BIG
    assert (prise.directory / "out").read_bytes() == BIG + BIG


def test_no_such_directory(get):
    with Web(fixed(b"x")) as web:
        done = get("-o", "no/such/f", web.url)
    assert done.code == 9 and "no such file" in done.err


def test_not_allowed(get, prise):
    (prise.directory / "d").mkdir()
    with Web(fixed(b"x")) as web:
        done = get("-o", "d", web.url)
    assert done.code == 9


@pytest.mark.root
@pytest.mark.parametrize("size", [70000, 5 << 20])
def test_a_full_disk_leaves_nothing(get, prise, size):
    place = prise.directory / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=True)
    try:
        with Web(fixed(bytes(size))) as web:
            done = get("-o", place / "f", web.url)
        assert done.code == 9 and "the disk refuses" in done.err
        assert not list(place.iterdir())
    finally:
        subprocess.run(["umount", place], check=True)


def test_standard_output_full_closed_and_unread(prise):
    environment = {**prise.environment, **NO_PROXIES}
    with Web(fixed(BIG)) as web:
        for redirection, code in ((">/dev/full", 9), (">&-", 9), ("| head -c 3", 0)):
            done = subprocess.run(
                ["bash", "-c", f'"$0" get "$1" {redirection}; exit ${{PIPESTATUS[0]}}',
                 prise.path, web.url], env=environment, capture_output=True, timeout=20)
            assert done.returncode == code, (redirection, done)
            assert bool(done.stderr) == bool(code), done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(prise, number):
    def talk(s):
        odd.head(s)
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        odd.ending.wait(20)
    with Odd(talk) as odd:
        process = prise.start("get", "-o", "f", odd.url, env=NO_PROXIES)
        wait_until(lambda: files(prise), "the part")
        process.send_signal(number)
        assert process.wait(10) == -number
    assert not files(prise)


# Going on

def test_retry_goes_on_where_it_stopped(get, prise):
    thing = Ranged(BIG, 1000, 3000000)
    with thing.odd() as odd:
        done = get("-o", "f", "--retry", "2", odd.url)
    assert done.code == 0 and (prise.directory / "f").read_bytes() == BIG
    assert [re.findall(rb"(?:If-)?Range: .*", h) for h in odd.heads] == [
        [], [b"Range: bytes=1000-\r", b'If-Range: "v1"\r'],
        [b"Range: bytes=3001000-\r", b'If-Range: "v1"\r']]


def test_retry_to_a_pipe(get):
    with Ranged(BINARY, 1000).odd() as odd:
        assert get("--retry", "1", odd.url).raw == BINARY
    with Ranged(BINARY, 1000, tag=None).odd() as odd:  # nothing to know it by
        done = get("--retry", "1", odd.url)
    assert done.code == 8 and odd.count == 1


@pytest.mark.parametrize("more", [{"tag": None}, {"tag": 'W/"v1"'}, {"ranges": False}])
def test_retry_from_the_beginning(get, prise, more):
    with Ranged(BINARY, 1000, **more).odd() as odd:
        assert get("-o", "f", "--retry", "1", odd.url).code == 0
    assert (prise.directory / "f").read_bytes() == BINARY


def test_retry_waits_for_a_server_that_is_busy(get):
    with Odd(b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy",
             b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as odd:
        done = get("--retry", "1", odd.url)
    assert done.code == 0 and done.out == "ok"
    with Odd(b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy") as odd:
        done = get("--retry", "1", odd.url)
    assert done.out == "busy" and "503" in done.err and odd.count == 2


def test_retry_gives_up(get):
    done = get("--retry", "1", f"http://127.0.0.1:{free_port()}/")
    assert done.code == 4 and done.err.count("nobody listens") == 2


def test_continue(get, prise):
    with Ranged(BIG, 2000000).odd() as odd:
        assert get("-C", "-o", "f", odd.url).code == 8
        assert files(prise) == {"f.part", "f.part.tag"}
        assert get("-C", "-o", "f", odd.url).code == 0
    assert b"Range: bytes=2000000-\r\n" in odd.heads[1]
    assert (prise.directory / "f").read_bytes() == BIG and files(prise) == {"f"}


def test_continue_with_what_has_changed(get, prise):
    thing = Ranged(BINARY, 1000)
    with thing.odd() as odd:
        assert get("-C", "-o", "f", odd.url).code == 8
        thing.body, thing.tag = b"other", '"v2"'
        assert get("-C", "-o", "f", odd.url).code == 0
    assert (prise.directory / "f").read_bytes() == b"other" and files(prise) == {"f"}


def test_continue_a_file_of_another_program(get, prise):
    """It may be gone on with when the server says that the thing is older than the file."""
    path = prise.directory / "f"
    path.write_bytes(BINARY[:5000])
    with Ranged(BINARY, modified="Sat, 01 Jan 2022 00:00:00 GMT").odd() as odd:
        assert get("-C", "-o", "f", odd.url).code == 0
        assert path.read_bytes() == BINARY and b"bytes=5000-" in odd.heads[0]
        assert get("-C", "-o", "f", odd.url).code == 0  # all of it is there
        assert path.read_bytes() == BINARY and odd.count == 2
    path.write_bytes(b"x" * 5000)
    os.utime(path, (0, 0))
    with Ranged(BINARY, modified="Sat, 01 Jan 2022 00:00:00 GMT").odd() as odd:
        assert get("-C", "-o", "f", odd.url).code == 0
    assert path.read_bytes() == BINARY and b"Range" not in odd.heads[1]


def test_continue_astray(get, prise):
    """A server that sends another part than it was asked for."""
    (prise.directory / "f.part").write_bytes(BINARY[:5000])
    (prise.directory / "f.part.tag").write_text('"v1"\n')

    def talk(s):
        if b"Range" in odd.head(s):
            s.sendall(b"HTTP/1.1 206 P\r\nContent-Range: bytes 7-9/10\r\nContent-Length: 3\r\n"
                      b"\r\nabc")
        else:
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall")
    with Odd(talk) as odd:
        assert get("-C", "-o", "f", odd.url).code == 0
    assert (prise.directory / "f").read_bytes() == b"all"


def test_as_curl_and_wget_have_it(get, prise, tmp_path):
    with Web(fixed(BIG)) as web:
        assert get("-o", "ours", web.url).code == 0
        for words in (["curl", "-s", "--noproxy", "*", "-o"], ["wget", "-q", "--no-proxy", "-O"]):
            subprocess.run([*words, tmp_path / words[0], web.url], check=True)
    digests = {hashlib.sha256((tmp_path / n).read_bytes()).digest()
               for n in ("ours", "curl", "wget")}
    assert len(digests) == 1


# Tries and parts of different things

def cut(body, tag, sent):
    return (b"HTTP/1.1 200 OK\r\nETag: \"%s\"\r\nContent-Length: %d\r\n\r\n" % (tag, len(body))
            + body[:sent])


def part(body, tag, start, whole=None):
    return (b"HTTP/1.1 206 P\r\nETag: \"%s\"\r\nContent-Range: bytes %d-%d/%d\r\n"
            b"Content-Length: %d\r\n\r\n" % (tag, start, len(body) - 1, whole or len(body),
                                             len(body) - start) + body[start:])


OLD, NEW = b"o" * 104, b"n" * 104


@pytest.mark.parametrize("second", [
    b"HTTP/1.1 200 OK\r\nETag: \"b\"\r\nContent-Length: 104\r\n\r\n" + NEW,
    part(NEW, b"a", 50, 108),
    part(NEW, b"b", 50),
    b"HTTP/1.1 416 R\r\nContent-Range: bytes */20\r\nContent-Length: 0\r\n\r\n",
])
def test_a_pipe_never_gets_two_things(get, second):
    """What was written to it cannot be taken back, so the end is an error."""
    with Odd(cut(OLD, b"a", 50), second, cut(NEW, b"b", 104)) as odd:
        done = get("--retry", "2", odd.url)
    assert done.code == 8 and done.raw == OLD[:50]
    assert "has changed since it was begun" in done.err and "try: -o FILE" in done.err


def test_a_file_is_begun_anew_when_the_part_is_of_another_thing(get, prise):
    with Odd(cut(OLD, b"a", 50), part(NEW, b"b", 50), cut(NEW, b"b", 104)) as odd:
        assert get("--retry", "2", "-o", "f", odd.url).code == 0
    assert (prise.directory / "f").read_bytes() == NEW


@pytest.mark.parametrize("status", [b"404 No", b"503 Busy", b"302 Lost"])
def test_continue_keeps_what_is_there_from_an_error_page(get, prise, status):
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\npage"
    (prise.directory / "whole").write_bytes(b"mine")
    (prise.directory / "f.part").write_bytes(b"begun")
    (prise.directory / "f.part.tag").write_text('"v1"\n')
    with Odd(answer) as odd:
        for name in ("whole", "f", "none"):
            done = get("-C", "-o", name, odd.url)
            assert done.code == 1 and status[:3].decode() in done.err
    assert (prise.directory / "whole").read_bytes() == b"mine"
    assert (prise.directory / "f.part").read_bytes() == b"begun"
    assert files(prise) == {"whole", "f.part", "f.part.tag"}


def test_a_file_keeps_its_rights(get, prise):
    secret = prise.directory / "secret"
    secret.touch(mode=0o600)
    with Web(fixed(b"new")) as web:
        assert get("-o", "secret", web.url).code == 0
    assert secret.read_bytes() == b"new" and secret.stat().st_mode & 0o777 == 0o600


def test_much_and_then_little_on_one_connection(get, prise):
    """Much content goes past the machine, with a low-water mark that must not stay."""
    with Web(lambda r: (200, {}, BIG if r.path == "/big" else b"small")) as web:
        begun = time.monotonic()
        done = get("-t", "20s", "-o", "big", web.url + "/big", "-o", "small", web.url + "/small")
    assert done.code == 0 and time.monotonic() - begun < 15
    assert (prise.directory / "big").read_bytes() == BIG
    assert (prise.directory / "small").read_bytes() == b"small"
    assert {r.connection for r in web.asked} == {1}
