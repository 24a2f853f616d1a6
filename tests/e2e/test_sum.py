"""`prise sum` against `prise serve` and against a server as the courses write it, with Python's own
pickle.loads, in every protocol; and against servers that do it wrong."""

import os
import pickle
import subprocess

import pytest
from peers import close_early, exactly, never_answer, reset, says
from support import free_port

PROTOCOLS = range(6)


def adder(seen):
    """The course's server: a length, a pickle, the sum. Keeps what came in `seen`."""
    def talk(connection):
        size = int.from_bytes(exactly(connection, 4), "little")
        data = exactly(connection, size)
        numbers = pickle.loads(data)
        seen.append((data, numbers))
        connection.sendall((sum(numbers) & 0xffffffff).to_bytes(4, "little"))
    return talk


@pytest.fixture
def daemon(serve):
    return serve("sum")


def where(daemon):
    return f"127.0.0.1:{daemon.port('sum')}"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("numbers", [[], [7], [1, 2, 3],
                                     [300, 70000, -5, 2**31, 2**31 + 1, -2**31]])
def test_every_protocol(prise, daemon, peer, protocol, numbers):
    seen = []
    course = peer(adder(seen))
    words = ["--pickle", protocol, "--", *numbers]
    for address in (where(daemon), course.address):
        done = prise("sum", address, *words)
        assert (done.code, done.out, done.err) == (0, f"{sum(numbers)}\n", "")
    assert seen == [(pickle.dumps(numbers, protocol), numbers)], "as Python would have sent it"


def test_protocol_3_unless_told(prise, peer):
    seen = []
    assert prise("sum", peer(adder(seen)).address, 1, 2).out == "3\n"
    assert seen[0][0] == pickle.dumps([1, 2], 3)


def test_all_in_one_write(prise, peer):
    pieces = []

    def talk(connection):
        pieces.append(connection.recv(65536))
        connection.sendall(b"\6\0\0\0")

    assert prise("sum", peer(talk).address, 1, 2, 3).out == "6\n"
    data = pickle.dumps([1, 2, 3], 3)
    assert pieces == [len(data).to_bytes(4, "little") + data]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_seventy_thousand_numbers_from_stdin(prise, daemon, peer, protocol):
    numbers = list(range(-30000, 40000))
    text = " ".join(map(str, numbers))
    seen = []
    for address in (where(daemon), peer(adder(seen)).address):
        done = prise("sum", address, "--pickle", protocol, stdin=text)
        assert (done.code, done.out) == (0, f"{sum(numbers)}\n")
    assert seen[0][1] == numbers


def test_stdin_has_any_white_space(prise, daemon):
    assert prise("sum", where(daemon), stdin=" 1\t2\r\n\n3\v4\f+5 007").out == "22\n"
    assert prise("sum", where(daemon), stdin="").out == "0\n"


def test_the_bounds_of_an_answer(prise, daemon):
    assert prise("sum", where(daemon), 2**32 - 1).out == "4294967295\n"
    assert prise("sum", where(daemon), "--", 2**63 - 1, -2**63, 5).out == "4\n"
    for numbers, side in (([2**32], "above"), ([1, -2], "below 0")):
        done = prise("sum", where(daemon), "--", *numbers)
        assert (done.code, done.out) == (8, "")
        assert "left before" in done.err and "from 0 to 4294967295" in done.err
        assert side in done.err


@pytest.mark.parametrize("words, what", [
    (["abc"], "'abc' is no whole number"),
    (["1", ""], "'' is no whole number"),
    (["1.5"], "'1.5' is no whole number"),
    (["1e3"], "'1e3' is no whole number"),
    (["1,2"], "'1,2' is no whole number"),
    (["9223372036854775808"], "'9223372036854775808' is out of range"),
    (["--", "-9223372036854775809"], "'-9223372036854775809' is out of range"),
    (["-5"], "negative numbers stand behind --"),
    (["--pickle", "6", "1"], "--pickle 6 is out of range"),
    (["\x1b[31m"], "'\\x1b[31m' is no whole number"),
])
def test_what_is_no_number(prise, words, what):
    done = prise("sum", "127.0.0.1:1", *words)
    assert (done.code, done.out) == (2, "")
    assert what in done.err and len(done.err.splitlines()) == 2


@pytest.mark.parametrize("text, what", [
    ("1 2 x 4", "standard input, number 3: 'x' is no whole number"),
    ("1 99999999999999999999", "number 2: '99999999999999999999' is out of range"),
    ("7" * 5000, "out of range"),
    ("0" * 64 + "9", "standard input, number 1: '000"),
    ("x" * 65, "is no whole number"),
    ("1 2\0", "number 2: '2\\x00' is no whole number"),
    (b"\xff\xfe", "'\\xff\\xfe' is no whole number"),
])
def test_what_is_no_number_on_stdin(prise, text, what):
    done = prise("sum", "127.0.0.1:1", stdin=text)
    assert (done.code, done.out) == (2, "")
    assert what in done.err and len(done.err.splitlines()) == 2


def test_stdin_that_cannot_be_read(prise):
    folder = os.open(prise.directory, os.O_RDONLY)
    process = prise.start("sum", "127.0.0.1:1", stdin=folder)
    os.close(folder)
    out, err = process.communicate()
    assert (process.returncode, out) == (9, b"") and b"standard input" in err


def test_no_host_and_no_server(prise):
    assert prise("sum").code == 2
    done = prise("sum", f"127.0.0.1:{free_port()}", 1)
    assert (done.code, done.out) == (4, "") and "prise serve sum" in done.err
    assert prise("sum", "trucbidule.invalid", 1).code == 3


@pytest.mark.parametrize("talk, code, what", [
    (close_early, 8, "127.0.0.1"),
    (reset, 8, "reset by the peer"),
    (never_answer, 5, "timed out"),
    (says(b"\1\0\0", then=close_early), 8, "127.0.0.1"),
    (says(b"\1\0\0\0\0"), 8, "does not keep to the protocol"),
    (says(b"HTTP/1.1 400 Bad Request\r\n"), 8, "does not keep to the protocol"),
])
def test_servers_that_do_it_wrong(prise, peer, talk, code, what):
    done = prise("sum", peer(talk).address, "-t", "500ms", 1)
    assert (done.code, done.out) == (code, "") and what in done.err
    assert "4294967295" not in done.err, "1 does fit"
    done = prise("sum", "--json", peer(talk).address, "-t", "500ms", 1)
    event, = done.events
    assert event["type"] == "error" and event["code"] == code == done.code


def test_a_server_that_leaves_after_the_length(prise, peer):
    done = prise("sum", peer(lambda connection: exactly(connection, 18)).address, 1, 2, 3)
    assert done.code == 8 and "left before" in done.err


def test_an_answer_in_pieces_or_without_an_end(prise, peer):
    assert prise("sum", peer(says(b"\1", b"\2", b"\3", b"\4")).address, 1).out == "67305985\n"


def test_patience_ends_without_t_too(prise, peer):
    """Ten seconds of silence are enough, whichever command waits."""
    silent = peer(never_answer).address
    started = [prise.start(*words, stdin=subprocess.DEVNULL) for words in (
        ("sum", silent, "1"), ("echo", silent, "hop"), ("guess", silent, "--max", "3"))]
    for process in started:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (5, b"") and b"timed out" in err


def test_json_and_verbose(prise, daemon):
    done = prise("sum", where(daemon), "--json", 1, 2)
    event, = done.events
    assert event["type"] == "sum.answer" and event["sum"] == 3 and event["service"] == "sum"
    done = prise("sum", where(daemon), "-v", 1, 2, 3)
    assert done.out == "6\n"
    assert f"-> {where(daemon)}" in done.err
    assert "0000  0e 00 00 00 80 03 5d 71 00 28 4b 01" in done.err
    assert "0000  06 00 00 00 " in done.err


def test_stdout_full_or_closed(prise, daemon):
    with open("/dev/full", "wb") as full:
        process = prise.start("sum", where(daemon), "1", stdout=full)
        _, err = process.communicate()
    assert process.returncode == 9 and b"standard output" in err
    script = f'exec "{prise.path}" sum {where(daemon)} 1 '
    for redirection, code in ((">&-", 9), ("<&-", 0), ("2>&-", 0)):
        done = subprocess.run(["sh", "-c", script + redirection], env=prise.environment,
                              capture_output=True, check=False)
        assert done.returncode == code, redirection
        assert done.stdout == (b"" if code else b"1\n")
    done = subprocess.run(["sh", "-c", f'exec "{prise.path}" sum {where(daemon)} <&-'],
                          env=prise.environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"0\n"), "no socket of ours was taken for stdin"


def test_over_a_unix_socket(prise, serve):
    path = prise.directory / "s"
    serve(f"sum=unix:{path}")
    assert prise("sum", f"unix:{path}", 40, 2).out == "42\n"


def test_a_directory_is_told_from_a_failure(prise):
    folder = os.open(prise.directory, os.O_RDONLY)
    process = prise.start("sum", "127.0.0.1:1", stdin=folder)
    os.close(folder)
    _, err = process.communicate()
    assert process.returncode == 9 and b"a file or a pipe" in err.splitlines()[1]


def test_time_from_a_server_that_stays(prise, peer):
    """The answer in hand is an answer, though -t ends before the server does."""
    done = prise("time", peer(says(b"\xe0\0\0\0")).address, "-t", "1s")
    assert (done.code, done.err) == (0, "") and "3758096384" in done.out
