"""prise get: what it asks for and what it makes of the answers."""

import base64
import gzip
import json
import os
import signal
import termios
import zlib

import pytest

from support import free_port, has_ipv6, wait_until
# pylint: disable-next=unused-import
from webs import BINARY, NO_PROXIES, Odd, Web, fixed, get  # noqa: F401

# What is fetched

def test_bytes_are_kept(get):
    with Web(fixed(BINARY)) as web:
        done = get(web.url + "/x")
    assert done.code == 0 and done.raw == BINARY and done.err == ""


def test_host_alone(get):
    with Web(fixed(b"hi")) as web:
        assert get(f"127.0.0.1:{web.port}").out == "hi"
        assert get(f"localhost:{web.port}/a?b").out == "hi"
        assert get(f":{web.port}").out == "hi"
    assert [r.path for r in web.asked] == ["/", "/a?b", "/"]


def test_what_is_asked(get):
    with Web(fixed(b"")) as web:
        get(web.url + "/a b?c=é#f")
    asked = web.asked[0]
    assert asked.path == "/a%20b?c=%C3%A9"
    assert asked.fields["host"] == f"127.0.0.1:{web.port}"
    assert asked.fields["user-agent"].startswith("prise/")
    assert asked.fields["connection"] == "keep-alive"
    assert asked.version == "HTTP/1.1"


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6")
def test_ipv6_literal(get):
    with Web(fixed(b"six"), host="::1") as web:
        assert get(web.url + "/").out == "six"
        assert get("-4", web.url + "/").code == 3
    assert web.asked[0].fields["host"] == f"[::1]:{web.port}"


def test_http10(get):
    with Web(fixed(b"old"), version="HTTP/1.0") as web:
        assert get("--http1.0", web.url).out == "old"
    assert web.asked[0].version == "HTTP/1.0"
    assert web.asked[0].fields["host"]


def test_bare_sends_the_course_s_request(get):
    with Odd(b"HTTP/1.0 200 OK\n\nbare") as odd:
        assert get("--bare", odd.url + "/page").out == "bare"
        assert get("--bare", "-i", odd.url).out == "HTTP/1.0 200 OK\n\nbare"
    assert odd.heads == [b"GET /page HTTP/1.0\n\n", b"GET / HTTP/1.0\n\n"]


def test_head_and_include(get):
    with Web(fixed(b"body", Content_Type="text/x")) as web:
        head = get("-I", web.url)
        both = get("-i", web.url)
    assert head.out.startswith("HTTP/1.1 200 OK\r\n") and head.out.endswith("\r\n\r\n")
    assert "Content-Length: 4" in head.out
    assert both.out.startswith("HTTP/1.1 200 OK\r\n") and both.out.endswith("\r\n\r\nbody")
    assert [r.method for r in web.asked] == ["HEAD", "GET"]


def test_no_content(get):
    with Odd(b"HTTP/1.1 204 No Content\r\n\r\n") as odd:
        done = get(odd.url)
    assert done.code == 0 and done.out == ""
    with Odd(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n") as odd:
        assert get(odd.url).code == 0


def test_chunked_and_interim_answers(get):
    answer = (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
              b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
              b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n")
    with Odd(answer) as odd:
        assert get(odd.url).out == "hello world"


def test_until_the_end(get):
    with Odd(b"HTTP/1.1 200 OK\r\n\r\n" + BINARY) as odd:
        assert get(odd.url).raw == BINARY


# Several

def test_connections_are_used_again(get):
    with Web(fixed(b"x")) as web:
        assert get(*[f"{web.url}/{i}" for i in range(5)]).out == "xxxxx"
    assert web.connections == 1


def test_a_stale_connection_is_tried_again(get):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
    with Odd(answer + b"a", answer + b"b") as odd:  # closes though it promised not to
        done = get(odd.url + "/1", odd.url + "/2")
    assert done.code == 0 and done.out == "ab" and odd.count == 2


def test_a_stale_connection_and_a_post(get):
    """What is not idempotent is not sent twice, for it may have been done: so each has a connection
    of its own, which cannot have been closed before."""
    def talk(s):
        if not odd.head(s).endswith(b"x"):
            s.recv(1)
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
    with Odd(talk) as odd:
        done = get("-d", "x", odd.url + "/1", odd.url + "/2", odd.url + "/3")
        assert done.code == 0 and done.out == "aaa" and odd.count == 3

    def silent(s):
        odd.head(s)
    with Odd(talk, silent) as odd:
        done = get("-d", "x", odd.url + "/1", odd.url + "/2")
        assert done.code == 1 and "without an answer" in done.err and odd.count == 2


def test_one_of_several_fails(get):
    with Web(fixed(b"x")) as web:
        done = get(web.url, f"http://127.0.0.1:{free_port()}/")
    assert done.code == 1 and done.out == "x" and "nobody listens" in done.err


# Content of requests

def test_data(get, tmp_path):
    (tmp_path / "f").write_bytes(BINARY)
    with Web(fixed(b"")) as web:
        get("-d", "a=1", "-d", "b=2", web.url)
        get("-d", f"@{tmp_path}/f", "-H", "Content-Type: x/y", web.url)
        get("-d", "@-", web.url, stdin=BINARY)
        get("-X", "PUT", "-d", "", web.url)
    first, second, third, fourth = web.asked
    assert (first.method, first.body) == ("POST", b"a=1&b=2")
    assert first.fields["content-type"] == "application/x-www-form-urlencoded"
    assert second.body == BINARY and second.fields["content-type"] == "x/y"
    assert third.body == BINARY
    assert fourth.method == "PUT" and fourth.fields["content-length"] == "0"


def test_much_data_waits_to_be_welcome(get, tmp_path):
    (tmp_path / "f").write_bytes(bytes(3 << 20))
    with Web(fixed(b"ok")) as web:
        assert get("-d", f"@{tmp_path}/f", web.url).out == "ok"
    assert web.asked[0].fields["expect"] == "100-continue"
    assert web.asked[0].body == bytes(3 << 20)
    with Odd(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno") as odd:
        done = get("-d", f"@{tmp_path}/f", odd.url)
    assert done.out == "no" and "413" in done.err


def test_form(get, tmp_path):
    (tmp_path / "f.bin").write_bytes(BINARY)
    with Web(fixed(b"")) as web:
        assert get("-F", "a=x y", "-F", f"file=@{tmp_path}/f.bin;type=image/x",
                   "-F", f"t=<{tmp_path}/f.bin", web.url).code == 0
    asked = web.asked[0]
    kind, boundary = asked.fields["content-type"].split("; boundary=")
    assert kind == "multipart/form-data"
    parts = asked.body.split(b"--" + boundary.encode())
    assert parts[0] == b"" and parts[-1] == b"--\r\n" and len(parts) == 5
    assert parts[1] == b'\r\nContent-Disposition: form-data; name="a"\r\n\r\nx y\r\n'
    head, _, body = parts[2].partition(b"\r\n\r\n")
    assert b'name="file"; filename="f.bin"\r\nContent-Type: image/x' in head
    assert body == BINARY + b"\r\n"
    assert parts[3].endswith(BINARY + b"\r\n") and b"filename" not in parts[3]


def test_fields(get):
    with Web(fixed(b"")) as web:
        get("-H", "X-A: 1", "-H", "User-Agent: me", "-H", "Accept:", web.url)
    fields = web.asked[0].fields
    assert fields["x-a"] == "1" and fields["user-agent"] == "me" and "accept" not in fields


@pytest.mark.parametrize("words, text", [
    (["-H", "no colon", "x"], "is no field"), (["-H", "a b: c", "x"], "is no field"),
    (["-H", "a: b\r\nc: d", "x"], "is no field"), (["-X", "GE T", "x"], "is no method"),
    (["ftp://x/"], "http and https only"), (["http://"], "is no URL"),
    (["http://x:99999/"], "is no URL"), (["http://a b/"], "is no URL"), ([], "missing"),
    (["-o", "f", "-O", "x"], "exclude"), (["-C", "x"], "needs a file"),
    (["-F", "x", "y"], "is no field of a form"), (["--bare", "-d", "x", "y"], "nothing but"),
    (["-o", "f", "x", "y"], "2 URLs and 1 file"), (["--pin", "x", "https://y"], "")])
def test_wrong_usage(get, words, text):
    done = get(*words)
    assert done.code == 2 and text in done.err and "  try: " in done.err


# Redirects

def hop(request):
    if request.path == "/end":
        return 200, {}, b"there"
    code, _, rest = request.path[1:].partition("/")
    return int(code), {"Location": "/" + (rest or "end")}, b"moved"


@pytest.mark.parametrize("code, method", [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"),
                                          (308, "POST")])
def test_the_method_after_a_redirect(get, code, method):
    with Web(hop) as web:
        assert get("-d", "x", f"{web.url}/{code}").out == "there"
    assert web.asked[1].method == method
    assert web.asked[1].body == (b"x" if method == "POST" else b"")
    assert web.connections == (2 if method == "POST" else 1)  # a POST has its own


def test_ten_redirects_and_no_more(get):
    with Web(hop) as web:
        assert get(web.url + "/302" * 10).out == "there"
        done = get(web.url + "/302" * 11)
        assert done.code == 8 and "more than 10 redirects" in done.err
        assert get("--max-redirs", "11", web.url + "/302" * 11).out == "there"
        shown = get("--max-redirs", "0", "-i", web.url + "/302")
    assert shown.code == 0 and "Location: /end" in shown.out and shown.out.endswith("moved")


def test_a_loop_is_named(get):
    with Web(lambda r: (302, {"Location": "/b" if r.path == "/a" else "/a"}, b"")) as web:
        done = get(web.url + "/a")
    assert done.code == 8 and "/a: it redirects in a circle" in done.err
    assert len(web.asked) == 2


def test_back_to_itself_with_a_cookie(get):
    def answer(request):
        if "seen=1" in request.fields.get("cookie", ""):
            return 200, {}, b"welcome"
        cookies = ["seen=1; Path=/", "x=y; Secure"]
        return 302, {"Location": request.path, "Set-Cookie": cookies}, b""
    with Web(answer) as web:
        assert get(web.url + "/a/b").out == "welcome"
        assert web.asked[1].fields["cookie"] == "seen=1"
        get(web.url)
    assert "cookie" not in web.asked[2].fields  # forgotten with the chain


@pytest.mark.parametrize("where, text", [("ftp://x/", "neither http nor https"),
                                         ("http://:0x/", "no URL")])
def test_redirects_to_nowhere(get, where, text):
    with Web(fixed(b"", 302, Location=where)) as web:
        done = get(web.url)
    assert done.code == 8 and text in done.err


def test_credentials_stay_with_their_host(get):
    with Web(fixed(b"other")) as other:
        with Web(lambda r: (302, {"Location": other.url + "/x"}, b"")) as web:
            fields = ["-H", "Cookie: a=b", "-H", "X-Y: z"]
            assert get("--user", "me:secret", *fields, web.url).code == 0
            assert get(f"http://me:secret@127.0.0.1:{web.port}/").code == 0
    expected = "Basic " + base64.b64encode(b"me:secret").decode()
    assert [r.fields["authorization"] for r in web.asked] == [expected] * 2
    for request in other.asked:
        assert "authorization" not in request.fields and "cookie" not in request.fields
    assert other.asked[0].fields["x-y"] == "z"


# Statuses

def test_statuses(get):
    with Web(fixed(b"sorry", 404)) as web:
        done = get(web.url)
        failed = get("--fail", web.url)
    assert done.code == 0 and done.out == "sorry" and "404 Not Found" in done.err
    assert failed.code == 1 and failed.out == "" and "404 Not Found" in failed.err


# Codings

def deflated(data, bits):
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("coding, packed", [
    ("gzip", gzip.compress(BINARY)),
    ("x-gzip", gzip.compress(BINARY[:9]) + gzip.compress(BINARY[9:])),
    ("deflate", deflated(BINARY, 15)), ("deflate", deflated(BINARY, -15)), ("gzip", b"")])
def test_codings(get, coding, packed):
    with Web(fixed(packed, Content_Encoding=coding)) as web:
        assert get(web.url).raw == (BINARY if packed else b"")
        assert get("--raw", web.url).raw == packed
    assert "gzip" in web.asked[0].fields["accept-encoding"]
    assert "accept-encoding" not in web.asked[1].fields


def test_an_archive_is_not_unpacked(get):
    packed = gzip.compress(BINARY)
    with Web(fixed(packed, Content_Encoding="gzip")) as web:
        assert get(web.url + "/a.tar.gz").raw == packed


def test_what_does_not_unpack(get):
    packed = gzip.compress(os.urandom(9000))
    with Web(lambda r: (200, {"Content-Encoding": "gzip"},
                        packed[:5000] if r.path == "/cut" else b"\x1f\x8b no gzip")) as web:
        for path in ("/cut", "/bad"):
            done = get("-o", "f", web.url + path)
            assert done.code == 8 and "does not unpack" in done.err and "--raw" in done.err
    with Web(fixed(b"x", Content_Encoding="br")) as web:
        done = get(web.url)
    assert done.code == 0 and done.out == "x" and "coded as br" in done.err


def test_a_bomb(get, prise):
    packed = gzip.compress(bytes(100 << 20), 9)
    with Web(fixed(packed, Content_Encoding="gzip")) as web:
        done = get("-o", "f", web.url)
        assert done.code == 8 and "a bomb?" in done.err and "--max-decoded" in done.err
        assert not list(prise.directory.glob("f*"))
        assert get("-o", "f", "--max-decoded", "100M", web.url).code == 0
    assert (prise.directory / "f").stat().st_size == 100 << 20


def test_methods_that_mean_content(get):
    """RFC 9110 8.6: they say that they have none."""
    with Web(fixed(b"")) as web:
        for method in ("PUT", "POST", "DELETE", "GET"):
            assert get("-X", method, web.url).code == 0
    assert [r.fields.get("content-length") for r in web.asked] == ["0", "0", None, None]


def test_a_server_that_does_not_know_expect(get, prise):
    """RFC 9110 10.1.1: then the same again without it."""
    data, got = os.urandom(2 << 20), []
    (prise.directory / "big").write_bytes(data)

    def take(s):
        body = odd.head(s).partition(b"\r\n\r\n")[2]
        while len(body) < len(data):
            body += s.recv(1 << 16)
        got.append(body)
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ngot it")
    no = b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno"
    with Odd(no, take) as odd:
        done = get("-X", "PUT", "-d", "@big", odd.url)
    assert done.code == 0 and done.out == "got it" and got == [data]
    assert b"Expect:" in odd.heads[0] and b"Expect:" not in odd.heads[1]


def test_a_coding_of_ones_own(get):
    done = get("-H", "Transfer-Encoding: chunked", "-d", "x", "http://127.0.0.1:1/")
    assert done.code == 2 and "Transfer-Encoding" in done.err


def test_a_long_password(get):
    with Web(fixed(b"x")) as web:
        assert get("-u", "me:" + "p" * 4000, web.url).code == 0
        assert get("-u", "me:" + "p" * 20000, web.url).code == 8
    wanted = "Basic " + base64.b64encode(b"me:" + b"p" * 4000).decode()
    assert [r.fields["authorization"] for r in web.asked] == [wanted]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_gives_up_at_the_prompt_has_an_echo(prise, number):
    master, terminal = os.openpty()

    def echoes():
        return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
    with os.fdopen(master), os.fdopen(terminal):
        assert echoes()
        process = prise.start("get", "-u", "bob", "http://127.0.0.1:1/", stdin=terminal)
        wait_until(lambda: not echoes(), "the prompt")
        process.send_signal(number)
        assert process.wait(20) == -number and echoes()


def test_many_files(get, prise):
    with Web(fixed(b"x")) as web:
        words = [word for i in range(70) for word in ("-o", f"f{i}", f"{web.url}/{i}")]
        assert get(*words).code == 0
        done = get(*["-o", "f"] * 257, web.url)
        assert done.code == 2 and "256 times at most" in done.err
    assert len(list(prise.directory.glob("f*"))) == 70


# Odd answers

def test_folded_fields(get):
    """RFC 9112 5.2: a user agent puts a space in their place."""
    answer = (b"HTTP/1.1 302 Found\r\nSet-Cookie: a=b;\r\n\tPath=/\r\nX: un\r\n  deux\n trois\r\n"
              b"Location:\r\n /next\r\nContent-Length: 0\r\n\r\n")
    with Odd(answer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as odd:
        done = get("-i", odd.url)
        assert done.code == 0 and done.out.endswith("hi")
    assert "X: un    deux  trois\r\n" in done.out and "Location:   /next\r\n" in done.out
    assert odd.heads[1].startswith(b"GET /next ") and b"Cookie: a=b\r\n" in odd.heads[1]


@pytest.mark.parametrize("fields", [b"Content-Length: 2\r\nContent-Length: 2",
                                    b"Content-Length: 2, 2"])
def test_lengths_that_are_one(get, fields):
    """RFC 9112 6.3: of an answer, equal ones may be taken."""
    with Odd(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\nhi") as odd:
        done = get(odd.url)
    assert done.code == 0 and done.out == "hi"


def test_a_length_beside_chunks(get):
    """Chunked counts, and nothing that follows on that connection is believed."""
    answer = (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
              b"2\r\nhi\r\n0\r\n\r\n")

    def stay(s):
        odd.head(s)
        s.sendall(answer)
        odd.head(s)
    with Odd(stay) as odd:
        done = get(odd.url, odd.url)
    assert done.code == 0 and done.out == "hihi" and odd.count == 2


# Broken answers

@pytest.mark.parametrize("answer, text", [
    (b"", "without an answer"),
    (b"HTTP/1.1 200 OK\r\nContent-", "without an answer"),
    (b"SSH-2.0-OpenSSH\r\n\r\n", "no valid HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi", "two lengths"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",
     "no valid HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nhi", "not just digits"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi", "not just digits"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhi", "no valid HTTP"),
    (b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "no valid HTTP"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "no valid HTTP"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000, "no valid HTTP"),
    (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10000 + b"\r\n", "no valid HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "5 of 10 bytes"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "before the end"),
    (b"HTTP/1.1 101 Switching\r\n\r\n", "nobody asked for"),
    (b"HTTP/1.1 100 Go\r\n\r\n" * 100, "no end of interim"),
])
def test_broken_answers(get, prise, answer, text):
    with Odd(answer) as odd:
        done = get("-o", "f", odd.url)
    assert done.code == 8 and text in done.err and "  try: " in done.err
    assert f"127.0.0.1:{odd.port}" in done.err
    assert not list(prise.directory.glob("f*"))


def test_silence(get):
    def talk(s):
        odd.head(s)
        odd.ending.wait(20)
    with Odd(talk) as odd:
        done = get("-t", "300ms", odd.url)
    assert done.code == 5 and "silent" in done.err


def test_a_slow_head_and_a_slow_body(get):
    def drip(*first):
        def talk(s):
            odd.head(s)
            s.sendall(b"".join(first))
            while not odd.ending.wait(0.05):
                s.sendall(b"x")
        return talk
    with Odd(drip(b"HTTP/1.1 200 OK\r\nX: ")) as odd:
        assert get("-t", "500ms", odd.url).code == 5
    with Odd(drip(b"HTTP/1.1 200 OK\r\n\r\n")) as odd:
        done = get("-m", "2s", odd.url)
        assert done.code == 5 and "xx" in done.out


def test_errors_of_the_way(get):
    refused = get(f"http://127.0.0.1:{free_port()}/")
    assert refused.code == 4 and "nobody listens" in refused.err
    unknown = get("http://trucbidule.invalid/")
    assert unknown.code == 3 and "trucbidule.invalid" in unknown.err


# On the screen

def test_events(get):
    with Web(lambda r: (302, {"Location": "/b"}, b"") if r.path == "/a" else
             (200, {"Content-Type": "text/plain"}, "é".encode())) as web:
        events = get("--json", "--timing", web.url + "/a").events
    first, _, second, times = events
    assert (first["type"], first["status"], first["location"]) == ("get.exchange", 302, "/b")
    assert (second["status"], second["text"], second["bytes"]) == (200, "é", 2)
    assert second["reused"] and not first["reused"] and second["error"] == "none"
    assert times["type"] == "get.timing" and times["total_us"] >= times["first_byte_us"]


def test_events_of_an_error(get):
    events = get("--json", f"http://127.0.0.1:{free_port()}/").events
    assert [e["type"] for e in events] == ["get.exchange", "error"]
    assert events[0]["error"] == "refused" and events[1]["code"] == 4


def test_timing(get):
    with Web(fixed(b"x")) as web:
        done = get("--timing", web.url, web.url)
    assert done.out == "xx"
    for phase in ("name", "connect", "first byte", "transfer"):
        assert phase in done.err
    assert "used before" in done.err


def test_wire(get):
    with Web(fixed(b"hello")) as web:
        done = get("-v", web.url)
    assert done.out == "hello" and "GET / HTTP/1.1" in done.err and f":{web.port}" in done.err


def on_a_terminal(prise, *words):
    """What it shows on a terminal."""
    import pexpect
    child = pexpect.spawn(prise.path, ["get", *words], env={**prise.environment, **NO_PROXIES,
                                                            "TERM": "dumb"}, timeout=20)
    child.expect(pexpect.EOF)
    return child.before.decode()


def test_json_is_laid_out_on_a_terminal_only(prise, get):
    body = b'{"a":[1,2.50,{}],"b":"x\\"{,","c":[]}'
    with Web(fixed(body, Content_Type="application/json; charset=utf-8")) as web:
        shown = on_a_terminal(prise, web.url)
        assert get(web.url).raw == body
    assert shown.replace("\r", "").strip() == \
        '{\n  "a": [\n    1,\n    2.50,\n    {}\n  ],\n  "b": "x\\"{,",\n  "c": []\n}'
    assert json.loads(shown) == json.loads(body)


def test_a_terminal_is_not_obeyed(prise):
    with Web(fixed(b"a\x1b[31mb\tc\n")) as web:
        shown = on_a_terminal(prise, "-i", web.url)
    assert "\x1b" not in shown and "a\\x1b[31mb\tc" in shown
