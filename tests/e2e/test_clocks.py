"""`prise daytime` and `prise time` against servers in Python, over TCP and UDP: what is asked, how
often, and what is said of the answer."""

import json
import re
import socket
import struct
import time

import pytest
from support import SECONDS, free_port, wait_until

DAYTIME = b"Tuesday, February 22, 1982 17:37:43-UTC\r\n"
FROM_1900_TO_1970 = 2208988800
HOUR, SLACK = 3600, 60  # s; the other clock is a whole second, and a machine may be busy


def clock(ahead=0):
    """What a time server says whose clock is that many seconds ahead."""
    return struct.pack(">I", int(time.time()) + FROM_1900_TO_1970 + ahead)


ANSWERS = {"daytime": lambda: DAYTIME, "time": clock}


@pytest.fixture(params=ANSWERS)
def command(request):
    return request.param


def test_a_datagram_is_asked_for_three_times(prise, datagrams, command):
    """Nobody answers for TCP there, so that -u is heeded too."""
    server = datagrams(lambda number, _: [ANSWERS[command]()] if number == 3 else [])
    done = prise(command, "-u", server.address, "-t", "4s")
    assert (done.code, done.err) == (0, "")
    assert command == "time" or done.raw == DAYTIME.replace(b"\r", b"")
    assert server.seen == [b""] * 3


def test_and_no_fourth_time(prise, datagrams):
    asked = {command: datagrams(lambda number, _: []) for command in ANSWERS}
    started = {command: prise.start(command, "-u", server.address, "-t", "3s")
               for command, server in asked.items()}  # both at once
    for command, process in started.items():
        assert process.wait(SECONDS) == 5 and process.stdout.read() == b""
        wait_until(lambda seen=asked[command].seen: seen == [b""] * 3, "three questions")


def test_one_answer_is_enough(prise, datagrams, command):
    server = datagrams(lambda number, _: [ANSWERS[command]()])
    assert prise(command, "-u", server.address).code == 0
    assert server.seen == [b""]


def test_without_u_it_is_tcp(prise, peer, datagrams, command):
    assert prise(command, peer(lambda s: s.sendall(ANSWERS[command]())).address).code == 0
    server = datagrams(lambda number, _: [ANSWERS[command]()], free_port())
    with socket.socket() as held:  # so that nobody listens there
        held.bind(server.socket.getsockname())
        assert prise(command, server.address).code == 4 and server.seen == []
    assert prise(command, "-u", f"127.0.0.1:{free_port()}").code == 4


def ask_time(prise, request, transport, ahead, *words):
    """`prise time` of a server whose clock is that far ahead."""
    if transport == "udp":
        server = request.getfixturevalue("datagrams")(lambda *_: [clock(ahead)])
        done = prise("time", "-u", server.address, *words)
    else:
        server = request.getfixturevalue("peer")(lambda s: s.sendall(clock(ahead)))
        done = prise("time", server.address, *words)
    assert (done.code, done.err) == (0, "")
    return done


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("ahead, word", [(HOUR, "ahead"), (-HOUR, "behind")])
def test_a_clock_ahead_and_one_behind(prise, request, transport, ahead, word):
    """What is told is the least that explains a whole second."""
    begin = int(time.time()) + ahead
    utc, seconds, said = re.fullmatch(
        r"(\S+)  (\d+)\nthe server's clock is (\w+ by \d+\.\d{3}) s\n",
        ask_time(prise, request, transport, ahead).out).groups()
    said, by = said.split(" by ")
    assert said == word and HOUR - SLACK <= float(by) <= HOUR + SLACK
    assert begin <= int(seconds) - FROM_1900_TO_1970 <= begin + SLACK
    then = time.gmtime(int(seconds) - FROM_1900_TO_1970)
    assert utc.startswith(time.strftime("%Y-%m-%dT%H:%M:%S", then))
    event = json.loads(ask_time(prise, request, transport, ahead, "--json").out)
    assert event["type"] == "time.answer" and event["difference_ms"] * ahead > 0
    assert abs(event["difference_ms"] / 1000 - ahead) <= SLACK


def test_two_clocks_alike(prise, request):
    """Asked again when a second ended in between."""
    wait_until(lambda: ask_time(prise, request, "udp", 0).out.endswith(
        "\nboth clocks show the same second\n"), "an answer within its second")
