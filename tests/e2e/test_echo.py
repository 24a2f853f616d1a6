"""`prise echo` against `prise serve`, Python's socketserver and ncat: a text checked to the byte,
and rounds as ping has them, over TCP and UDP; and against servers that lose, double, turn around,
change, cut off, refuse and fall silent."""

import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import threading

import pytest
from peers import Terminal, close_early, exactly, never_answer, reset, says
from support import SECONDS, free_port, has_ipv6, wait_until


class StreamEcho(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(1024):
            self.request.sendall(data)


class DatagramEcho(socketserver.BaseRequestHandler):
    def handle(self):
        data, server = self.request
        server.sendto(data, self.client_address)


@pytest.fixture
def python():
    """An echo server of socketserver's, for TCP and UDP on one port."""
    port = free_port()
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    servers = [socketserver.ThreadingTCPServer(("127.0.0.1", port), StreamEcho),
               socketserver.UDPServer(("127.0.0.1", port), DatagramEcho)]
    servers[1].max_packet_size = 65536
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield f"127.0.0.1:{port}"
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def daemon(serve):
    return serve("echo")


@pytest.fixture(params=["prise", "python"])
def server(request):
    if request.param == "python":
        return request.getfixturevalue("python")
    return f"127.0.0.1:{request.getfixturevalue('daemon').port('echo')}"


TEXTS = ["bonjour", "ça va ?", " ", "a\nb\n", "\r\n\x1b[31m\x7f", "x" * 60000]


@pytest.mark.parametrize("transport", [[], ["-u"]])
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_comes_back(prise, server, transport, text):
    done = prise("echo", server, text, *transport)
    assert (done.code, done.err) == (0, "")
    assert done.raw == text.encode() + (b"" if text.endswith("\n") else b"\n")


def test_a_text_of_a_hundred_kilobytes(prise, server):
    text = "".join(chr(ord("a") + i % 26) for i in range(100000))
    assert prise("echo", server, text).out == text + "\n"


def test_bytes_that_are_no_utf8(prise, server):
    done = subprocess.run([prise.path, "echo", server, b"\xff\xfe\x01"], capture_output=True,
                          env=prise.environment, check=False)
    assert (done.returncode, done.stdout) == (0, b"\xff\xfe\x01\n")


def test_a_text_several_times(prise, server):
    for transport in ([], ["-u"]):
        done = prise("echo", server, "encore", "-c", 3, "-i", "5ms", *transport)
        assert (done.code, done.out) == (0, "encore\n" * 3)


def test_an_empty_datagram_comes_back(prise, server):
    assert prise("echo", server, "", "-u").code == 0
    assert prise("echo", server, "").code == 2, "over TCP nobody could tell"


def test_ncat(prise):
    ncat = shutil.which("ncat")
    if not ncat:
        pytest.skip("no ncat here")
    port = free_port()
    with subprocess.Popen([ncat, "-l", "-k", "-e", "/bin/cat", "127.0.0.1", str(port)]) as listener:
        try:
            wait_until(lambda: prise("echo", f"127.0.0.1:{port}", "bonjour").code == 0, "ncat")
            done = prise("echo", f"127.0.0.1:{port}", "-c", 3, "-i", "5ms", "-s", "3000")
            assert done.code == 0 and "3 sent, 3 back, 0 lost" in done.out
        finally:
            listener.kill()


def test_both_families(prise, serve):
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    port = free_port()
    serve(f"echo=:{port}")
    for transport in ([], ["-u"]):
        assert "from [::1]" in prise("echo", f"localhost:{port}", "-6", "-c", 1, *transport).out
        assert "from 127.0.0.1" in prise("echo", f"localhost:{port}", "-4", "-c", 1, *transport).out
        assert "from [::1]" in prise("echo", f"[::1]:{port}", "-c", 1, *transport).out


def test_a_name_whose_other_family_listens(prise, python):
    """localhost is ::1 first; over UDP it refuses only after something was sent."""
    port = python.rpartition(":")[2]
    for transport in ([], ["-u"]):
        assert prise("echo", f"localhost:{port}", "hop", *transport).out == "hop\n"
        assert "2 back" in prise("echo", f"localhost:{port}", "-c", 2, "-i", 0, *transport).out


def test_over_a_unix_socket(prise, serve):
    path = prise.directory / "s"
    serve(f"echo=unix:{path}")
    assert prise("echo", f"unix:{path}", "bonjour").out == "bonjour\n"
    assert "2 back" in prise("echo", f"unix:{path}", "-c", 2, "-i", 0).out


@pytest.mark.parametrize("transport", [[], ["-u"]])
def test_rounds_and_their_summary(prise, server, transport):
    done = prise("echo", server, "-c", 5, "-i", "2ms", "-s", 100, *transport)
    assert (done.code, done.err) == (0, "")
    *rounds, blank, summary, quantiles = done.out.splitlines()
    assert len(rounds) == 5 and blank == ""
    for number, line in enumerate(rounds, 1):
        assert line.startswith(f"100 bytes from {server}: round={number} time=")
    assert summary.startswith(f"{server}: 5 sent, 5 back, 0 lost (0.0 %)")
    assert ("0 reordered, 0 duplicates, 0 different" in summary) == bool(transport)
    times = sorted(float(line.split("time=")[1].split()[0]) for line in rounds)
    assert quantiles == (f"round trip: min {times[0]:.3f} ms, median {times[2]:.3f} ms, "
                         f"p99 {times[4]:.3f} ms, max {times[4]:.3f} ms")


@pytest.mark.parametrize("transport", [[], ["-u"]])
def test_json(prise, server, transport):
    done = prise("echo", server, "-c", 3, "-i", 0, "--json", *transport)
    *rounds, summary = done.events
    assert done.code == 0
    assert [(e["type"], e["round"], e["bytes"]) for e in rounds] == [
        ("echo.round", n, 64) for n in (1, 2, 3)]
    times = sorted(e["rtt_us"] for e in rounds)
    assert summary["type"] == "echo.summary"
    assert (summary["sent"], summary["back"], summary["lost"]) == (3, 3, 0)
    assert [summary[f"{name}_us"] for name in ("min", "median", "p99", "max")] == [
        times[0], times[1], times[2], times[2]]


def test_quiet_is_the_summary_alone(prise, server):
    assert len(prise("echo", server, "-c", 2, "-i", 0, "-q").out.splitlines()) == 2


def test_no_interval_is_as_fast_as_it_goes(prise, server):
    for transport in ([], ["-u"]):
        done = prise("echo", server, "-c", 2000, "-i", 0, "-q", *transport)
        assert done.code == 0 and "2000 sent, 2000 back" in done.out


@pytest.mark.parametrize("size", [10, 1472, 65507])
def test_sizes(prise, server, size):
    for transport in ([], ["-u"]):
        done = prise("echo", server, "-c", 1, "-s", size, *transport)
        assert done.code == 0 and done.out.startswith(f"{size} bytes from ")


def test_a_round_of_ten_megabytes(prise, server):
    assert prise("echo", server, "-c", 1, "-s", "10M").code == 0


@pytest.mark.parametrize("transport", [[], ["-u"]])
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_on_and_on_until_interrupted(prise, server, transport, number, code):
    process = prise.start("echo", server, "-i", "10ms", *transport)
    for expected in range(1, 13):
        assert f"round={expected} ".encode() in process.stdout.readline(), "each line at once"
    process.send_signal(number)
    rest = process.stdout.read().decode()
    assert process.wait() == code, "the shell's 128 + n"
    sent, back = map(int, re.search(r"(\d+) sent, (\d+) back", rest).groups())
    assert 0 <= sent - back, "what was under way"
    assert transport or sent - back <= 1
    assert "round trip: min " in rest
    assert process.stderr.read() == b""


def test_interrupted_on_a_terminal(prise, server):
    screen = Terminal(prise, "echo", server, "-i", "10ms")
    screen.expect("round=3 ")
    screen.send("\x03")
    assert screen.end() == 130
    assert b" sent, " in screen.seen


def test_interrupted_while_nothing_comes_back(prise, datagrams):
    silent = datagrams(lambda number, data: [])
    process = prise.start("echo", "-u", silent.address, "-i", "10ms", "--json")
    wait_until(lambda: len(silent.seen) > 2, "rounds")
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert b'"back":0' in process.stdout.read()


@pytest.mark.parametrize("transport", [[], ["-u"]])
def test_interrupted_before_it_is_connected(prise, server, transport):
    def interrupted():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        os.kill(os.getpid(), signal.SIGINT)
    process = prise.start("echo", server, *transport, preexec_fn=interrupted)
    assert process.wait(SECONDS) == 130


def test_the_courses_question_who_is_different(prise, serve):
    """A service that answers, but something else."""
    daemon = serve("upper", "daytime")
    done = prise("echo", f"127.0.0.1:{daemon.port('upper')}", "bonjour")
    assert (done.code, done.out) == (1, "BONJOUR\n")
    assert "something else from offset 0 on" in done.err
    assert prise("echo", f"127.0.0.1:{daemon.port('upper')}", "BON jour").out == "BON JOUR\n"
    done = prise("echo", f"127.0.0.1:{daemon.port('daytime')}", "-u", "bonjour")
    assert done.code == 1 and "-UTC" in done.out
    done = prise("echo", f"127.0.0.1:{daemon.port('daytime')}", "-c", 3)
    assert done.code == 1 and "is different from offset 0 on" in done.out


def different(connection):
    data = exactly(connection, 5)
    connection.sendall(data[:3] + b"X" + data[4:])


def more(connection):
    connection.sendall(exactly(connection, 5) + b"!")
    never_answer(connection)


def cut_off(connection):
    connection.sendall(exactly(connection, 5)[:3])


def line_ends(connection):
    connection.sendall(exactly(connection, 5).replace(b"\n", b"\r\n"))


@pytest.mark.parametrize("talk, code, out, what", [
    (different, 1, "ab\nXd\n", "offset 3"),
    (more, 1, "ab\ncd!\n", "offset 5"),
    (line_ends, 1, "ab\r\ncd\n", "offset 2"),
    (cut_off, 8, "ab\n", "left before"),
    (close_early, 8, "", "127.0.0.1"),
    (reset, 8, "", "reset by the peer"),
    (never_answer, 5, "", "timed out"),
    (says(b"ab"), 5, "ab\n", "timed out"),
])
def test_a_text_to_servers_that_do_it_wrong(prise, peer, talk, code, out, what):
    limit = "20s" if code != 5 else "2s" if out else "300ms"
    done = prise("echo", peer(talk).address, "-t", limit, "ab\ncd")
    assert (done.code, done.out) == (code, out) and what in done.err, done
    limit = "20s" if code != 5 else "300ms"
    done = prise("echo", peer(talk).address, "-t", limit, "--json", "ab\ncd")
    kinds = [e["type"] for e in done.events]
    assert done.code == code
    assert kinds[-1] == ("echo.different" if code == 1 else "error")


@pytest.mark.parametrize("talk, code, back", [
    (close_early, 8, 0), (reset, 8, 0), (never_answer, 5, 0),
    (lambda c: c.sendall(exactly(c, 64)), 8, 1),
    (lambda c: (c.sendall(exactly(c, 64)), never_answer(c)), 5, 1),
    (lambda c: c.sendall(exactly(c, 64)[:-1] + b"#"), 1, 0),
    (lambda c: (c.sendall(exactly(c, 64)), c.sendall(exactly(c, 64)[:-1] + b"#")), 1, 1),
])
def test_rounds_to_servers_that_do_it_wrong(prise, peer, talk, code, back):
    limit = "20s" if code != 5 else "2s" if back else "300ms"
    done = prise("echo", peer(talk).address, "-t", limit, "-i", 0, "-c", 3)
    assert done.code == code, done
    assert done.out.count("time=") == back
    lost = "0 lost (0.0 %), 1 different" if code == 1 else "1 lost"
    assert (f"{back + 1} sent, {back} back, {lost}" in done.out) == (back > 0 or code == 1)
    assert len(done.err.splitlines()) == (2 if code != 1 else 0)


@pytest.mark.parametrize("words", [["hop"], [], ["-c", "3"]])
def test_nobody_listens(prise, words):
    for transport, port in (([], "connection refused"), (["-u"], "port unreachable")):
        for host in ("127.0.0.1", "localhost"):
            done = prise("echo", f"{host}:{free_port()}", *words, *transport)
            assert (done.code, done.out) == (4, "")
            assert port in done.err and "prise serve echo" in done.err


def test_no_such_name(prise):
    for transport in ([], ["-u"]):
        done = prise("echo", "trucbidule.invalid", "hop", *transport)
        assert (done.code, done.out) == (3, "")


def test_udp_a_lost_text_is_sent_again(prise, datagrams):
    """Three times, answered or not; both at once, as each takes seconds."""
    silent = datagrams(lambda number, data: [])
    deaf = datagrams(lambda number, data: [data] if number == 3 else [])
    process = prise.start("echo", "-u", silent.address, "hop", "-t", "3s")
    done = prise("echo", "-u", deaf.address, "hop")  # six seconds unless told
    assert (done.code, done.out) == (0, "hop\n") and len(deaf.seen) == 3
    assert process.wait(SECONDS) == 5 and process.stdout.read() == b""
    wait_until(lambda: silent.seen == [b"hop"] * 3, "three tries")


def test_udp_that_never_answers(prise, datagrams):
    silent = datagrams(lambda number, data: [])
    done = prise("echo", "-u", silent.address, "-c", 2, "-i", "1ms", "-t", "50ms")
    assert done.code == 1, "all lost: no"
    assert "2 sent, 0 back, 2 lost (100.0 %)" in done.out and done.err == ""


def rough(number, data, held):
    """1 twice; 2 behind 3; 4 lost; 5 changed; 6 cut; 7 and a stranger."""
    if number == 2:
        held.append(data)
        return []
    return {1: [data, data], 3: [data, *held], 4: [], 5: [data[:-1] + b"#"], 6: [data[:20]],
            7: [data, b"qui ?"]}.get(number, [data])


def eight_rounds(prise, datagrams, *words):
    """To a rough server; once more where the last did not come back in time."""
    for _ in range(3):
        held = []
        server = datagrams(lambda number, data, held=held: rough(number, data, held))
        done = prise("echo", "-u", server.address, "-c", 8, "-i", "20ms", "-t", "200ms", *words)
        if re.search(r"round\W{1,2}8\b", done.out):
            break
    return done


def test_udp_loss_order_duplicates_and_changes(prise, datagrams):
    done = eight_rounds(prise, datagrams, "--json")
    assert done.code == 1, "something was different"
    summary = done.events[-1]
    assert (summary["sent"], summary["back"], summary["lost"]) == (8, 5, 3)
    assert (summary["reordered"], summary["duplicates"], summary["different"]) == (1, 1, 3)
    late, = [e for e in done.events if e.get("reordered") is True]
    assert late["round"] == 2
    assert [e["round"] for e in done.events if e["type"] == "echo.duplicate"] == [1]
    assert [e["round"] for e in done.events if e["type"] == "echo.different"] == [5, 6, 0]


def test_udp_the_same_for_people(prise, datagrams):
    done = eight_rounds(prise, datagrams)
    assert "round=1 came back once more" in done.out
    assert "(after a later one)" in done.out
    assert "round=5 came back different" in done.out
    assert "something came that is no round" in done.out
    assert "8 sent, 5 back, 3 lost (37.5 %), 1 reordered, 1 duplicates, 3 different" in done.out


def test_udp_some_loss_is_no_failure(prise, datagrams):
    server = datagrams(lambda number, data: [data] if number % 2 else [])
    words = ("echo", "-u", server.address, "-c", 4, "-i", "5ms", "-t", "300ms")
    done = wait_until(lambda: " 2 back" in (one := prise(*words)).out and one, "two in time")
    assert done.code == 0 and "4 sent, 2 back, 2 lost (50.0 %)" in done.out


def test_udp_a_server_that_comes_and_goes(prise):
    """After one answer a refusal is a lost round, and the server may come back."""
    port = free_port()

    def serve_once():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", port))
            s.settimeout(SECONDS)
            data, client = s.recvfrom(2048)
            s.sendto(data, client)

    first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    first.bind(("127.0.0.1", port))
    first.settimeout(SECONDS)
    process = prise.start("echo", "-u", f"127.0.0.1:{port}", "-i", "20ms")
    data, client = first.recvfrom(2048)
    first.sendto(data, client)
    assert b"round=1 time=" in process.stdout.readline()
    first.close()
    assert b"failed: connection refused" in process.stdout.readline()
    serve_once()
    while b" time=" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130 and b" 2 back" in process.stdout.read()


@pytest.mark.parametrize("words, what", [
    ([], "whom to talk to is missing"),
    (["127.0.0.1:1", "deux", "mots"], "mots is too much"),
    (["127.0.0.1:1", "hop", "-s", "20"], "exclude each other"),
    (["127.0.0.1:1", "-s", "9"], "-s 9 is out of range"),
    (["127.0.0.1:1", "-c", "0"], "-c 0 is out of range"),
    (["127.0.0.1:1", "-c", "x"], "-c x is not understood"),
    (["127.0.0.1:1", "-i", "now"], "-i now is not understood"),
    (["127.0.0.1:1", "-u", "-s", "65508"], "a datagram holds 65507 bytes at most"),
    (["127.0.0.1:1", "-u", "x" * 65508], "a datagram holds 65507 bytes at most"),
    (["127.0.0.1:http:1"], "is no address of a peer"),
    (["-4", "-6", "127.0.0.1:1"], "exclude each other"),
])
def test_wrong_usage(prise, words, what):
    done = prise("echo", *words)
    assert (done.code, done.out) == (2, "")
    assert what in done.err and len(done.err.splitlines()) == 2


def test_a_terminal_is_protected(prise, peer):
    screen = Terminal(prise, "echo", peer(says(b"\x1b[31mrouge\x07\r\n", then=close_early)).address,
                      "hop")
    screen.expect("\\x1b[31mrouge\\x07\r\n")
    assert screen.end() == 1
    assert b"\x1b[31mrouge" not in screen.seen


@pytest.mark.parametrize("transport", [[], ["-u"]])
def test_verbose_shows_the_wire(prise, server, transport):
    done = prise("echo", server, "-v", "abc", *transport)
    assert done.out == "abc\n"
    lines = [line for line in done.err.splitlines() if "61 62 63" in line and "|abc|" in line]
    assert [line[0] for line in lines] == [">", "<"]
    assert f"-> {server}" in done.err


@pytest.mark.parametrize("words", [[], ["-u"], ["hop"], ["--json"], ["-u", "--json"]])
def test_stdout_full_or_closed(prise, server, words):
    with open("/dev/full", "wb") as full:
        process = prise.start("echo", server, *words, stdout=full)
        _, err = process.communicate()
    assert process.returncode == 9 and b"standard output" in err
    if "hop" in words:
        return
    process = prise.start("echo", server, "-i", "1ms", *words)
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert process.wait() == 0, "whoever read us has seen enough"
    assert process.stderr.read() == b""


def test_different_is_not_lost(prise, peer):
    done = prise("echo", peer(different).address, "-c", 3)
    assert done.code == 1 and "1 sent, 0 back, 0 lost (0.0 %), 1 different" in done.out
    summary = prise("echo", peer(different).address, "-c", 3, "--json").events[-1]
    assert (summary["sent"], summary["lost"], summary["different"]) == (1, 0, 1)
