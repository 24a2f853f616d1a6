"""`prise dialogue` against `prise serve` and against the course's server (recv(1024), no framing);
from pipes, files and terminals; and against servers that cut, flood, hide, leave or fall silent."""

import os
import pty
import queue
import subprocess

import pytest
from peers import Terminal, close_early, exactly, never_answer, reset, says, to_the_end
from support import free_port, wait_until

ASK = "Votre message ?\n"
HELLO = "Vous êtes connecté au serveur ICI.\n"


def course(heard, pieces=None):
    """The course's server. `pieces` cuts what it says into so many bytes a write."""
    def talk(connection):
        def say(text):
            data = text.encode()
            step = pieces or len(data)
            for at in range(0, len(data), step):
                connection.sendall(data[at:at + step])

        say(HELLO)
        while True:
            say(ASK)
            data = connection.recv(1024)
            if not data:
                raise ConnectionError("the client left without FIN")
            message = data.decode()
            heard.append(message)
            if message.strip().upper() == "FIN":
                break
            say("ECHO : " + message)
        say("Good Bye.")
    return talk


@pytest.fixture
def daemon(serve):
    return serve("dialogue")


def where(daemon):
    return f"127.0.0.1:{daemon.port('dialogue')}"


def test_from_stdin(prise, daemon):
    done = prise("dialogue", where(daemon), stdin="bonjour\nsalut ça va\n")
    assert (done.code, done.err) == (0, "")
    assert done.out == (f"Vous êtes connecté au serveur {where(daemon)}.\n"
                        "ECHO : bonjour\nECHO : salut ça va\nGood Bye.")


def test_host_and_port_apart_and_the_daemon_sees_each_message(prise, serve):
    daemon = serve("dialogue", options=("-v",))
    done = prise("dialogue", "localhost", daemon.port("dialogue"), "-4", stdin="un\ndeux")
    assert done.code == 0
    daemon.wait_log("reçu du client>un.*<")
    daemon.wait_log("reçu du client>deux.*<")


@pytest.mark.parametrize("pieces", [None, 1, 7, 16])
def test_the_course_server_however_it_cuts(prise, peer, pieces):
    heard = []
    done = prise("dialogue", peer(course(heard, pieces)).address,
                 stdin="bonjour\nété\nfin des temps\n")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{HELLO}ECHO : bonjour\nECHO : été\nECHO : fin des temps\nGood Bye."
    assert heard == ["bonjour\n", "été\n", "fin des temps\n", "FIN\n"]


def test_a_prompt_anywhere_in_the_stream(prise, peer):
    def talk(connection):
        connection.sendall(f"sans fin de ligne {ASK}Votre mess".encode())
        assert exactly(connection, 2) == b"a\n"
        connection.sendall(f"age ?! {ASK}".encode())
        assert exactly(connection, 4) == b"FIN\n"
        connection.sendall(b"Good Bye.")

    done = prise("dialogue", peer(talk).address, stdin="a\n")
    assert done.code == 0
    assert done.out == "sans fin de ligne Votre message ?! Good Bye."


@pytest.mark.parametrize("stdin", [b"", b"FIN\n", b"fin\n", b"  Fin \n"])
def test_the_ways_to_end(prise, daemon, stdin):
    done = prise("dialogue", where(daemon), stdin=stdin)
    assert (done.code, done.err) == (0, "") and done.out.endswith(".\nGood Bye.")


def test_what_is_left_when_the_server_ends_the_talk(prise, daemon):
    done = prise("dialogue", where(daemon), stdin="a\n\nb\n")
    assert done.code == 0 and done.out.endswith("ECHO : a\nGood Bye.")
    assert "before everything was sent" in done.err
    assert prise("dialogue", where(daemon), stdin="a\nFIN\n\n \n").err == "", "blanks are nothing"


def test_a_file_and_dev_null_which_no_loop_can_watch(prise, daemon):
    path = prise.directory / "lines"
    path.write_text("un\ndeux\ntrois")
    for file, lines in ((path, ["un", "deux", "trois"]), ("/dev/null", [])):
        with open(file, "rb") as stdin:
            process = prise.start("dialogue", where(daemon), stdin=stdin)
            out, err = process.communicate()
        assert (process.returncode, err) == (0, b"")
        # The last line has its end from us: a message of its own.
        assert out.decode().splitlines()[1:] == [f"ECHO : {line}" for line in lines] + ["Good Bye."]


def test_a_directory_for_stdin(prise, daemon):
    folder = os.open(prise.directory, os.O_RDONLY)
    process = prise.start("dialogue", where(daemon), stdin=folder)
    os.close(folder)
    _, err = process.communicate()
    assert process.returncode == 9 and b"standard input" in err


def test_a_thousand_lines(prise, daemon):
    lines = [f"ligne {i}" for i in range(1000)]
    done = prise("dialogue", where(daemon), stdin="\n".join(lines))
    assert done.code == 0
    assert done.out.splitlines()[1:-1] == [f"ECHO : {line}" for line in lines]


def test_a_line_longer_than_a_message(prise, peer):
    def talk(connection):
        connection.sendall(ASK.encode())
        assert exactly(connection, 8192) == b"x" + "é".encode() * 4095 + b"\n"
        connection.sendall(ASK.encode())
        assert exactly(connection, 4) == "é.\n".encode()
        connection.sendall(ASK.encode())
        assert exactly(connection, 4) == b"FIN\n"
        connection.sendall(b"Good Bye.")

    done = prise("dialogue", peer(talk).address, stdin="x" + "é" * 4096 + ".\n")
    assert done.code == 0
    assert "several messages" in done.err and len(done.err.splitlines()) == 1


def test_a_line_as_long_as_a_message_can_be(prise, peer):
    def talk(connection):
        connection.sendall(ASK.encode())
        assert exactly(connection, 8193) == b"x" * 8192 + b"\n"
        connection.sendall(ASK.encode())
        assert exactly(connection, 4) == b"FIN\n"
        connection.sendall(b"Good Bye.")

    for end in ("", "\n"):
        done = prise("dialogue", peer(talk).address, stdin="x" * 8192 + end)
        assert (done.code, done.err) == (0, "")


def test_stdin_that_says_nothing_blocks_nobody(prise, peer):
    """What the server says is shown at once, and its end is the end."""
    process = prise.start("dialogue", peer(says(f"{HELLO}{ASK}Good Bye.".encode(),
                                                then=close_early)).address)
    assert process.stdout.read().decode() == f"{HELLO}Good Bye."
    assert process.wait() == 0


def test_stdin_stays_as_it_was(prise, daemon):
    ours, theirs = os.pipe()
    process = prise.start("dialogue", where(daemon), stdin=ours)
    process.stdout.readline()
    assert os.get_blocking(ours), "whoever shares it would be surprised"
    os.close(theirs)
    assert process.wait() == 0
    os.close(ours)


def test_what_comes_is_shown_at_once(prise, peer):
    heard = []
    process = prise.start("dialogue", peer(course(heard)).address)
    assert process.stdout.readline().decode() == HELLO
    process.stdin.write(b"un\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ECHO : un\n"
    process.stdin.close()
    process.stdin = None
    assert process.stdout.read() == b"Good Bye." and process.wait() == 0


@pytest.mark.parametrize("talk, code, what", [
    (close_early, 8, "left before"),
    (says(HELLO.encode(), then=close_early), 8, "left before"),
    (says(f"{HELLO}{ASK}".encode(), then=reset), 8, "127.0.0.1"),
    (says(b"Good Bye", then=close_early), 8, "left before"),
    (never_answer, 5, "timed out"),
    (says(HELLO.encode()), 5, "timed out"),
    (says(f"{HELLO}{ASK}".encode()), 5, "timed out"),
])
def test_servers_that_do_it_wrong(prise, peer, talk, code, what):
    limit = "300ms" if code == 5 else "20s"
    done = prise("dialogue", peer(talk).address, "-t", limit, stdin="a\nb\n")
    assert done.code == code and what in done.err, done
    done = prise("dialogue", peer(talk).address, "-t", limit, "--json", stdin="a\nb\n")
    assert done.events[-1]["type"] == "error" and done.events[-1]["code"] == code


def test_a_server_that_asks_on_and_on_after_fin(prise, peer):
    def talk(connection):
        while True:
            connection.sendall(ASK.encode())
            if not connection.recv(1024):
                break

    done = prise("dialogue", peer(talk).address)
    assert done.code == 8 and "does not keep to the protocol" in done.err


def test_nobody_listens_and_wrong_usage(prise):
    done = prise("dialogue", f"127.0.0.1:{free_port()}")
    assert (done.code, done.out) == (4, "") and "prise serve dialogue" in done.err
    assert prise("dialogue").code == 2
    assert prise("dialogue", "127.0.0.1", "70000").code == 2
    assert prise("dialogue", "trucbidule.invalid").code == 3


RUDE = b"\x1b[2Jrouge\x07\r\n\xff \xc3\xa9t\xc3\xa9\tfin\n" + ASK.encode() + b"Good Bye."


def test_stdout_is_data_byte_for_byte(prise, peer):
    done = prise("dialogue", peer(says(RUDE, then=close_early)).address)
    assert done.raw == RUDE.replace(ASK.encode(), b"")


def test_a_terminal_is_protected(prise, peer):
    pieces = [RUDE[i:i + 1] for i in range(len(RUDE))]
    screen = Terminal(prise, "dialogue", peer(says(*pieces, then=close_early)).address)
    assert screen.end() == 0
    assert screen.seen.decode() == ("\\x1b[2Jrouge\\x07\r\n\\xff été\\tfin\r\n"
                                    "Votre message ? Good Bye.\r\n")


def test_a_terminal_gets_whole_characters_however_they_come(prise, peer):
    pieces = queue.Queue()

    def talk(connection):
        for piece in iter(pieces.get, None):
            connection.sendall(piece)

    screen = Terminal(prise, "dialogue", peer(talk).address)
    for piece, shown in ((b"a\xe2\x82", "a"), (b"\xac b\r", "€ b"), (b"\nc\r", "\r\nc"),
                         (b"d\xc3", "\\rd"), (b"e\n", "\\xc3e\r\n"), (b"Good Bye.", "Good Bye.")):
        pieces.put(piece)
        screen.expect(shown)
    pieces.put(None)
    assert screen.end() == 0
    assert screen.seen.decode() == "a€ b\r\nc\\rd\\xc3e\r\nGood Bye.\r\n"


def test_on_a_terminal(prise, peer):
    heard = []
    screen = Terminal(prise, "dialogue", peer(course(heard)).address)
    screen.expect(f"{HELLO.strip()}\r\nVotre message ? ")
    screen.send("bonjour\n")
    screen.expect("ECHO : bonjour\r\nVotre message ? ")
    screen.send("\x04")
    assert screen.end() == 0
    assert screen.seen.endswith(b"\r\nGood Bye.\r\n")
    assert heard == ["bonjour\n", "FIN\n"]


def test_interrupted_on_a_terminal(prise, daemon):
    screen = Terminal(prise, "dialogue", where(daemon))
    screen.expect("Votre message ? ")
    screen.send("\x03")
    assert screen.end() == 130


def test_the_person_may_think_as_long_as_they_like(prise, daemon):
    """-t is the server's time, not the person's."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([prise.path, "dialogue", where(daemon), "-t", "1s"], stdin=theirs,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env=prise.environment) as process:
        process.stdout.readline()
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
            begun = int(stat.read().rsplit(")", 1)[1].split()[19])

        def age():
            with open("/proc/uptime", encoding="ascii") as uptime:
                return float(uptime.read().split()[0]) - begun / os.sysconf("SC_CLK_TCK")

        wait_until(lambda: age() > 2, "twice that")
        assert process.poll() is None
        os.write(ours, b"FIN\n")
        assert process.stdout.read() == b"Good Bye." and process.wait() == 0
    os.close(ours)
    os.close(theirs)


def test_json(prise, peer):
    done = prise("dialogue", peer(course([])).address, "--json", stdin="été\n")
    assert done.code == 0
    assert [(e["type"], e["text"]) for e in done.events] == [
        ("dialogue.text", HELLO.strip()), ("dialogue.prompt", ASK.strip()),
        ("dialogue.text", "ECHO : été"), ("dialogue.prompt", ASK.strip()),
        ("dialogue.text", "Good Bye.")]
    assert all(e["service"] == "dialogue" and e["time"].endswith("Z") for e in done.events)


def test_json_of_lines_without_an_end(prise, peer):
    flood = b"x" * 5000 + b"\xff\r\n"
    done = prise("dialogue", peer(says(flood, then=close_early)).address, "--json")
    *texts, error = done.events
    assert "".join(e["text"] for e in texts) == "x" * 5000 + "\ufffd"
    assert error["code"] == 8


def test_a_flood_is_shown_whole(prise, peer):
    flood = bytes(range(32, 127)) * 50000
    done = prise("dialogue", peer(says(flood, b"\nGood Bye.", then=close_early)).address)
    assert done.code == 0 and done.raw == flood + b"\nGood Bye."


def test_verbose_shows_the_wire(prise, daemon):
    done = prise("dialogue", where(daemon), "-v", stdin="un\n")
    assert "|Good Bye.|" in done.err and f"-> {where(daemon)}" in done.err


def test_stdout_full_or_closed(prise, daemon):
    with open("/dev/full", "wb") as full:
        process = prise.start("dialogue", where(daemon), stdout=full)
        _, err = process.communicate(b"a\nb\n")
    assert process.returncode == 9 and b"standard output" in err
    process = prise.start("dialogue", where(daemon))
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    process.stdin.write(b"a\n")
    process.stdin.flush()
    assert process.wait() == 0
    process.stdin = None
    assert process.stderr.read() == b""


def test_many_at_once(prise, daemon):
    started = [prise.start("dialogue", where(daemon)) for _ in range(20)]
    for number, process in enumerate(started):
        out, _ = process.communicate(f"client {number}\n".encode())
        assert process.returncode == 0
        assert out.decode().splitlines()[1:] == [f"ECHO : client {number}", "Good Bye."]


def test_the_second_waits_while_the_first_is_served(prise, serve):
    """max_connections = 1 is the courses' server: the second client waits its turn."""
    port = free_port()
    serve(config=f'dialogue {{ listen = "127.0.0.1:{port}"  max_connections = 1 }}\n')
    first = prise.start("dialogue", f"127.0.0.1:{port}")
    assert first.stdout.readline()
    second = prise("dialogue", f"127.0.0.1:{port}", "-t", "300ms")
    assert second.code == 5 and "timed out" in second.err
    third = prise.start("dialogue", f"127.0.0.1:{port}", stdin=subprocess.DEVNULL)
    first.communicate(b"")
    out, _ = third.communicate()
    assert third.returncode == 0 and out.endswith(b"Good Bye.")


def test_a_dead_reader_of_the_server(prise, peer):
    """A server that never reads: lines wait, and -t ends it."""
    def talk(connection):
        connection.sendall(ASK.encode())
        to_the_end(connection)

    done = prise("dialogue", peer(talk).address, "-t", "300ms", stdin="a\n" * 1000)
    assert done.code == 5
