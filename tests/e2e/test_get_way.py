"""prise get: https with an authority of the test's own, pins, proxies; other people's servers."""

import base64
import contextlib
import gzip
import hashlib
import os
import re
import resource
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from support import free_port, wait_until
from webs import (BINARY, NO_PROXIES, Odd, Proxy, Web, authority, fixed,
                  get)  # noqa: F401 pylint: disable=unused-import


@pytest.fixture
def trusted(tmp_path):
    """(the environment that trusts the test's authority, a server's context)"""
    ca, context = authority(tmp_path)
    return {"SSL_CERT_FILE": str(ca)}, context


def fingerprint(tmp_path, name="server"):
    key = subprocess.run(["openssl", "x509", "-in", f"{name}.pem", "-noout", "-pubkey"],
                         cwd=tmp_path, capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key,
                         capture_output=True, check=True).stdout
    return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")


# https

def test_https(get, prise, trusted):
    environment, context = trusted
    big = os.urandom(3 << 20)
    with Web(lambda r: (200, {}, big if r.path == "/big" else BINARY), context) as web:
        done = get(web.url + "/1", web.url + "/2", env=environment)
        assert done.code == 0 and done.raw == BINARY * 2 and web.connections == 1
        assert get("-o", "f", web.url + "/big", env=environment).code == 0
        named = get(f"https://localhost:{web.port}/", env=environment)
        assert named.code == 0, named
    assert (prise.directory / "f").read_bytes() == big


def test_https_of_an_unknown_authority(get, trusted):
    _, context = trusted
    with Web(fixed(b"x"), context) as web:
        done = get(web.url)
        assert done.code == 7 and done.out == "" and "signed" in done.err
        assert get("-k", web.url).out == "x"


def test_https_for_another_name(get, tmp_path):
    ca, context = authority(tmp_path, names="DNS:elsewhere.example")
    with Web(fixed(b"x"), context) as web:
        done = get(web.url, env={"SSL_CERT_FILE": str(ca)})
    assert done.code == 7 and "another name" in done.err


def test_pins(get, tmp_path, trusted):
    _, context = trusted
    with Web(fixed(b"x"), context) as web:
        good = get("--pin", fingerprint(tmp_path), web.url)
        bad = get("--pin", "SHA256:" + "A" * 43, web.url)
    assert good.code == 0 and good.out == "x"
    assert bad.code == 7 and bad.out == ""


def test_a_key_that_is_refused_is_named(get, trusted):
    """So that --pin can name it; of several, none is named."""
    _, context = trusted
    with Web(fixed(b"x"), context) as web:
        done = get(web.url)
        shown = re.search(r"--pin (SHA256:\S+) if that is its key", done.err).group(1)
        assert get("--pin", shown, web.url).out == "x"


def test_a_server_that_wants_a_certificate(get, trusted):
    environment, context = trusted
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(environment["SSL_CERT_FILE"])

    def shake(session, s, inward, outward):
        while True:
            try:
                return session.do_handshake()
            except ssl.SSLWantReadError:
                s.sendall(outward.read())
                inward.write(s.recv(65536))

    def talk(s):
        """Its alert is not overtaken by a reset."""
        inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLError):
            shake(context.wrap_bio(inward, outward, server_side=True), s, inward, outward)
        s.sendall(outward.read())
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536):
            pass
    with Odd(talk) as odd:
        done = get(odd.url.replace("http", "https"), env=environment)
    assert done.code == 7 and "wants a certificate of its clients" in done.err
    assert "curl --cert" in done.err and "authorized_keys" not in done.err


@pytest.mark.parametrize("words, code, what, advice", [
    (["https://127.0.0.1:{port}/"], 5, "said nothing in TLS", "http://, if it speaks plainly"),
    (["-x", "http://127.0.0.1:{port}", "https://localhost:1/"], 5, "the proxy 127.0.0.1:{port} ",
     "--proxy ''"),
])
def test_whoever_is_silent_is_named(get, words, code, what, advice):
    def silent(s):
        odd.ending.wait(20)
    with Odd(silent) as odd:
        done = get("-t", "300ms", *[word.format(port=odd.port) for word in words])
    assert done.code == code and what.format(port=odd.port) in done.err and advice in done.err


def test_a_handshake_may_last_as_long_as_it_is_told(get, prise, trusted):
    """-t is the limit, above 10 s and below."""
    def silent(s):
        odd.ending.wait(20)
    with Odd(silent) as odd:
        begun = time.monotonic()
        process = prise.start("daytime", "--tls", "-t", "11s", f"127.0.0.1:{odd.port}")
        short = prise("daytime", "--tls", "-t", "200ms", f"127.0.0.1:{odd.port}")
        assert short.code == 5 and time.monotonic() - begun < 5
        assert process.wait(20) == 5 and time.monotonic() - begun > 10.9


def test_idle_connections_are_not_hoarded(prise):
    """40 hosts with 32 descriptors."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    with Web(fixed(b"x")) as web:
        urls = [f"http://h{i}.localhost:{web.port}/" for i in range(40)]
        done = prise("get", *urls, env=NO_PROXIES, preexec_fn=few)
    assert done.code == 0 and done.out == "x" * 40


def test_https_where_http_is_spoken(get):
    def talk(s):
        s.recv(65536)
        s.sendall(b"HTTP/1.1 400 What?\r\n\r\nplain")
        odd.ending.wait(20)
    with Odd(talk) as odd:
        done = get(odd.url.replace("http", "https"))
    assert done.code == 7 and "TLS" in done.err


def test_https_cut_short(get, trusted):
    """Content that ends with the connection is only whole with a close_notify."""
    environment, context = trusted

    def talk(s):
        with context.wrap_socket(s, server_side=True) as t:
            odd.head(t)
            t.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
            os.close(os.dup(t.fileno()))
            t._sslobj = None  # pylint: disable=protected-access
    with Odd(talk) as odd:
        done = get("-o", "f", odd.url.replace("http", "https"), env=environment)
    assert done.code == 8 and "before the end" in done.err


def test_from_https_to_http_is_said(get, trusted):
    environment, context = trusted
    with Web(fixed(b"plain")) as plain:
        with Web(fixed(b"", 302, Location=plain.url), context) as web:
            done = get("--user", "a:b", web.url, env=environment)
    assert done.out == "plain" and "from https to http" in done.err
    assert "authorization" not in plain.asked[0].fields


def test_timing_of_tls(get, trusted):
    environment, context = trusted
    with Web(fixed(b"x"), context) as web:
        assert "TLS" in get("--timing", web.url, env=environment).err


# Proxies

def test_proxy(get):
    with Web(fixed(b"x")) as web, Proxy() as proxy:
        done = get(web.url + "/p?q", env={"http_proxy": proxy.url})
        assert done.out == "x" and proxy.asked == [f"GET {web.url}/p?q HTTP/1.1"]
        assert get("--proxy", "", web.url, env={"http_proxy": proxy.url}).out == "x"
        assert get(web.url, env={"all_proxy": proxy.url, "no_proxy": "127.0.0.0/8"}).out == "x"
        assert get(web.url, env={"HTTP_PROXY": proxy.url}).out == "x"
        assert len(proxy.asked) == 1
        assert get("--proxy", proxy.url, web.url).out == "x"
        assert len(proxy.asked) == 2
    with Odd(b"HTTP/1.0 200 OK\n\nx") as odd:
        assert get("--bare", "--proxy", odd.url, "http://example.org/p").out == "x"
    assert odd.heads == [b"GET http://example.org/p HTTP/1.0\n\n"]


def test_tunnel(get, trusted):
    environment, context = trusted
    with Web(fixed(BINARY), context) as web, Proxy("Basic bWU6aXQ=") as proxy:
        through = proxy.url.replace("//", "//me:it@")
        done = get(web.url, web.url, env={**environment, "https_proxy": through})
        assert done.code == 0 and done.raw == BINARY * 2
        assert proxy.asked == [f"CONNECT 127.0.0.1:{web.port} HTTP/1.1"]
        done = get(web.url, env={**environment, "https_proxy": proxy.url})
        assert done.code == 7 and "name and a password (407)" in done.err


def test_proxies_that_do_not(get):
    with Odd(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n") as proxy:
        done = get("https://host.invalid/", env={"https_proxy": proxy.url})
    assert done.code == 8 and "makes no tunnel to host.invalid (status 403)" in done.err
    done = get("http://host.invalid/", env={"http_proxy": f"http://127.0.0.1:{free_port()}"})
    assert done.code == 4 and "--proxy ''" in done.err
    done = get("http://host.invalid/", env={"http_proxy": "socks5://x"})
    assert done.code == 2 and "proxy" in done.err


# Other people's servers

@pytest.fixture
def nginx(tmp_path):
    """nginx with /static (ranges), gzip, and /chunked by way of a proxy; its URL."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not program:
        pytest.skip("nginx is not installed")
    port = free_port()
    root = tmp_path / "root"
    root.mkdir()
    (root / "static").write_bytes(BINARY * 20)
    (root / "text.txt").write_text("hello, hello\n" * 1000)
    (tmp_path / "nginx.conf").write_text(f"""
daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; worker_processes 1;
{"user root;" if os.geteuid() == 0 else ""}
events {{}}
http {{
  access_log off; gzip on; gzip_types text/plain; default_type text/plain;
  client_body_temp_path {tmp_path}/t1; proxy_temp_path {tmp_path}/t2;
  fastcgi_temp_path {tmp_path}/t3; uwsgi_temp_path {tmp_path}/t4; scgi_temp_path {tmp_path}/t5;
  server {{
    listen 127.0.0.1:{port}; root {root};
    location /moved {{ return 301 /static; }}
    location /chunked {{ proxy_pass http://127.0.0.1:{port}/text.txt; proxy_http_version 1.1;
      proxy_set_header Accept-Encoding gzip; gunzip on; gzip off; }}
  }}
}}
""")
    process = subprocess.Popen([program, "-p", tmp_path, "-c", tmp_path / "nginx.conf"],
                               stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: subprocess.run(["curl", "-s", "--noproxy", "*", "-o", "/dev/null", url],
                                      check=False).returncode == 0, "nginx")
    yield url
    process.terminate()
    process.wait(10)


def test_nginx(get, prise, nginx):
    assert get(nginx + "/moved").raw == BINARY * 20
    head = get("-i", nginx + "/text.txt").raw
    assert b"Content-Encoding: gzip" in head and head.endswith(b"hello, hello\n")
    raw = get("--raw", "-H", "Accept-Encoding: gzip", nginx + "/text.txt").raw
    assert gzip.decompress(raw) == b"hello, hello\n" * 1000
    chunked = get("-i", "--raw", nginx + "/chunked").raw
    assert b"Transfer-Encoding: chunked" in chunked and chunked.endswith(b"hello, hello\n")
    (prise.directory / "f.part").write_bytes(BINARY[:100])
    tag = [line for line in get("-I", nginx + "/static").out.split("\r\n") if "ETag" in line][0]
    (prise.directory / "f.part.tag").write_text(tag[6:] + "\n")
    assert get("-C", "-o", "f", nginx + "/static").code == 0
    assert (prise.directory / "f").read_bytes() == BINARY * 20


def test_python_s_own(get, tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "f").write_bytes(BINARY)
    port = free_port()
    process = subprocess.Popen(["/usr/bin/python3", "-m", "http.server", str(port), "--bind",
                                "127.0.0.1", "-d", tmp_path / "web"], stderr=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: get(f"127.0.0.1:{port}/f").code == 0, "http.server")
        assert get("--http1.0", f"127.0.0.1:{port}/f", f"127.0.0.1:{port}/f").raw == BINARY * 2
        assert "404" in get(f"127.0.0.1:{port}/g").err
        assert get("--bare", f"127.0.0.1:{port}/f").raw == BINARY
    finally:
        process.terminate()
        process.wait(10)


def test_max_time_is_for_all_tries(get):
    with Odd(lambda s: odd.ending.wait(20)) as odd:
        begun = time.monotonic()
        done = get("-m", "1s", "--retry", "5", odd.url)
    assert done.code == 5 and time.monotonic() - begun < 9
    assert "--max-time" in done.err


def test_who_takes_what_is_sent_is_not_silent(get, prise):
    """An upload may take longer than -t, as long as it goes on."""
    (prise.directory / "up").write_bytes(bytes(6 << 20))

    def talk(s):
        head = odd.head(s)
        if b"100-continue" in head:
            s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = (6 << 20) - len(head.partition(b"\r\n\r\n")[2])
        while left > 0 and not odd.ending.wait(0.05):  # four seconds in all
            left -= len(s.recv(min(left, 80000), socket.MSG_WAITALL))
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        s.recv(1)
    with Odd(talk) as odd:
        odd.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        done = get("-t", "3s", "-X", "PUT", "-d", "@up", odd.url)
    assert done.code == 0 and done.out == "ok"


def test_a_host_of_ones_own_is_for_the_first_host(get):
    with Web(fixed(b"there")) as far:
        with Web(fixed(b"", 302, Location=far.url)) as near:
            assert get("-H", "Host: other.test", near.url).out == "there"
    assert near.asked[0].fields["host"] == "other.test"
    assert far.asked[0].fields["host"] == f"127.0.0.1:{far.port}"


def test_a_length_of_ones_own_is_the_only_one(get):
    with Odd(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as odd:
        assert get("-H", "Content-Length: 3", "-d", "abc", odd.url).code == 0
    assert odd.heads[0].lower().count(b"content-length") == 1
