"""`prise listen` against ncat, netcat, socat, telnet and Python's sockets."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading

import pytest

from support import SECONDS, free_port, has_ipv6, wait_until
from talk import (MIB, cross, dial, listen, need, noise, peer, read_exactly,  # noqa: F401
                  read_until, reading, receive_all, receive_until)

THIRD_PARTIES = {
    "ncat": ("ncat", "127.0.0.1", "{port}"),
    "nc": ("nc", "127.0.0.1", "{port}"),
    "socat": ("socat", "-t1", "STDIO", "TCP:127.0.0.1:{port}"),
    "prise": None,
}


@pytest.mark.parametrize("name", THIRD_PARTIES)
@pytest.mark.parametrize("options", [(), ("-k",)], ids=["one", "keep"])
def test_third_parties(prise, peer, name, options):
    server, port = listen(prise, *options)
    command = THIRD_PARTIES[name] or (prise.path, "connect", "127.0.0.1:{port}")
    client = peer(*[word.format(port=port) for word in command])
    cross(server, client)
    client.kill() if options else client.stdin.close()
    if options:
        server.send_signal(signal.SIGINT)
        assert server.wait(SECONDS) == 130
    else:
        server.stdin.close()
        assert server.wait(SECONDS) == 0


def test_one_client_and_then_nobody_listens(prise):
    server, port = listen(prise)
    with dial(port) as client:
        client.sendall(b"first\n")
        assert read_until(server.stdout, b"first\n")
        with pytest.raises(ConnectionRefusedError):
            dial(port)
        server.stdin.write(b"answer")
        server.stdin.close()
        assert receive_all(client) == b"answer"  # and the end of our half
        client.sendall(b"last")
    assert server.wait(SECONDS) == 0
    assert server.stdout.read() == b"last"


def test_the_client_s_end_is_ours(prise):
    server, port = listen(prise)  # its stdin stays open
    dial(port).close()
    assert server.wait(SECONDS) == 0


def test_an_empty_stdin_does_not_close_our_half(prise):
    server, port = listen(prise, stdin=subprocess.DEVNULL)
    data = noise(MIB)
    got = reading(server.stdout)
    assert prise("connect", f"127.0.0.1:{port}", stdin=data).code == 0
    assert got() == data
    assert server.wait(SECONDS) == 0


def test_loopback_has_both_families(prise):
    port = free_port()
    server = prise.start("listen", port, "-k")
    seen = read_until(server.stderr, b"listening on [::1]" if has_ipv6() else b"127.0.0.1")
    assert f"listening on 127.0.0.1:{port}".encode() in seen
    dial(port).close()
    if has_ipv6():
        dial(port, "::1").close()


def test_a_port_of_the_kernel_s_choice(prise):
    server = prise.start("listen", "127.0.0.1:0")
    port = int(read_until(server.stderr, b"\n").rsplit(b":", 1)[1])
    with dial(port) as client:
        client.sendall(b"x")
    assert server.stdout.read() == b"x"


def test_unix_socket(prise):
    path = prise.directory / "sock"
    server = prise.start("listen", f"unix:{path}")
    read_until(server.stderr, b"listening on unix:")
    got = reading(server.stdout)
    assert prise("connect", f"unix:{path}", stdin=noise(MIB)).code == 0
    assert got() == noise(MIB)
    assert server.wait(SECONDS) == 0 and not path.exists()


def test_a_port_in_use_names_who_holds_it(prise):
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        done = prise("listen", f"127.0.0.1:{port}")
        assert done.code == 9 and f"process {os.getpid()} " in done.err
        assert prise("listen", f"{port}").code == 9
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        done = prise("listen", "-u", f"127.0.0.1:{held.getsockname()[1]}")
        assert done.code == 9 and f"process {os.getpid()} " in done.err


def test_a_udp_port_of_another_prise_is_not_shared(prise):
    held, port = listen(prise, "-u")
    for words in ("listen", "-u", f"127.0.0.1:{port}"), ("serve", f"echo=127.0.0.1:{port}"):
        done = prise(*words)
        assert done.code == 9 and f"process {held.pid} (prise)" in done.err, done


def test_exit_codes(prise):
    assert prise("listen", "-t", "100ms", "127.0.0.1:0").code == 5
    assert prise("listen", "192.0.2.1:7777").code == 9
    assert prise("listen", "trucbidule.invalid:7777").code == 3
    assert prise("listen").code == 2
    assert prise("listen", "127.0.0.1", "7777").code == 2
    assert prise("listen", "70000").code == 2
    assert prise("listen", "--chat", "--exec", "cat", "0").code == 2
    assert prise("listen", "-u", "--chat", "0").code == 2


def test_stdout_that_is_full(prise):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    for options in ((), ("-k",), ("-u",)):
        with open("/dev/full", "wb") as full:
            server, port = listen(prise, *options, stdout=full)
        if "-u" in options:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"x", ("127.0.0.1", port))
        else:
            with dial(port) as client:
                client.sendall(b"x")
                assert server.wait(SECONDS) == 9
        assert server.wait(SECONDS) == 9
        assert b"standard output" in server.stderr.read()


@pytest.mark.parametrize("options", [(), ("-k",), ("-u",), ("--exec", "cat"), ("--chat",)])
def test_interrupted(prise, options):
    server, _ = listen(prise, *options)
    server.send_signal(signal.SIGINT)
    assert server.wait(SECONDS) == 130


def test_keep_is_many_at_once(prise):
    server, port = listen(prise, "-k")
    with contextlib.ExitStack() as all_of_them:
        clients = [all_of_them.enter_context(dial(port)) for _ in range(200)]
        for number, client in enumerate(clients):
            client.sendall(f"{number:04}\n".encode())
        got = read_exactly(server.stdout, 5 * 200).split()
        assert sorted(got) == [f"{number:04}".encode() for number in range(200)]
        server.stdin.write(b"to all\n")
        server.stdin.flush()
        for client in clients:
            assert receive_until(client, b"\n") == b"to all\n"
    assert server.poll() is None


def test_keep_sends_a_file_to_whoever_is_there_and_ends_its_half(prise):
    path = prise.directory / "file"
    path.write_bytes(noise(MIB))
    with open(path, "rb") as stdin:
        server, port = listen(prise, "-k", stdin=stdin)
    with dial(port) as client:
        assert receive_all(client) == noise(MIB)
        client.sendall(b"thanks")
    assert read_exactly(server.stdout, 6) == b"thanks"
    with dial(port) as late:
        assert receive_all(late) == b""


def test_keep_lets_a_slow_stdout_hold_clients_back(prise):
    server, port = listen(prise, "-k")
    data = noise(8 * MIB)
    with dial(port) as client:
        sending = threading.Thread(target=client.sendall, args=(data,))
        sending.start()
        sending.join(0.3)
        assert sending.is_alive()  # nobody has read a byte of our stdout
        assert read_exactly(server.stdout, len(data)) == data
        sending.join(SECONDS)


def test_a_client_that_does_not_read_is_dropped(prise):
    server, port = listen(prise, "-k")
    with dial(port) as deaf, dial(port) as other:
        deaf.sendall(b"d")
        other.sendall(b"o")
        read_exactly(server.stdout, 2)
        data = noise(32 * MIB)

        def send():
            with contextlib.suppress(BrokenPipeError):
                server.stdin.write(data)
                server.stdin.close()

        sending = threading.Thread(target=send)
        sending.start()
        assert receive_all(other) == data
        sending.join(SECONDS)
        assert b"does not read" in read_until(server.stderr, b"dropped")


def test_udp_keeps_senders_apart(prise):
    server, port = listen(prise, "-u")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two:
        for sender, text in ((one, b"un\n"), (two, b"deux\n"), (two, b"encore\n")):
            sender.settimeout(SECONDS)
            sender.sendto(text, ("127.0.0.1", port))
            assert read_until(server.stdout, b"\n") == text
        server.stdin.write(b"to the last\n")
        server.stdin.flush()
        assert two.recv(100) == b"to the last\n"
        one.sendto(b"", ("127.0.0.1", port))
        one.sendto(noise(65507), ("127.0.0.1", port))
        assert read_exactly(server.stdout, 65507) == noise(65507)
        server.stdin.write(b"to one\n")
        server.stdin.flush()
        assert one.recv(100) == b"to one\n"
        said = read_until(server.stderr, f"from 127.0.0.1:{two.getsockname()[1]}:\n".encode())
        while said.count(b"from 127.0.0.1") < 3:
            said += read_until(server.stderr, b"\n")
        ports = [int(line.strip(b":").rsplit(b":", 1)[1]) for line in said.splitlines()]
        assert ports == [sock.getsockname()[1] for sock in (one, two, one)]


def test_udp_answers_from_the_address_that_was_asked(prise):
    server, port = listen(prise, "-u", host="*")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(SECONDS)
        client.connect(("127.0.0.2", port))  # hears nobody else
        client.send(b"hello\n")
        assert read_until(server.stdout, b"\n") == b"hello\n"
        server.stdin.write(b"from there\n")
        server.stdin.flush()
        assert client.recv(100) == b"from there\n"


def test_udp_with_third_parties(prise, peer):
    server, port = listen(prise, "-u", "-k")
    clients = [peer("nc", "-u", "127.0.0.1", port), peer("ncat", "-u", "127.0.0.1", port),
               peer("socat", "STDIO", f"UDP:127.0.0.1:{port}")]
    for number, client in enumerate(clients):
        client.stdin.write(b"%d\n" % number)
        client.stdin.flush()
        assert read_until(server.stdout, b"\n") == b"%d\n" % number
    server.stdin.write(b"to all\n")
    server.stdin.flush()
    for client in clients:
        assert read_until(client.stdout, b"\n") == b"to all\n"


def test_exec_is_a_process_a_client(prise, peer):
    server, port = listen(prise, "-k", "--exec", "cat")
    data = noise(MIB)
    for options in ((), ("-v",)):
        done = prise("connect", *options, f"127.0.0.1:{port}", stdin=data)
        assert done.code == 0 and done.raw == data
    client = peer("ncat", "127.0.0.1", port)
    out, _ = client.communicate(b"bonjour", SECONDS)
    assert out == b"bonjour"
    with contextlib.ExitStack() as all_of_them:
        clients = [all_of_them.enter_context(dial(port)) for _ in range(20)]
        for client in clients:
            client.sendall(b"x")
        assert all(client.recv(1) == b"x" for client in clients)
    assert server.poll() is None


def test_exec_knows_the_addresses(prise):
    server, port = listen(prise, "--exec", "echo $PRISE_REMOTE $PRISE_LOCAL")
    with dial(port) as client:
        near = "{}:{}".format(*client.getsockname())
        assert receive_all(client).decode() == f"{near} 127.0.0.1:{port}\n"
    assert server.wait(SECONDS) == 0


def test_exec_that_ends_early_loses_nothing(prise):
    server, port = listen(prise, "--exec", "echo whole; exit 3")
    with dial(port) as client:
        client.sendall(noise(100000))  # which nobody reads
        assert receive_all(client) == b"whole\n"
    assert server.wait(SECONDS) == 0


def test_exec_that_forks_is_stopped_with_its_children(prise):
    path = prise.directory / "pid"
    server, port = listen(prise, "--exec", f"sleep 1000 & echo $! > {path}; echo done")
    with dial(port) as client:
        assert receive_all(client) == b"done\n"
    assert server.wait(SECONDS) == 0
    wait_until(lambda: not is_running(path), "the child's end")


def is_running(path):
    """Whether the process whose number the file holds runs, other than as a zombie."""
    try:
        with open(f"/proc/{path.read_text().strip()}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_interrupt_stops_the_commands(prise):
    path = prise.directory / "pid"
    server, port = listen(prise, "-k", "--exec", f"echo $$ > {path}; echo up; sleep 1000")
    with dial(port) as client:
        receive_until(client, b"up\n")
        server.send_signal(signal.SIGINT)
        assert server.wait(SECONDS) == 130
        assert not is_running(path)


def test_exec_s_stderr_is_ours_and_the_wire_can_be_seen(prise):
    server, port = listen(prise, "-v", "--exec", "tr a-z A-Z; echo aside >&2")
    with dial(port) as client:
        client.sendall(b"salut")
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b"SALUT"
    assert server.wait(SECONDS) == 0
    said = server.stderr.read()
    assert b"aside" in said and b"73 61 6c 75 74" in said and b"53 41 4c 55 54" in said


def test_chat(prise, peer):
    server, port = listen(prise, "--chat")
    one = dial(port)
    heard = receive_until(one, b"nobody.\n")
    assert b"<announce> 127.0.0.1 is connected as <user1>.\n" in heard
    two = peer("ncat", "127.0.0.1", port)
    assert b"already connected: 127.0.0.1 as <user1>." in read_until(two.stdout, b"<user1>.\n")
    three = dial(port)
    receive_until(three, b"already connected")
    receive_until(one, b"<user3>.\n")
    read_until(two.stdout, b"<user3>.\n")
    one.sendall("sal".encode())
    one.sendall("ut à tous\r\nun\x1b[2J escape\n".encode())
    wanted = "<user1> salut à tous\n<user1> un\\x1b[2J escape\n".encode()
    assert read_until(two.stdout, b"escape\n") == wanted
    assert receive_until(three, b"escape\n").endswith(wanted)
    two.stdin.write(b"from ncat\n")
    two.stdin.flush()
    assert receive_until(one, b"ncat\n") == b"<user2> from ncat\n"  # and nothing of its own
    server.stdin.write(b"from here\n")
    server.stdin.flush()
    assert receive_until(one, b"here\n") == b"<user0> from here\n"
    assert b"<user2> from ncat\n" in read_until(server.stdout, b"<user2> from ncat\n")
    three.close()
    assert receive_until(one, b"disconnected.\n") == b"<announce> <user3> is disconnected.\n"
    one.close()


def test_the_real_telnet(prise, peer):
    need("telnet")
    server, port = listen(prise)
    client = peer("telnet", "127.0.0.1", port)
    read_until(client.stdout, b"Connected to")
    client.stdin.write(b"bonjour\n")
    client.stdin.flush()
    assert read_until(server.stdout, b"\n") in (b"bonjour\n", b"bonjour\r\n")
    server.stdin.write(b"salut\n")
    server.stdin.flush()
    assert b"salut" in read_until(client.stdout, b"salut")


def events_of(process, count):
    got = b""
    while got.count(b"\n") < count:
        got += read_until(process.stdout, b"\n")
    return [json.loads(line) for line in got.splitlines()]


@pytest.mark.parametrize("options", [(), ("-k",), ("--chat",), ("-u",)])
def test_json(prise, options):
    port = free_port()
    server = prise.start("listen", f"127.0.0.1:{port}", "--json", *options)
    opened, = events_of(server, 1)
    assert opened["type"] == "listen.open" and opened["address"] == f"127.0.0.1:{port}"
    kind = socket.SOCK_DGRAM if "-u" in options else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as client:
        client.settimeout(SECONDS)
        client.connect(("127.0.0.1", port))
        client.sendall("é\n".encode())
        near = "{}:{}".format(*client.getsockname())
        come, said = events_of(server, 2)
    assert come["type"] == "conn.open" and come["peer"] == near and come["conn"] == 1
    assert said["type"] == "conn.data" and said["text"] == "é\n" and said["peer"] == near
    if "-u" in options:
        server.send_signal(signal.SIGINT)  # only its own end ends a sender
    gone, = events_of(server, 1)
    assert gone["type"] == "conn.close" and gone["in_bytes"] == 3 and gone["conn"] == 1


@pytest.mark.parametrize("options, advice", [
    (("{port}",), "ss -ltn"), (("-u", "{port}"), "ss -lun"), (("unix:sock",), "ss -lx")])
def test_nobody_comes(prise, options, advice):
    words = [word.format(port=free_port()) for word in options]
    done = prise("listen", *words, "-t", "50ms")
    assert done.code == 5 and "nobody came to" in done.err
    assert advice in done.err.splitlines()[-1]
