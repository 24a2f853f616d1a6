"""prise ip, with services of the test's own."""

import signal
import socket
import time

import box
import pytest
from support import SECONDS, free_port, has_ipv6
from talking import read_until
from webs import NO_PROXIES, Odd, Web, fixed


@pytest.fixture
def ip(prise):
    def run(*words):
        return prise("ip", *words, env=NO_PROXIES)
    return run


def test_an_address(ip):
    with Web(fixed(b"192.0.2.7\n")) as web:
        assert ip("--via", web.url + "/ip").out == "192.0.2.7\n"
    with Web(fixed(b" 2001:db8::0:1 \r\n")) as web:
        assert ip("--via", web.url).out == "2001:db8::1\n"
    assert web.asked[0].path == "/" and web.asked[0].method == "GET"


def test_no_address(ip):
    for body in (b"<html>", b"", b"192.0.2.300", b"192.0.2.7 and more", b"1" * 5000):
        with Web(fixed(body)) as web:
            done = ip("--via", web.url)
        assert done.code == 8 and "no address" in done.err and done.out == ""
    with Web(fixed(b"192.0.2.7", 500)) as web:
        done = ip("--via", web.url)
    assert done.code == 8 and "500" in done.err


def test_of_the_family(ip):
    with Web(fixed(b"2001:db8::1")) as web:
        assert ip("--via", web.url, "-4").code == 3
        assert "other family" in ip("--via", web.url, "-4").err
        assert ip("--via", web.url, "-6").code == 3  # the service has no IPv6 address
    if has_ipv6():
        with Web(fixed(b"2001:db8::1"), host="::1") as web:
            assert ip("--via", web.url, "-6").out == "2001:db8::1\n"


def test_the_first_of_several(ip):
    def silent(s):
        odd.ending.wait(20)
    with Odd(silent) as odd, Web(fixed(b"192.0.2.1")) as web:
        done = ip("--via", odd.url, "--via", web.url)
    assert done.code == 0 and done.out == "192.0.2.1\n"


def test_a_name_server_that_is_silent(prise):
    """The first answer counts, whatever the others wait for; no command outstays its limit."""
    answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n192.0.2.1"
    settings = {"silent": True, "options": "timeout:15", "greet": {"127.0.0.1 7080": answer}}
    begun = time.monotonic()
    first = box.run(prise, settings, "ip", "--via", "http://slow.test/", "--via",
                    "http://127.0.0.1:7080/")
    assert first.code == 0 and first.out == "192.0.2.1\n"
    assert box.run(prise, settings, "get", "-m", "100ms", "http://slow.test/").code == 5
    assert box.run(prise, settings, "daytime", "-t", "100ms", "slow.test").code == 3
    assert time.monotonic() - begun < 12  # each would wait for 15 s


def test_agreement(ip):
    with Web(fixed(b"192.0.2.1")) as a, Web(fixed(b"192.0.2.1")) as b, \
            Web(fixed(b"192.0.2.9")) as c:
        words = ["--via", a.url, "--via", c.url, "--via", b.url]
        assert ip(*words, "--agree", "2").out == "192.0.2.1\n"
        done = ip(*words, "--agree", "3")
        assert done.code == 1 and done.out == ""
        assert f"{c.url} says 192.0.2.9" in done.err and "2 agree" in done.err
        assert ip(*words, "--agree", "4").code == 2
        done = ip(*words, "--agree", "3", "--json")
        last = done.events[-1]
        assert done.code == 1 and last["type"] == "ip.apart"
        assert (last["agreeing"], last["wanted"], last["asked"]) == (2, 3, 3)


def test_one_service_twice(ip):
    with Web(fixed(b"192.0.2.1")) as web:
        assert ip("--via", web.url, "--via", web.url + "/", "--agree", "2").code == 2
        assert ip("--via", web.url, "--via", web.url).out == "192.0.2.1\n"
    assert len(web.asked) == 1


def test_a_mapped_address(ip):
    with Web(fixed(b"192.0.2.1")) as a, Web(fixed(b"::ffff:192.0.2.1")) as b:
        done = ip("--via", a.url, "--via", b.url, "--agree", "2")
    assert done.code == 0 and done.out == "192.0.2.1\n"


def test_errors(ip):
    done = ip("--via", f"http://127.0.0.1:{free_port()}")
    assert done.code == 4 and "nobody listens" in done.err
    with Odd(lambda s: odd.ending.wait(20)) as odd:
        assert ip("--via", odd.url, "-t", "200ms").code == 5
    assert ip("x").code == 2
    assert ip("--via", "ftp://x").code == 2


def test_a_host_that_answered_once_and_then_leaves(prise):
    """Both are sent on to the address that is known by now, where nobody is any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = prise.start("ip", "--agree", "2", "--via", where + "/a", "--via", where + "/b",
                              env=NO_PROXIES)
        asking = [listener.accept()[0] for _ in range(2)]
        for stream in asking:
            read_until(stream, b"\r\n\r\n")
    process.send_signal(signal.SIGSTOP)  # it hears of both at once
    for stream in asking:
        with stream:
            stream.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n"
                           b"Location: " + where.encode() + b"/c\r\n\r\n")
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 1 and said.count(b"nobody listens") == 2


def test_events(ip):
    with Web(fixed(b"192.0.2.1")) as a, Web(fixed(b"192.0.2.1")) as b:
        events = ip("--json", "--agree", "2", "--via", a.url, "--via", b.url).events
    assert [e["type"] for e in events] == ["ip.answer", "ip.answer", "ip.result"]
    assert {e["via"] for e in events[:2]} == {a.url, b.url}
    assert events[2]["address"] == "192.0.2.1"
    assert (events[2]["agreeing"], events[2]["asked"]) == (2, 2)
