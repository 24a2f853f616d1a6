"""`prise connect` against ncat, netcat, socat, telnet's options and Python's sockets."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time

import pexpect
import pytest

from support import SECONDS, free_port, has_ipv6, wait_until
from talk import (MIB, Server, cross, noise, peer, read_until, receive_all,  # noqa: F401
                  receive_until, wait_listening)

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240


def echo(sock):
    total = 0
    while piece := sock.recv(65536):
        sock.sendall(piece)
        total += len(piece)
    return total


def test_both_ways_and_half_close(prise, serve):
    port = serve("echo").port("echo")
    data = noise(MIB)
    done = prise("connect", "127.0.0.1", port, stdin=data)
    assert done.code == 0 and done.raw == data and done.err == ""


@pytest.mark.parametrize("words", [("127.0.0.1", "{}"), ("127.0.0.1:{}",), ("localhost:{}",),
                                   (":{}",), ("-4", "localhost", "{}")])
def test_addresses(prise, serve, words):
    port = serve("echo").port("echo")
    done = prise("connect", *[word.format(port) for word in words], stdin="bonjour")
    assert done.code == 0 and done.out == "bonjour"


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6")
def test_ipv6(prise, serve):
    port = free_port()
    serve(f"echo=[::1]:{port}")
    assert prise("connect", f"[::1]:{port}", stdin="six").out == "six"
    assert prise("connect", "-4", f"[::1]:{port}").code == 3


def test_unix_socket(prise):
    path = str(prise.directory / "sock")
    server = Server(echo, socket.AF_UNIX, path)
    done = prise("connect", f"unix:{path}", stdin=noise(100000))
    assert done.code == 0 and done.raw == noise(100000)
    assert server.ended() == 100000
    assert prise("connect", f"unix:{prise.directory}/none").code == 9


# 1 MiB of random bytes each way at once; the third party is the server.
THIRD_PARTIES = {
    "ncat": ("ncat", "-l", "127.0.0.1", "{port}"),
    "nc": ("nc", "-l", "127.0.0.1", "{port}"),
    "socat": ("socat", "-t1", "STDIO", "TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr"),
}


@pytest.mark.parametrize("name", THIRD_PARTIES)
@pytest.mark.parametrize("options", [(), ("-v",)], ids=["spliced", "copied"])
def test_third_parties(prise, peer, name, options):
    port = free_port()
    there = peer(*[word.format(port=port) for word in THIRD_PARTIES[name]])
    wait_listening(port)
    process = prise.start("connect", "127.0.0.1", port, *options, stderr=subprocess.DEVNULL)
    cross(process, there)
    process.stdin.close()
    assert process.wait(SECONDS) == 0


def both_at_once(sock, data):
    """Says data and then ends its half, while it hears the other to its end."""
    def say():
        sock.sendall(data)
    saying = threading.Thread(target=say)
    saying.start()
    heard = receive_all(sock)
    saying.join(SECONDS)
    return heard


@pytest.mark.parametrize("near", ["pipe", "file", "append", "socket"])
def test_every_kind_of_stdin_and_stdout(prise, near):
    said, answer = noise(MIB, 4), noise(MIB, 5)
    server = Server(lambda sock: both_at_once(sock, answer))
    path = prise.directory / "in"
    path.write_bytes(said)
    out_path = prise.directory / "out"
    command = [prise.path, "connect", f"127.0.0.1:{server.port}"]
    if near == "pipe":
        got = prise(*command[1:], stdin=said).raw
    elif near == "socket":
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(SECONDS)
            process = prise.start(*command[1:], stdin=theirs, stdout=theirs)
            theirs.close()
            saying = threading.Thread(target=lambda: (ours.sendall(said),
                                                      ours.shutdown(socket.SHUT_WR)))
            saying.start()
            got = receive_all(ours)
            saying.join(SECONDS)
            assert process.wait(SECONDS) == 0
    else:
        with open(path, "rb") as stdin, open(out_path, "ab" if near == "append" else "wb") as out:
            done = subprocess.run(command, stdin=stdin, stdout=out, check=False, timeout=SECONDS,
                                  env=prise.environment)
        assert done.returncode == 0
        got = out_path.read_bytes()
    assert got == answer
    assert server.ended() == said


def test_the_flags_of_what_a_shell_lends_are_left_alone(prise, serve):
    port = serve("echo").port("echo")
    reader, writer = os.pipe()
    out_reader, out_writer = os.pipe()
    os.write(writer, b"bonjour")
    process = prise.start("connect", "127.0.0.1", port, stdin=reader, stdout=out_writer)
    assert os.read(out_reader, 100) == b"bonjour"
    assert os.get_blocking(reader) and os.get_blocking(out_writer)
    os.close(writer)
    assert process.wait(SECONDS) == 0
    assert os.get_blocking(reader) and os.get_blocking(out_writer)
    for fd in (reader, out_reader, out_writer):
        os.close(fd)


def test_the_peer_ends_first(prise, serve):
    port = serve("daytime").port("daytime")
    process = prise.start("connect", "127.0.0.1", port)  # its stdin stays open
    assert process.wait(SECONDS) == 0
    assert b"-UTC" in process.stdout.read()


def test_a_peer_that_resets(prise):
    def reset(sock):
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    done = prise("connect", f"127.0.0.1:{Server(reset).port}", stdin="x")
    assert done.code == 8 and "reset" in done.err


def test_a_peer_that_does_not_read_holds_us_back(prise):
    let_go = threading.Event()

    def deaf(sock):
        assert let_go.wait(SECONDS)
        return len(receive_all(sock))

    server = Server(deaf)
    process = prise.start("connect", f"127.0.0.1:{server.port}")
    os.set_blocking(process.stdin.fileno(), False)
    total = 0
    while select.select([], [process.stdin], [], 0.5)[1]:
        total += os.write(process.stdin.fileno(), bytes(65536))
        assert total < 64 * MIB, "nothing holds it back"
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    assert resident < 200 * 1024
    let_go.set()
    process.stdin.close()
    assert process.wait(SECONDS) == 0
    assert server.ended() == total


@contextlib.contextmanager
def full_queue():
    """A port that drops whatever comes: it listens, and its queue is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port
        for filler in fillers:
            filler.close()


def test_exit_codes(prise):
    refused = prise("connect", f"127.0.0.1:{free_port()}")
    assert refused.code == 4 and "refused" in refused.err
    unknown = prise("connect", "trucbidule.invalid:7777")
    assert unknown.code == 3
    with full_queue() as port:
        late = prise("connect", "-t", "300ms", f"127.0.0.1:{port}")
        assert late.code == 5 and "timed out" in late.err
    assert prise("connect", "255.255.255.255:7777").code in (6, 9)
    assert prise("connect").code == 2
    assert prise("connect", "127.0.0.1").code == 2
    assert prise("connect", "127.0.0.1", "7", "8").code == 2


def test_silence_times_out(prise):
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = prise("connect", "-t", "300ms", f"127.0.0.1:{server.getsockname()[1]}")
    assert done.code == 5 and "fell silent" in done.err


def test_stdout_that_is_full_closed_or_left(prise, serve):
    port = serve("chargen").port("chargen")
    command = f"{prise.path} connect 127.0.0.1:{port}"

    def shell(line):
        return subprocess.run(["sh", "-c", line], capture_output=True, check=False,
                              timeout=SECONDS, env=prise.environment)

    if os.path.exists("/dev/full"):
        full = shell(command + " </dev/null >/dev/full")
        assert full.returncode == 9 and b"standard output" in full.stderr
    closed = shell(command + " </dev/null >&-")
    assert closed.returncode == 9 and b"standard output" in closed.stderr
    left = shell(f"({command} </dev/null; echo code $? >&2) | head -c 10")
    assert len(left.stdout) == 10 and b"code 0" in left.stderr
    assert shell(command + " <&- | head -c 10").stdout
    assert shell(f"yes | {command} | head -c 10").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(prise, serve, number):
    port = serve("echo").port("echo")
    process = prise.start("connect", "127.0.0.1", port)
    process.stdin.write(b"x")
    process.stdin.flush()
    read_until(process.stdout, b"x")
    process.send_signal(number)
    assert process.wait(SECONDS) == 128 + number


def test_a_signal_while_it_connects(prise):
    with full_queue() as port:
        process = prise.start("connect", f"127.0.0.1:{port}")
        wait_until(lambda: f":{port:04X} 02" in open("/proc/net/tcp", encoding="ascii").read(),
                   "a connection under way")
        wait_until(lambda: signal_is_caught(process.pid), "the handler")
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130


def signal_is_caught(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        blocked = next(line.split()[1] for line in status if line.startswith("SigBlk"))
    return int(blocked, 16) & 1 << (signal.SIGINT - 1)


def test_crlf(prise):
    server = Server(receive_all)
    assert prise("connect", "--crlf", f"127.0.0.1:{server.port}", stdin="a\nb\r\nc").code == 0
    assert server.ended() == b"a\r\nb\r\nc"


def test_source(prise):
    port = free_port()
    server = Server(lambda sock: sock.getpeername())
    done = prise("connect", "--source", f"127.0.0.9:{port}", f"127.0.0.1:{server.port}")
    assert done.code == 0 and server.ended() == ("127.0.0.9", port)
    server = Server(lambda sock: sock.getpeername())
    done = prise("connect", "--source", f":{port}", f"127.0.0.1:{server.port}")
    assert done.code == 0 and server.ended() == ("127.0.0.1", port)
    assert prise("connect", "--source", "192.0.2.1", "127.0.0.1:7").code == 9
    assert prise("connect", "--source", "nonsense:x", "127.0.0.1:7").code == 2


def test_only_testing(prise, serve):
    port, nobody = serve("echo").port("echo"), free_port()
    assert prise("connect", "-z", "127.0.0.1", port).code == 0
    assert prise("connect", "-z", f"127.0.0.1:{nobody}").code == 4
    several = prise("connect", "-z", "127.0.0.1", port, nobody)
    assert several.code == 1
    assert several.out.splitlines() == [f"127.0.0.1:{port} open",
                                        f"127.0.0.1:{nobody} connection refused"]
    ranged = prise("connect", "-z", "--json", "127.0.0.1", f"{port}-{port}", port)
    assert ranged.code == 0 and [e["state"] for e in ranged.events] == ["open", "open"]
    assert prise("connect", "-z", "127.0.0.1", "9-5").code == 2
    assert prise("connect", "-z", "trucbidule.invalid", "1-3").code == 3
    assert prise("connect", "-z", "-u", "127.0.0.1", port).code == 0
    assert prise("connect", "-z", "-u", "127.0.0.1", nobody).code == 4


def test_udp(prise, serve):
    port = serve("echo").port("echo")
    words = ("connect", "-u", "--wait", "300ms", "127.0.0.1", port)
    done = wait_until(lambda: (one := prise(*words, stdin="un datagramme\n")).out and one,
                      "an answer within that time")
    assert done.code == 0 and done.out == "un datagramme\n"
    refused = prise("connect", "-u", f"127.0.0.1:{free_port()}", stdin="x")
    assert refused.code == 4 and "port unreachable" in refused.err
    assert prise("connect", "-u", "-w", "10ms", "127.0.0.1", port).code == 0


def test_answers_are_waited_for_a_second_unless_told(prise):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        begin = time.monotonic()
        assert prise("connect", "-u", f"127.0.0.1:{silent.getsockname()[1]}", stdin="x").code == 0
        assert time.monotonic() - begin >= 1


def bound(family, host, port):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((host, port))
    s.settimeout(SECONDS)
    return s


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6")
@pytest.mark.parametrize("words", [[], ["--crlf"], ["--json"], ["-v"]])
def test_datagrams_of_a_name_whose_first_address_refuses(prise, words):
    """localhost is ::1 first: what was refused there goes to 127.0.0.1, and what follows too."""
    port = free_port()
    end = b"\r\n" if words == ["--crlf"] else b"\n"
    with bound(socket.AF_INET, "127.0.0.1", port) as server:
        process = prise.start("connect", "-u", "-w", "300ms", *words, f"localhost:{port}")
        for text in (b"one", b"two"):
            process.stdin.write(text + b"\n")
            process.stdin.flush()
            data, client = server.recvfrom(65536)
            assert data == text + end
            server.sendto(data, client)
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, err
    if words == ["--json"]:
        events = [json.loads(line) for line in out.splitlines()]
        peers = [e["peer"].rpartition(":")[0] for e in events if e["type"] == "conn.open"]
        assert peers == ["[::1]", "127.0.0.1"]
        assert [e["why"] for e in events if e["type"] == "conn.close"] == ["refused", "none"]
    else:
        assert out == b"one" + end + b"two" + end
    assert prise("connect", "-z", "-u", "localhost", port).code == 4
    with bound(socket.AF_INET, "127.0.0.1", port):
        assert prise("connect", "-z", "-u", "-w", "10ms", "localhost", port).code == 0


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6")
def test_who_has_answered_and_then_refuses_is_the_peer(prise):
    port = free_port()
    with bound(socket.AF_INET, "127.0.0.1", port) as other:
        with bound(socket.AF_INET6, "::1", port) as server:
            process = prise.start("connect", "-u", f"localhost:{port}")
            process.stdin.write(b"one\n")
            process.stdin.flush()
            data, client = server.recvfrom(65536)
            server.sendto(data, client)
            assert read_until(process.stdout, b"one\n") == b"one\n"
        process.stdin.write(b"two\n")
        process.stdin.flush()
        assert process.wait(SECONDS) == 4 and b"port unreachable" in process.stderr.read()
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.recv(65536)


def test_a_datagram_is_a_read_and_an_empty_one_no_end(prise):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(SECONDS)
        process = prise.start("connect", "-u", "-w", "300ms",
                              f"127.0.0.1:{server.getsockname()[1]}")
        for text in (b"one\n", b"two\n"):
            process.stdin.write(text)
            process.stdin.flush()
            data, client = server.recvfrom(65536)
            assert data == text
        server.sendto(b"", client)
        server.sendto(noise(65507), client)
        assert read_until(process.stdout, noise(65507)) == noise(65507)
        process.stdin.close()
        assert process.wait(SECONDS) == 0


def test_json(prise, serve):
    port = serve("echo").port("echo")
    done = prise("connect", "--json", f"127.0.0.1:{port}", stdin="é\n".encode() + b"\xff")
    opened, *data, closed = done.events
    assert opened["type"] == "conn.open" and opened["peer"] == f"127.0.0.1:{port}"
    assert "".join(e["text"] for e in data) == "é\n\ufffd"
    assert closed["type"] == "conn.close" and closed["in_bytes"] == closed["out_bytes"] == 4


def test_the_wire_is_shown(prise, serve):
    port = serve("echo").port("echo")
    done = prise("connect", "-v", f"127.0.0.1:{port}", stdin="salut")
    assert done.out == "salut"
    assert "> " in done.err and "73 61 6c 75 74" in done.err and f"-> 127.0.0.1:{port}" in done.err


def negotiate(sock):
    """A telnet server's opening: options of every kind, a subnegotiation, then a prompt."""
    sock.sendall(bytes([IAC, DO, 24, IAC, WILL, 1, IAC, SB, 31, 0, 80, IAC, IAC, IAC, SE,
                        IAC, WONT, 3, IAC, DONT, 5]) + b"login\xff\xff: \r\0\r\n")
    heard = receive_until(sock, b"\n")
    sock.sendall(b"bye\r\n")
    return heard + receive_all(sock)


def test_telnet(prise):
    server = Server(negotiate)
    process = prise.start("connect", "--telnet", f"127.0.0.1:{server.port}")
    got = read_until(process.stdout, b"\r\n")
    assert got == b"login\xff: \r\r\n"
    process.stdin.write(b"a\xffb\n")
    process.stdin.close()
    assert read_until(process.stdout, b"\n") == b"bye\r\n"
    assert process.wait(SECONDS) == 0
    assert server.ended() == bytes([IAC, WONT, 24, IAC, DONT, 1]) + b"a\xff\xffb\r\n"


def test_telnet_is_tcp_only(prise):
    done = prise("connect", "--telnet", "-u", "127.0.0.1", "7")
    assert done.code == 2 and "TCP" in done.err


def test_telnet_on_a_terminal(prise, serve):
    port = serve("echo").port("echo")
    child = pexpect.spawn(prise.path, ["connect", "--telnet", f"127.0.0.1:{port}"],
                          env=prise.environment, timeout=SECONDS, encoding="utf-8")
    child.sendline("bonjour")
    child.expect("bonjour\r\n.*bonjour")  # the terminal's echo, and the server's
    child.sendcontrol("]")
    child.expect("prise telnet> ")
    child.sendline("status")
    child.expect(f"connected to 127.0.0.1:{port} .*bytes received")
    child.sendline("encore")
    child.expect("encore\r\n.*encore")
    child.send("mid")
    child.sendcontrol("]")
    child.expect("prise telnet> ")
    child.sendline("quit")
    child.expect(pexpect.EOF)
    assert child.before.strip().endswith("quit")  # and nothing else is said
    child.wait()
    assert child.exitstatus == 0


@pytest.mark.parametrize("key,code", [("sendeof", 0), ("sendintr", 130)])
def test_a_terminal_and_its_end(prise, serve, key, code):
    port = serve("echo").port("echo")
    child = pexpect.spawn(prise.path, ["connect", f"127.0.0.1:{port}"], env=prise.environment,
                          timeout=SECONDS, encoding="utf-8")
    child.sendline("bonjour")
    child.expect("bonjour\r\n.*bonjour")
    getattr(child, key)()
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == code


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6")
@pytest.mark.parametrize("source, host", [("::1", "127.0.0.1"), ("127.0.0.1", "::1"),
                                          ("[::1]:0", "127.0.0.1")])
def test_a_source_of_the_other_family(prise, source, host):
    done = prise("connect", "--source", source, host, free_port())
    assert done.code != 0 and "of another family" in done.err and "leave out" not in done.err


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6")
def test_a_source_without_brackets(prise):
    server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    with server:
        done = prise("connect", "-z", "--source", "::1", "::1", server.getsockname()[1])
        assert done.code == 0, done


def test_the_hint_of_loopback_also_for_loopback(prise):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = prise("connect", "127.0.0.2", port)
        assert done.code == 4 and f"localhost:{port}: it listens there" in done.err
        assert f"any:{port}" in done.err
    done = prise("connect", "127.0.0.2", port)
    assert done.code == 4 and "it listens there" not in done.err


@pytest.mark.parametrize("words", [["daytime", "-u"], ["time", "-u"], ["echo", "-u"],
                                   ["connect", "-u"], ["connect", "-z", "-u"]])
def test_the_hint_of_loopback_for_datagrams(prise, words):
    """Also where nothing that is sent to find out could be an order."""
    port = free_port()
    with bound(socket.AF_INET, "127.0.0.1", port) as server:
        done = prise(*words, f"127.0.0.2:{port}", *["hop"] * ("echo" in words), stdin="hop")
        assert done.code == 4 and "(port unreachable)" in done.err, done
        assert f"localhost:{port}: it listens there" in done.err and f"any:{port}" in done.err
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(65536)
    done = prise(*words, f"127.0.0.2:{port}", *["hop"] * ("echo" in words), stdin="hop")
    assert done.code == 4 and "it listens there" not in done.err


def test_a_path_where_nobody_listens(prise):
    done = prise("daytime", "unix:/nope")
    assert done.code == 9 and "there is no socket unix:/nope" in done.err
    assert "ss -lx" in done.err
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(prise.directory / "left"))
    done = prise("daytime", "unix:left")
    assert done.code == 4 and "ss -lx" in done.err and "HOST:PORT" not in done.err


@pytest.mark.root
def test_what_nobody_may_do_has_advice_of_its_own(prise):
    """The firewall has nothing to do with a port below 1024 or with the mode of a path."""
    os.chmod(prise.directory, 0o755)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(prise.directory / "sock"))
        s.listen()
        os.chmod(prise.directory / "sock", 0o600)
        program = os.open(prise.path, os.O_RDONLY)
        for words, advice in ((("unix:sock",), "ls -l"),
                              (("--source", "127.0.0.1:80", "127.0.0.1", "9"), "--source")):
            done = subprocess.run([f"/proc/self/fd/{program}", "connect", *words], user=65534,
                                  group=65534, extra_groups=[], pass_fds=(program,),
                                  capture_output=True, text=True, check=False,
                                  cwd=prise.directory, env=prise.environment)
            assert done.returncode == 9 and advice in done.stderr, done
            assert "nft" not in done.stderr
        os.close(program)


@pytest.mark.root
def test_only_loopback_is_up(prise):
    script = f"ip link set lo up; exec {prise.path} daytime 192.0.2.1"
    done = subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True,
                          text=True, env={**os.environ, **prise.environment}, check=False)
    assert done.returncode == 6 and "has no route to 192.0.2.1:7013" in done.stderr
    assert "-4" not in done.stderr and "ip route" in done.stderr


def test_no_limit_is_written_where_it_is_given(prise):
    text = " ".join(prise("help", "connect").out.split())
    assert "before telling the peer; 0: for ever" in text and "0: as without -t" in text


def test_progress_of_a_file_that_comes_back(prise):
    """The share is of the file, whatever else passes the other way."""
    size = 8 * MIB
    path = prise.directory / "big"
    path.write_bytes(noise(size))
    sent = threading.Event()

    def slow(sock):
        total = 0
        while piece := sock.recv(65536):
            total += len(piece)
            sock.sendall(piece)
            if total > size // 2:
                sent.wait(SECONDS)

    server = Server(slow)
    child = pexpect.spawn("/bin/sh", ["-c", f"exec {prise.path} connect 127.0.0.1 {server.port} "
                                            f"< {path} > /dev/null"],
                          timeout=SECONDS, env=prise.environment)
    child.expect(rb"(\d+) %")
    first = int(child.match[1])
    sent.set()
    child.expect(pexpect.EOF)
    assert first <= 100
    assert all(int(share) <= 100 for share in re.findall(rb"(\d+) %", child.before))


def test_progress_of_many_ports(prise):
    """Lines that go to a file say nothing to whoever waits."""
    with full_queue() as port:  # the second port keeps it waiting
        child = pexpect.spawn("/bin/sh", ["-c", f"exec {prise.path} connect -z 127.0.0.1 "
                                                f"{free_port()} {port} > /dev/null"],
                              timeout=SECONDS, env=prise.environment)
        child.expect(rb"(\d+)  (\d+)/s  (\d+) %")
        assert (int(child.match[1]), int(child.match[3])) == (1, 50)
        child.sendintr()
        child.expect(pexpect.EOF)
