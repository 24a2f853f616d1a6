"""Peers that say nothing, or too little: what is told of them, over TCP and UDP."""

import socket
import threading

import pytest
from peers import never_answer

COMMANDS = [["daytime"], ["time"], ["echo", "hello"]]


@pytest.fixture
def deaf():
    """A UDP socket that nobody reads."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{s.getsockname()[1]}"


def words(command, where, *options):
    return [command[0], *options, where, *command[1:]]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_datagram_that_nobody_answers(prise, deaf, command):
    done = prise(*words(command, deaf, "-u", "-t", "300ms"))
    assert done.code == 5 and f"{deaf} did not answer in time (timed out)" in done.err
    assert "firewall" in done.err and "-v" not in done.err


@pytest.mark.parametrize("command", [*COMMANDS, ["sum", "1"], ["dialogue"]])
def test_a_connection_on_which_not_a_byte_comes(prise, peer, command):
    done = prise(*words(command, peer(never_answer).address, "-t", "300ms"), stdin="hello\n")
    assert done.code == 5 and "but did not answer in time (timed out)" in done.err, done
    assert "firewall" not in done.err and "-v" not in done.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_connection_on_which_too_little_came(prise, peer, command):
    def begin(connection):
        connection.sendall(b"h")
        never_answer(connection)

    done = prise(*words(command, peer(begin).address, "-t", "300ms"))
    assert done.code == 5 and "fell silent in the middle (timed out)" in done.err, done


@pytest.mark.parametrize("command, datagram", [("daytime", b""), ("daytime", b" \r\n"),
                                               ("time", b""), ("time", b"abc")])
def test_a_datagram_that_is_no_whole_answer(prise, command, datagram):
    """There is no stream in UDP that could have ended."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{s.getsockname()[1]}"

        def answer():
            s.sendto(datagram, s.recvfrom(10)[1])

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        done = prise(command, "-u", where)
        thread.join()
    assert done.code == 8 and f"{where} answered with a datagram that holds no whole" in done.err
    assert "stream" not in done.err
