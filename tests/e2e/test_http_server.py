"""The service http as other people's programs see it: curl, wget, Python, nginx before us, wrk; and
what must not get through."""

import contextlib
import gzip
import http.client
import json
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from signal import SIGHUP, SIGTERM

import pytest
from support import SECONDS, free_port, wait_until

BIG = 20_000_000


def needs(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        pytest.skip(f"no {name} here")
    return path


class Site:
    """A root with files, and the daemon that serves it."""

    def __init__(self, serve, directory, keys="", options=()):
        self.root = directory / "root"
        self.root.mkdir()
        self.port = free_port()
        self.log_path = directory / "access.log"
        self.write("index.html", b"<h1>salut</h1>\n")
        self.write("a.txt", b"hello\n")
        (self.root / "dir").mkdir()
        self.write("dir/b.txt", "été\n".encode())
        self.config = (f'loops = 1\nhttp {{ listen = "127.0.0.1:{self.port}" root = "{self.root}"\n'
                       f'  {keys.replace("LOG", str(self.log_path))} }}\n')
        self.daemon = serve(config=self.config, options=options)

    def write(self, name, content):
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_bytes(content)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def client(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)

    def get(self, path, method="GET", body=None, **fields):
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        with contextlib.closing(self.client()) as client:
            client.request(method, path, body=body, headers=fields)
            answer = client.getresponse()
            return answer.status, answer.read(), answer.headers

    def say(self, data):
        """All that is answered to `data`, up to the server's end."""
        with self.connect() as s:
            with contextlib.suppress(OSError):  # it may end before it has read all
                s.sendall(data)
            return read_all(s)


def read_all(s):
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := s.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.fixture
def site(serve, tmp_path):
    return lambda keys="", **more: Site(serve, tmp_path, keys, **more)


def run(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, timeout=SECONDS,
                          check=False, **more)


# Other people's clients

def test_curl(site, tmp_path):
    curl = needs("curl")
    s = site("put = yes")
    content = random.randbytes(BIG)
    s.write("big.bin", content)
    assert run(curl, "-fsS", s.url("/a.txt"), s.url("/dir/b.txt")).stdout == "hello\nété\n".encode()
    assert run(curl, "-fsS", "-L", s.url("/dir/../a.txt")).stdout == b"hello\n"
    assert b"\r\nContent-Length: 6\r\n" in run(curl, "-fsSI", s.url("/a.txt")).stdout
    assert run(curl, "-fsS", s.url("/big.bin")).stdout == content
    assert run(curl, "-fsS", "--http1.0", s.url("/a.txt")).stdout == b"hello\n"
    assert run(curl, "-fsS", "-r", "10-1009", s.url("/big.bin")).stdout == content[10:1010]
    part = tmp_path / "part"
    part.write_bytes(content[:1000])
    assert run(curl, "-fsS", "-C", "-", "-o", part, s.url("/big.bin")).returncode == 0
    assert part.read_bytes() == content
    again = run(curl, "-fsS", "-o", tmp_path / "not", "-w", "%{http_code}", "-z", s.root / "a.txt",
                s.url("/a.txt"))
    assert again.stdout == b"304"
    assert run(curl, "-sS", "-o", "/dev/null", "-w", "%{http_code}", s.url("/x")).stdout == b"404"
    up = run(curl, "-fsS", "-T", part, "-w", "%{http_code}", s.url("/up.bin"))
    assert up.stdout == b"201" and (s.root / "up.bin").read_bytes() == content
    assert run(curl, "-fsS", "-T", "-", "-w", "%{http_code}", s.url("/up.bin"),
               input=b"piped").stdout == b"204"
    assert (s.root / "up.bin").read_bytes() == b"piped"


def test_curl_takes_what_was_compressed_before(site):
    curl, gzip = needs("curl"), needs("gzip")
    s = site()
    run(gzip, "-k", s.root / "dir/b.txt")
    got = run(curl, "-fsS", "-D-", "--compressed", s.url("/dir/b.txt")).stdout.decode()
    assert "Content-Encoding: gzip\r\n" in got and got.endswith("\r\n\r\nété\n")
    plain = run(curl, "-fsS", "-D-", s.url("/dir/b.txt")).stdout.decode()
    assert "Vary: Accept-Encoding\r\n" in plain and "Encoding: gzip" not in plain


def test_wget_takes_a_tree(site, tmp_path):
    wget = needs("wget")
    s = site("listing = yes")
    (s.root / "index.html").unlink()
    s.write("dir/un été & <co>.txt", b"x")
    copy = tmp_path / "copy"
    done = run(wget, "-q", "-r", "-np", "-nH", "-P", copy, s.url("/"),
               env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0, done.stderr
    assert (copy / "a.txt").read_bytes() == b"hello\n"
    assert (copy / "dir" / "un été & <co>.txt").read_bytes() == b"x"


def test_a_text_has_its_charset_packed_or_not(site):
    s = site()
    for name, content in (("b.txt", "été\n".encode()), ("big.txt", "été\n".encode() * 20000)):
        s.write(name, content)
        plain = s.get("/" + name)[2]["Content-Type"]
        s.write(name + ".gz", gzip.compress(content))
        os.utime(s.root / name, (1e9, 1e9))
        fields = s.get("/" + name, Accept_Encoding="gzip")[2]
        assert fields["Content-Encoding"] == "gzip"
        assert fields["Content-Type"] == plain == "text/plain; charset=utf-8"


def test_a_listing_shows_what_is_served_alone(site, tmp_path):
    s = site("listing = yes")
    (tmp_path / "secret").write_bytes(b"x" * 4321)
    (s.root / "index.html").unlink()
    (s.root / "out").symlink_to(tmp_path / "secret")
    (s.root / "in").symlink_to("dir/b.txt")
    (s.root / "nowhere").symlink_to("none")
    page = s.get("/")[1].decode()
    assert ">in<" in page and ">out<" not in page and "4321" not in page
    assert ">nowhere<" not in page
    s.write("été & co/x", b"")
    assert "<h1>/été &amp; co/</h1>" in s.get("/%C3%A9t%C3%A9%20&%20co/")[1].decode()


def test_a_directory_called_index_html(site):
    s = site("listing = yes")
    s.write("odd/index.html/x", b"")
    status, page, _ = s.get("/odd/")
    assert status == 200 and b">index.html/<" in page


def test_python_keeps_one_connection(site):
    s = site()
    client = s.client()
    client.connect()
    first = client.sock
    for i in range(200):
        client.request("GET" if i % 3 else "HEAD", "/a.txt" if i % 2 else "/nothing")
        answer = client.getresponse()
        assert answer.status == (200 if i % 2 else 404)
        body = answer.read()
        assert not i % 2 or body == (b"hello\n" if i % 3 else b"")
    assert client.sock is first
    client.close()


NGINX = """daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ }}
http {{ access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  client_max_body_size 100m;
  upstream us {{ server 127.0.0.1:{ours}; keepalive 4; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://us; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_set_header Host localhost; proxy_request_buffering off; }} }} }}
"""


@pytest.fixture
def nginx(tmp_path):
    program, started = needs("nginx"), []

    def start(ours):
        port = free_port()
        config = tmp_path / "nginx.conf"
        config.write_text(NGINX.format(dir=tmp_path, ours=ours, port=port))
        started.append(subprocess.Popen([program, "-p", tmp_path, "-c", config],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

        def listens():
            assert started[0].poll() is None, (tmp_path / "error.log").read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        wait_until(listens, "nginx to listen")
        return port

    yield start
    for process in started:
        process.terminate()
        process.wait(SECONDS)


def test_nginx_before_us(site, nginx, tmp_path):
    curl = needs("curl")
    s = site("put = yes log = \"LOG\"")
    content = random.randbytes(BIG)
    s.write("big.bin", content)
    base = f"http://127.0.0.1:{nginx(s.port)}"
    for _ in range(20):
        assert run(curl, "-fsS", base + "/a.txt").stdout == b"hello\n"
    assert run(curl, "-fsS", base + "/big.bin").stdout == content
    part = tmp_path / "part"
    part.write_bytes(content[:3_000_000])
    assert run(curl, "-fsS", "-T", part, base + "/up.bin").returncode == 0
    assert (s.root / "up.bin").read_bytes() == content[:3_000_000]
    assert run(curl, "-fsS", "-H", "Expect:", "-T", "-", base + "/up.bin",
               input=b"x" * 100_000).returncode == 0
    assert (s.root / "up.bin").read_bytes() == b"x" * 100_000


def test_wrk_meets_no_error(site):
    wrk = needs("wrk")
    s = site()
    said = run(wrk, "-t1", "-c50", "-d1s", s.url("/a.txt")).stdout.decode()
    assert int(re.search(r"(\d+) requests in", said)[1]) > 100
    assert "Non-2xx" not in said and "Socket errors" not in said, said


# Connections

def test_pipelining(site):
    s = site()
    one = b"GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n"
    with s.connect() as c:
        sender = threading.Thread(target=c.sendall, args=(
            one * 2000 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),))
        sender.start()
        answers = read_all(c)
        sender.join()
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 2001
    assert answers.count(b"\r\n\r\nhello\n") == 2001


def test_many_big_ones_in_a_row_to_a_slow_reader(site):
    s = site()
    content = random.randbytes(3_000_000)
    s.write("big.bin", content)
    one = b"GET /big.bin HTTP/1.1\r\nHost: h\r\n\r\n"
    with s.connect() as c:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262144)
        c.sendall(one * 9 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answers = read_all(c)
    assert answers.count(content) == 10


def test_typed_by_hand_with_half_a_connection(site):
    s = site()
    with s.connect() as c:
        c.sendall(b"GET /a.txt HTTP/1.0\n\n")
        c.shutdown(socket.SHUT_WR)
        assert read_all(c).endswith(b"\r\n\r\nhello\n")


def test_a_stop_lets_a_download_end(site):
    s = site()
    content = random.randbytes(BIG)
    s.write("big.bin", content)
    with s.connect() as c, s.connect() as idle:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262144)
        c.sendall(b"GET /big.bin HTTP/1.1\r\nHost: h\r\n\r\n")
        first = c.recv(1000)
        idle.sendall(b"GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n")
        assert idle.recv(1000)
        s.daemon.signal(SIGTERM)
        assert read_all(idle) == b""
        assert (first + read_all(c)).endswith(content[-1000:])
    assert s.daemon.process.wait(SECONDS) == 0


def test_files_that_change_while_they_are_sent(site):
    s = site()
    content = random.randbytes(BIG)
    for name in ("shrinks", "vanishes"):
        s.write(name, content)
    with s.connect() as shrinks, s.connect() as vanishes:
        for c, name in (shrinks, b"shrinks"), (vanishes, b"vanishes"):
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262144)
            c.sendall(b"GET /" + name + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert c.recv(10) == b"HTTP/1.1 2"
        os.truncate(s.root / "shrinks", 5)
        (s.root / "vanishes").unlink()
        assert len(read_all(shrinks)) < BIG
        assert read_all(vanishes).endswith(content[-1000:])
    assert s.get("/shrinks")[1] == content[:5]
    assert s.get("/vanishes")[0] == 404


def test_an_edit_is_seen_at_once(site):
    s = site()
    client = s.client()
    for i in range(300):
        s.write("a.txt", b"%06d" % i)
        client.request("GET", "/a.txt")
        assert client.getresponse().read() == b"%06d" % i
    client.close()


# What must not get through

HEAD = b"GET /a.txt HTTP/1.1\r\nHost: h\r\n"
HOSTILE = {
    "two lengths": (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
    "a length beside chunks":
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "+5": (HEAD + b"Content-Length: +5\r\n\r\nhello", 400),
    "0x5": (HEAD + b"Content-Length: 0x5\r\n\r\nhello", 400),
    "a length beyond 64 bits": (HEAD + b"Content-Length: 18446744073709551616\r\n\r\n", 413),
    "a folded field": (HEAD + b"A: b\r\n c: d\r\n\r\n", 400),
    "a space before a colon": (HEAD + b"A : b\r\n\r\n", 400),
    "a field of 1 MiB": (HEAD + b"A: " + b"a" * (1 << 20), 431),
    "10,000 fields": (HEAD + b"A: b\r\n" * 10000 + b"\r\n", 431),
    "a target of 1 MiB": (b"GET /" + b"a" * (1 << 20), 414),
    "NUL": (b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(site, name):
    s = site()
    request, status = HOSTILE[name]
    answer = s.say(request)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1 and b"Connection: close\r\n" in answer
    assert s.get("/a.txt")[1] == b"hello\n"


def test_paths_lead_nowhere_else(site, tmp_path):
    s = site()
    (tmp_path / "secret").write_text("secret")
    os.symlink("../secret", s.root / "link")
    os.symlink("..", s.root / "up")
    os.symlink("/etc", s.root / "etc")
    for path in ("/../secret", "/%2e%2e/secret", "/dir/../../secret", "/..%2fsecret", "/link",
                 "/up/secret", "/etc/passwd", "/%2e%2e%2fsecret", "/..\\secret", "//../secret",
                 "/dir/%2E%2e/%2e./secret", "/secret%00.txt", "/./../secret"):
        answer = s.say(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 ")), path
        assert b"secret" not in answer.split(b"\r\n\r\n", 1)[1]


def test_who_is_too_slow_is_told(site):
    s = site('put = yes request_timeout = "300ms"')
    with s.connect() as head, s.connect() as body:
        head.sendall(b"GET /a.txt HT")
        body.sendall(b"PUT /new.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
        for c in (head, body):
            assert read_all(c).startswith(b"HTTP/1.1 408 ")
    assert not list(s.root.glob("*new*")) and not list(s.root.glob(".prise*"))


def test_an_idle_connection_ends_in_silence(site):
    s = site('keep_alive = "300ms"')
    with s.connect() as unused, s.connect() as used:
        used.sendall(b"GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n")
        assert read_all(used).endswith(b"hello\n")
        assert read_all(unused) == b""


def test_other_peoples_pages_do_not_ask(site):
    s = site("put = yes")
    for host, origin, status in (("evil.example", None, 421),
                                 ("127.0.0.1", "http://evil.example", 403),
                                 ("localhost", "null", 403)):
        fields = {"Host": host, **({"Origin": origin} if origin else {})}
        assert s.get("/_prise/api/status", **fields)[0] == status
        assert s.get("/new.txt", method="PUT", body=b"x", **fields)[0] == status
    assert not (s.root / "new.txt").exists()


def test_put_is_whole_or_not_at_all(site):
    s = site("put = yes body = 1M")
    s.write("a.txt", b"old")
    with s.connect() as c:
        c.sendall(b"PUT /a.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
        wait_until(lambda: list(s.root.glob(".prise-put.*")), "the PUT to begin")
    wait_until(lambda: not list(s.root.glob(".prise-put.*")), "the half of it to go")
    assert (s.root / "a.txt").read_bytes() == b"old"
    assert s.get("/a.txt", method="PUT", body=b"x" * (1 << 20))[0] == 204
    assert s.get("/a.txt", method="PUT", body=b"x" * ((1 << 20) + 1))[0] == 413
    assert s.get("/dir", method="PUT", body=b"x")[0] == 409
    assert s.get("/none/a.txt", method="PUT", body=b"x")[0] == 404
    tag = s.get("/a.txt")[2]["ETag"]
    assert s.get("/a.txt", method="PUT", body=b"y", If_Match='"other"')[0] == 412
    assert s.get("/a.txt", method="PUT", body=b"y", If_Match=tag)[0] == 204
    assert (s.root / "a.txt").read_bytes() == b"y"


@pytest.mark.parametrize("condition", ["new", "old"])
def test_a_condition_holds_until_the_end_of_a_put(site, condition):
    """Of two who make a file that is not there, or change one they have seen, one is refused."""
    s = site("put = yes")
    fields = b"If-None-Match: *\r\n"
    if condition == "old":
        s.write("it", b"seen")
        fields = b"If-Match: " + s.get("/it")[2]["ETag"].encode() + b"\r\n"
    first, second = s.connect(), s.connect()
    with first, second:
        for c in (first, second):
            c.sendall(b"PUT /it HTTP/1.1\r\nHost: localhost\r\n" + fields
                      + b"Content-Length: 4\r\n\r\nth")
        wait_until(lambda: len(list(s.root.glob(".prise-put.*"))) == 2, "both to begin")
        first.sendall(b"is")
        assert first.recv(65536).split()[1] in (b"201", b"204")
        second.sendall(b"at")
        assert second.recv(65536).split()[1] == b"412"
    assert (s.root / "it").read_bytes() == b"this"
    assert not list(s.root.glob(".prise-put.*"))


def test_put_only_when_told(site):
    s = site()
    status, _, fields = s.get("/new.txt", method="PUT", body=b"x")
    assert status == 405 and "PUT" not in fields["Allow"]


# The log, and changes

def log_lines(path, count):
    def whole():
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return lines if len(lines) >= count else None

    return wait_until(whole, f"{count} lines in {path.name}")


def test_a_line_of_the_log_is_whole_whatever_is_asked(site, tmp_path):
    s = site(f'log = "{tmp_path}/access"')
    target = b"/" + b"\xff" * 8000
    with s.connect() as c:
        c.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert c.recv(65536).startswith(b"HTTP/1.1 4")
    line, = log_lines(tmp_path / "access", 1)
    assert re.search(r'" 4\d\d \d+$', line) and line.count("\\xFF") == 8000


def test_what_was_refused_or_too_slow_has_its_line_in_the_log(site):
    s = site('log = "LOG" put = yes request_timeout = 200ms')
    for rest in (b"Ho", b"Host: a\r\nHost: b\r\n\r\n", b"x" * 20000):
        s.say(b"GET /asked HTTP/1.1\r\n" + rest)
    s.say(b"PUT /put HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf")
    s.say(b"GET /cut")
    said = [re.search(r'"(.*)" (\d+) ', line).groups() for line in log_lines(s.log_path, 5)]
    assert said == [("GET /asked HTTP/1.1", "408"), ("GET /asked HTTP/1.1", "400"),
                    ("GET /asked HTTP/1.1", "431"), ("PUT /put HTTP/1.1", "408"), ("-", "408")]


def test_a_file_from_the_future(site):
    s = site()
    os.utime(s.root / "a.txt", (4e9, 4e9))
    for fields in ({}, {"Range": "bytes=0-1"}):
        headers = s.get("/a.txt", **fields)[2]
        assert headers["Last-Modified"] == headers["Date"]


def test_the_common_log(site):
    s = site('log = "LOG"')
    s.get("/a.txt")
    s.get("/no\"thing")
    s.say(b"\x16\x03\x01")
    lines = log_lines(s.log_path, 3)
    date = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"
    assert re.fullmatch(rf'127\.0\.0\.1 - - {date} "GET /a\.txt HTTP/1\.1" 200 6', lines[0])
    assert re.fullmatch(rf'127\.0\.0\.1 - - {date} "GET /no\\x22thing HTTP/1\.1" 404 \d+', lines[1])
    assert re.fullmatch(rf'127\.0\.0\.1 - - {date} "-" 400 \d+', lines[2])


def test_the_log_as_json_and_anew(site, tmp_path):
    s = site('log = "LOG" log_format = json')
    s.get("/a.txt", User_Agent="me")
    event = json.loads(log_lines(s.log_path, 1)[0])
    assert event["type"] == "http.request" and event["peer"].startswith("127.0.0.1:")
    assert (event["method"], event["target"], event["status"], event["bytes"], event["agent"]) == \
        ("GET", "/a.txt", 200, 6, "me")
    s.log_path.rename(tmp_path / "old.log")
    s.daemon.signal(SIGHUP)
    s.daemon.wait_ready()
    wait_until(s.log_path.exists, "the log to be opened anew")
    s.get("/dir/b.txt")
    assert json.loads(log_lines(s.log_path, 1)[0])["target"] == "/dir/b.txt"
    assert len((tmp_path / "old.log").read_text().splitlines()) == 1


def test_a_new_root(site, tmp_path):
    s = site()
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("other\n")
    client = s.client()
    client.request("GET", "/a.txt")
    assert client.getresponse().read() == b"hello\n"
    s.daemon.config_path.write_text(s.config.replace(str(s.root), str(other)))
    s.daemon.signal(SIGHUP)
    s.daemon.wait_ready()
    wait_until(lambda: s.get("/a.txt")[1] == b"other\n", "the new root")
    client.close()


def test_a_root_outside_of_the_sandbox_is_refused(site):
    s = site()
    if "daemon.unconfined" in s.daemon.log():
        pytest.skip("no sandbox here")
    with tempfile.TemporaryDirectory() as other:
        s.daemon.config_path.write_text(s.config.replace(str(s.root), other))
        s.daemon.signal(SIGHUP)
        s.daemon.wait_log("daemon.reload_failed")
    assert s.get("/a.txt")[1] == b"hello\n"


def test_a_root_that_is_not_there(prise, tmp_path):
    config = tmp_path / "bad.conf"
    config.write_text(f'http {{ listen = "127.0.0.1:{free_port()}" root = "{tmp_path}/none" }}\n')
    done = prise("serve", "-c", config)
    assert done.code == 9 and f"{tmp_path}/none" in done.out + done.err, done


def test_beyond_this_machine_only_when_told(prise):
    done = prise("serve", f"http=*:{free_port()}")
    assert done.code == 2 and "--insecure" in done.err
