"""The daemon between hosts: losses, addresses of its own, manners towards strangers, peers that
vanish."""

import contextlib
import os
import re
import socket
import struct
import time

import pytest
from support import SECONDS, wait_until
from talking import ask, burst, configured, descriptors, expect, read_all, read_exactly, read_until

pytestmark = pytest.mark.root
STANDARD = {"echo": 7, "discard": 9, "daytime": 13, "qotd": 17, "chargen": 19, "time": 37}
KEEPALIVE_S = 15  # 5 s idle, then two probes 5 s apart; and the most that data may be unanswered


def connect(host, port, address):
    with host:
        return socket.create_connection((address, port), SECONDS)


def datagrams(host, port, address):
    with host:
        s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(SECONDS)
    s.connect((address, port))
    return s


def test_one_packet_in_ten_is_lost(net, serve):
    """Echo and dialogue lose nothing, and mix nothing up."""
    server, client = net.host(1), net.host(2)
    with server:
        daemon = serve("echo=any:7777", "dialogue=any:2003")
    for host in (server, client):
        host.filter("meta l4proto tcp numgen random mod 10 0 drop")
    data = os.urandom(150_000)
    with connect(client, 7777, server.v4) as echo, connect(client, 2003, server.v6) as dialogue:
        echo.sendall(data)
        echo.shutdown(socket.SHUT_WR)
        read_until(dialogue, b"Votre message ?\n")
        for number in range(30):
            dialogue.sendall(f"message {number} é".encode())
            expect(dialogue, f"ECHO : message {number} éVotre message ?\n")
        dialogue.sendall(b"FIN")
        assert read_all(dialogue) == b"Good Bye."
        assert read_all(echo) == data
    assert daemon.process.poll() is None


def test_datagrams_are_answered_from_the_address_that_was_asked(net, serve):
    server, client = net.host(1), net.host(2)
    others = ["10.77.0.100", "10.77.0.200", "fd77::100", "fd77::200"]
    for address in others:
        server.address(address + ("/64" if ":" in address else "/24"))
    server.run("ip", "address", "add", "192.0.2.7/32", "dev", "lo")
    client.run("ip", "route", "add", "192.0.2.7/32", "via", server.v4)
    with server:
        serve("echo=any:7777", "daytime=any:7013")
    for address in [server.v4, server.v6, *others, "192.0.2.7"]:
        with datagrams(client, 7777, address) as s:  # a connected socket hears that address alone
            assert ask(s, b"you?") == b"you?", address
        with datagrams(client, 7013, address) as s:
            assert ask(s, b"").endswith(b"-UTC\r\n"), address


def test_a_source_beyond_loopback_has_a_bucket_of_its_own(net, serve):
    """Whatever its ports, and however many loops answer them."""
    server, client, other = net.host(1), net.host(2), net.host(3)
    with server:
        daemon = configured(serve, {"": "loops = 4", "http": "",
                                    "echo": 'listen = "any:PORT"\nudp_rate = 1\nudp_burst = 20'})
    for host, address in (client, server.v4), (other, server.v4), (client, server.v6):
        with contextlib.ExitStack() as held:
            senders = [held.enter_context(datagrams(host, daemon.port("echo"), address))
                       for _ in range(60)]
            began = time.monotonic()
            with server:
                answered = burst(daemon, "echo", senders)
            assert 20 <= answered <= 21 + time.monotonic() - began, (host.name, address)


def test_standard_ports(net, serve):
    host = net.host(1)
    with host:
        serve(options=["--standard-ports", *STANDARD])
        for name, port in STANDARD.items():
            for address in ("127.0.0.1", "::1"):
                with socket.create_connection((address, port), SECONDS) as s:
                    s.sendall(b"x")
                    if name != "discard":
                        assert s.recv(1)
        with datagrams(host, 13, "::1") as s:
            assert ask(s, b"").endswith(b"-UTC\r\n")


def test_guess_terse_gives_every_answer_a_write_of_its_own(net, serve):
    """Seen from the wire: one segment an answer, also when several numbers came in one."""
    with net.host(1):
        daemon = configured(serve, {"guess": "terse = yes"})
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        with wire, daemon.connect("guess") as s:
            wire.bind(("lo", 0x0800))
            wire.settimeout(SECONDS)
            s.sendall(b"9000000000000000000\n")
            s.sendall(b"1\n1\n1\n")
            expect(s, "plusplusplus")
            segments = []
            while len(segments) < 3:
                packet, where = wire.recvfrom(65536)
                head = (packet[0] & 15) * 4
                source, = struct.unpack_from("!H", packet, head)
                data = packet[head + (packet[head + 12] >> 4) * 4:]
                if where[2] != socket.PACKET_OUTGOING and source == daemon.port("guess") and data:
                    segments.append(data)
    assert segments == [b"plus"] * 3


@pytest.mark.parametrize("way", ["any:7777", "7777", "localhost:7777"])
def test_ipv6_off(net, serve, way):
    host = net.host(1)
    host.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    with host:
        daemon = serve(f"echo={way}", "daytime=7013")
        with socket.create_connection(("127.0.0.1", 7777), SECONDS) as s:
            s.sendall(b"over IPv4")
            expect(s, "over IPv4")
        with datagrams(host, 7777, "127.0.0.1") as s:
            assert ask(s, b"so too") == b"so too"
    assert "[::1]" not in daemon.log()


def test_ipv6_off_and_only_ipv6_wanted(net, prise):
    host = net.host(1)
    host.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    with host:
        done = prise("serve", "echo=[::1]:7777")
    assert done.code in (6, 9) and "[::1]:7777" in done.err


def test_data_beyond_loopback_only_if_insecure(net, prise, serve):
    """inbox and role: not without the word, and with it they are reached, and say so loudly."""
    server, client = net.host(1), net.host(2)
    with server:
        for name in ("inbox", "role"):
            for address in ("any:0", server.v4 + ":0", f"[{server.v6}]:0"):
                done = prise("serve", f"{name}={address}")
                assert done.code == 2 and "--insecure" in done.err
        daemon = serve("inbox=any:6001", "role=any:9001", options=["--insecure"])
    assert daemon.log().count("INSECURE: inbox") and daemon.log().count("INSECURE: role")
    with connect(client, 9001, server.v6) as role, connect(client, 6001, server.v4) as inbox:
        expect(role, "principal")
        inbox.sendall(b"from afar")
    daemon.wait_log("from afar")


def test_loopback_is_not_reached_from_elsewhere(net, serve):
    server, client = net.host(1), net.host(2)
    with server:
        serve("echo=7777")
    for address in (server.v4, server.v6):
        with pytest.raises(ConnectionRefusedError):
            connect(client, 7777, address)


def test_a_principal_that_vanishes_without_a_word(net, serve):
    """Its cable is out, and it never said anything: keepalive finds out. A living one stays for
    ever."""
    server, first, second = (net.host(n) for n in (1, 2, 3))
    with server:
        daemon = serve("role=any:9001", options=["--insecure"])
    held = descriptors(daemon)
    with connect(first, 9001, server.v4) as one, connect(second, 9001, server.v6) as two:
        expect(one, "principal")
        expect(two, "secondaire")
        began = time.monotonic()
        first.cut()
        two.settimeout(3 * KEEPALIVE_S)
        expect(two, "principal")
        assert time.monotonic() - began < 2 * KEEPALIVE_S + 5
        wait_until(lambda: descriptors(daemon) == held + 1, "the vanished to be closed")
        two.setblocking(False)
        with pytest.raises(BlockingIOError):
            two.recv(1)


def queue_up(stack, host, address, word):
    """A plain client of role that has been told this."""
    client = stack.enter_context(connect(host, 9001, address))
    expect(client, word)
    return client


def test_a_principal_that_had_vanished_before_it_was_one(net, serve):
    """Its word stays unanswered, and while that is so keepalive does not ask: the kernel would
    send it again for a quarter of an hour."""
    server, first, second, third = (net.host(n) for n in (1, 2, 3, 4))
    with server:
        serve("role=any:9001", options=["--insecure"])
    with contextlib.ExitStack() as stack:
        one, _, three = (queue_up(stack, host, server.v4, word) for host, word in
                           ((first, "principal"), (second, "secondaire"), (third, "secondaire")))
        second.cut()
        one.close()
        three.settimeout(3 * KEEPALIVE_S)
        expect(three, "principal")


def test_a_stalled_reader_is_cut_off_by_its_idle_time(net, serve):
    """A peer whose cable is out in the middle of an answer costs its queue for no longer than
    that."""
    server, client, other = net.host(1), net.host(2), net.host(3)
    with server:
        daemon = configured(serve, {"chargen": 'listen = "any:PORT"\nidle = "3s"'})
    held = descriptors(daemon)
    with connect(client, daemon.port("chargen"), server.v4) as s:
        read_exactly(s, 100_000)
        client.cut()
        with connect(other, daemon.port("chargen"), server.v4) as alive:
            read_exactly(alive, 1_000_000)
        wait_until(lambda: descriptors(daemon) == held, "the descriptor to be given back")


@pytest.mark.parametrize("where, held", [
    ("localhost:0", "127.0.0.1"), ("localhost:0", "::1"), ("[::1]:0", "::1"), ("any:0", "0.0.0.0"),
    ("any:0", "::")])
def test_a_port_of_the_kernels_choice_is_free_for_udp_too(net, serve, where, held):
    """It chooses for TCP, and first of all a few of its range: those are others' for UDP here."""
    server = net.host(1)
    server.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40019")
    family = socket.AF_INET6 if ":" in held else socket.AF_INET
    with contextlib.ExitStack() as kept:
        with server:
            others = [kept.enter_context(socket.socket(family, socket.SOCK_DGRAM))
                      for _ in range(15)]
        for port, other in enumerate(others, 40000):
            if family == socket.AF_INET6:
                other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            other.bind((held, port))
        with server:
            daemon = serve(f"echo={where}")
        rows = re.findall(r"^echo +(tcp|udp) +(\S+):(\d+) ", daemon.log(), re.M)
        assert len(rows) == (2 if where == "[::1]:0" else 4), daemon.log()
        assert all(40000 <= int(port) < 40020 for _, _, port in rows), rows
        for _, host, port in rows:
            if (":" in host) == (family == socket.AF_INET6):
                assert int(port) >= 40015, rows
