"""What every service says, to the byte, over real sockets: TCP and UDP, IPv4 and IPv6, with
Python's socket and pickle as the courses use them."""

import calendar
import contextlib
import datetime
import pickle
import random
import re
import socket
import struct
import time

import pytest
from support import SECONDS, free_port, has_ipv6, wait_until
from talking import (ask, configured, datagrams, expect, is_answered, read_all, read_exactly,
                     read_until, talk)

V4, V6 = socket.AF_INET, socket.AF_INET6
ONE_LOOP = {"": "loops = 1"}  # so that what is asked first is answered first
RING = bytes(range(0x20, 0x7f))
GREETING = "Vous êtes connecté au serveur {}.\nVotre message ?\n"


@pytest.fixture(params=[V4, V6], ids=["ipv4", "ipv6"])
def family(request):
    if request.param == V6 and not has_ipv6():
        pytest.skip("no IPv6 here")
    return request.param


@pytest.fixture
def both(serve):
    """both("echo", guess="terse = yes"): a daemon that listens on loopback over both families."""
    def start(*names, options=(), **blocks):
        return configured(serve, {**dict.fromkeys(names, ""), **blocks}, options=options)
    return start


def test_echo_returns_everything_after_the_clients_end(both, family):
    data = random.Random(1).randbytes(3_000_000)
    assert talk(both("echo"), "echo", family, data) == data


def test_echo_of_a_client_that_reads_only_once_it_has_said_all(both, family):
    data = random.Random(2).randbytes(100_000)
    with both("echo").connect("echo", family) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == data


@pytest.mark.parametrize("size", [0, 1, 1472, 9000, 65507])
def test_echo_of_a_datagram(both, family, size):
    data = random.Random(size).randbytes(size)
    with datagrams(both("echo"), "echo", family) as s:
        for _ in range(3):
            assert ask(s, data) == data


def test_echo_keeps_datagrams_and_senders_apart(both, family):
    daemon = both("echo")
    with contextlib.ExitStack() as held:
        senders = [held.enter_context(datagrams(daemon, "echo", family)) for _ in range(20)]
        for turn in range(5):
            for number, s in enumerate(senders):
                s.send(b"%d of %d" % (turn, number))
        for number, s in enumerate(senders):
            assert {s.recv(100) for _ in range(5)} == {b"%d of %d" % (t, number) for t in range(5)}


def test_discard_says_nothing_and_ends_with_the_client(both, family):
    daemon = both("discard", "echo", **ONE_LOOP)
    assert talk(daemon, "discard", family, bytes(2_000_000)) == b""
    with datagrams(daemon, "discard", family) as s:
        assert not is_answered(daemon, s, b"anything")


def as_daytime(answer):
    match = re.fullmatch(rb"([A-Z][a-z]+day, [A-Z][a-z]+ [1-9]\d?, \d{4} \d\d:\d\d:\d\d)-UTC\r\n",
                         answer)
    assert match, answer
    return calendar.timegm(time.strptime(match[1].decode(), "%A, %B %d, %Y %H:%M:%S"))


def test_daytime(both, family):
    daemon = both("daytime")
    before = int(time.time())
    assert before <= as_daytime(talk(daemon, "daytime", family)) <= time.time()
    with datagrams(daemon, "daytime", family) as s:
        for request in (b"", b"x", b"what time is it?"):
            assert before <= as_daytime(ask(s, request)) <= time.time()


def test_what_a_client_says_in_vain_resets_nothing(both, family):
    """The server has its last word and closes, while the client still talks: a clean end all the
    same."""
    daemon = both("daytime", "upper")
    as_daytime(talk(daemon, "daytime", family, bytes(500_000)))
    assert talk(daemon, "upper", family, b"a" * 1024 + bytes(500_000)) == b"A" * 1024


def test_daytime_as_nist_says_it(both, family):
    daemon = both(daytime="format = nist")
    before = int(time.time())
    answer = talk(daemon, "daytime", family).decode()
    match = re.fullmatch(r"\n(\d{5}) (\d\d-\d\d-\d\d \d\d:\d\d:\d\d) (\d\d) (\d) (\d) +(\d+\.\d) "
                         r"UTC\(prise\) \* \n", answer)
    assert match, answer
    said = calendar.timegm(time.strptime(match[2], "%y-%m-%d %H:%M:%S"))
    assert before <= said <= time.time()
    assert int(match[1]) == 40587 + said // 86400, "1970-01-01 is MJD 40587"


def test_time(both, family):
    daemon = both("time")
    before = int(time.time())
    answers = [talk(daemon, "time", family)]
    with datagrams(daemon, "time", family) as s:
        answers += [ask(s, b""), ask(s, b"x")]
    for answer in answers:
        assert before <= struct.unpack("!I", answer)[0] - 2208988800 <= time.time()


def is_quotation(text):
    return 0 < len(text) < 512 and re.fullmatch(rb"[\x20-\x7e\r\n]+", text)


def test_qotd(both, family):
    daemon = both("qotd", "echo")
    assert is_quotation(talk(daemon, "qotd", family))
    with datagrams(daemon, "qotd", family) as s:
        with pytest.raises(ConnectionRefusedError):
            ask(s, b"")  # not over UDP unless it was asked for


def lines_of_chargen(count):
    return b"".join((RING * 2)[n % 95:n % 95 + 72] + b"\r\n" for n in range(count))


def test_chargen_for_ever(both, family):
    with both("chargen").connect("chargen", family) as s:
        s.sendall(b"what a client says means nothing")
        assert read_exactly(s, 74 * 10_000) == lines_of_chargen(10_000)


def test_udp_answers_are_no_longer_than_their_request_and_64_bytes(both, family):
    daemon = both("echo", chargen="udp = yes", qotd="udp = yes", **ONE_LOOP)
    for name in ("chargen", "qotd"):
        with datagrams(daemon, name, family) as s:
            lengths = set()
            while len(lengths) < 3:  # different answers, up to the most that is allowed
                answer = ask(s, bytes(448))
                lengths.add(len(answer))
                known = is_quotation(answer) if name == "qotd" else \
                    answer[:72] == lines_of_chargen(1)[:len(answer[:72])]
                assert known and len(answer) <= 512
            for _ in range(100):
                s.send(b"")
            answers = []
            if is_answered(daemon, s, b""):
                s.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        answers.append(s.recv(65536))
            assert len(answers) < 100 and all(len(answer) <= 64 for answer in answers)


def test_udp_long_answers_where_the_operator_allows_them(both, family):
    daemon = both(qotd="udp = yes\nudp_long_answers = yes")
    with datagrams(daemon, "qotd", family) as s:
        answers = [ask(s, b"") for _ in range(60)]
    assert all(map(is_quotation, answers)) and max(map(len, answers)) > 64


@pytest.mark.parametrize("chunk", [
    b"hello", b"hello\r\n", b"it's", b'say "hi"', b"it's \"both\"", b"back\\slash\t",
    bytes(range(256)), "déjà vu".encode(), b"'" * 1024, bytes(1024)])
def test_stamp_writes_bytes_as_python_does(both, family, chunk):
    with both("stamp").connect("stamp", family) as s:
        for _ in range(2):
            s.sendall(chunk)
            head, said, literal = read_stamp(s, len(repr(chunk)) - 1)
            assert head == "Données reçu à " and literal == repr(chunk).encode()
            assert abs((datetime.datetime.now() - said).total_seconds()) < SECONDS


def read_stamp(stream, literal_bytes):
    before = len("Données reçu à ".encode())
    answer = read_exactly(stream, before + 26 + 3 + 1 + literal_bytes)
    said = datetime.datetime.strptime(answer[before:before + 26].decode(), "%Y-%m-%d %H:%M:%S.%f")
    assert answer[before + 26:before + 29] == b" : "
    return answer[:before].decode(), said, answer[before + 29:]


@pytest.mark.parametrize("message, answer", [
    (b"hello", b"HELLO"), (b"  \t Hello, World! \r\n", b"HELLO, WORLD!"),
    ("éàç abc ÿ".encode(), "éàç ABC ÿ".encode()), (b"a\0b", b"A\0B"), (b" \n", b"")])
def test_upper(both, family, message, answer):
    with both("upper").connect("upper", family) as s:
        s.sendall(message)
        assert read_all(s) == answer


def test_dialogue(both, family):
    daemon = both("dialogue")
    with daemon.connect("dialogue", family) as s:
        host = f"{'127.0.0.1' if family == V4 else '[::1]'}:{daemon.port('dialogue')}"
        expect(s, GREETING.format(host))
        for message in ("bonjour\n", "sans fin de ligne", "été\r\n", "FINI\n", "x" * 1024):
            s.sendall(message.encode())
            expect(s, f"ECHO : {message}Votre message ?\n")
        s.sendall(b" \tfin\r\n")
        assert read_all(s) == b"Good Bye."


@pytest.mark.parametrize("last", [b"FIN", b"fin\n", b"\n", b"   ", None])
def test_dialogue_ends(both, family, last):
    with both("dialogue").connect("dialogue", family) as s:
        read_until(s, b"Votre message ?\n")
        if last is None:
            s.shutdown(socket.SHUT_WR)
        else:
            s.sendall(last)
        assert read_all(s) == b"Good Bye."


def test_dialogue_says_where_the_client_is_as_configured(both):
    daemon = both(dialogue='listen = "localhost:PORT"')
    with daemon.connect("dialogue", V4) as s:
        expect(s, GREETING.format(f"localhost:{daemon.port('dialogue')}"))


def test_dialogue_shows_its_messages_on_the_console(both, family):
    daemon = both("dialogue", options=["-v"])
    with daemon.connect("dialogue", family) as s:
        read_until(s, b"Votre message ?\n")
        s.sendall("ça va ?".encode())
        read_until(s, b"Votre message ?\n")
    daemon.wait_log("reçu du client>ça va \\?<")


def play(stream, low, high, answer):
    """Finds the number by bisection; answer(text) reads the next answer."""
    while True:
        guess = (low + high) // 2
        stream.sendall(b"%d\n" % guess)
        said = answer()
        if said == "plus":
            low = guess + 1
        elif said == "moins":
            high = guess - 1
        else:
            return said
        assert low <= high, "the server contradicts itself"


@pytest.mark.parametrize("most", [1, 2, 100, 2**63 - 1])
def test_guess(both, family, most):
    with both("guess").connect("guess", family) as s:
        expect(s, "Nombre maximum ?\n")
        s.sendall(b"%d\n" % most)
        expect(s, "Votre nombre ?\n")

        def answer():
            said = read_until(s, b"\n")
            if said != "trouvé\n".encode():
                expect(s, "Votre nombre ?\n")
            return said.decode().strip()

        assert play(s, 1, most, answer) == "trouvé"
        assert read_all(s) == b""


def test_guess_says_numbers_of_every_kind(both, family):
    """All of 1..3 are drawn, and a number ends at LF or with its chunk."""
    daemon = both("guess")
    drawn = set()
    for _ in range(60):
        with daemon.connect("guess", family) as s:
            expect(s, "Nombre maximum ?\n")
            s.sendall(b"3")
            expect(s, "Votre nombre ?\n")
            s.sendall(b"2")
            said = read_until(s, b"\n")
            drawn.add(said)
    assert drawn == {b"plus\n", b"moins\n", "trouvé\n".encode()}


@pytest.mark.parametrize("line", [b"douze\n", b"-1\n", b"0\n", b"9" * 400 + b"\n", b"1e3\n", b"\n",
                                  b"\xff\xfe\n", b"9223372036854775808\n"])
def test_guess_of_what_is_no_number(both, family, line):
    with both("guess").connect("guess", family) as s:
        for _ in range(19):
            expect(s, "Nombre maximum ?\n")
            s.sendall(line)
            expect(s, "un nombre, s'il vous plaît\n")
        expect(s, "Nombre maximum ?\n")
        s.sendall(b"7\n")
        for _ in range(20):  # twenty in a row, counted anew after a number
            expect(s, "Votre nombre ?\n")
            s.sendall(b"sept\n")
            expect(s, "un nombre, s'il vous plaît\n")
        assert read_all(s) == b""


def test_guess_terse(both, family):
    daemon = both(guess="terse = yes")
    with daemon.connect("guess", family) as s:
        s.sendall(b"1000\n")

        def answer():
            first = read_exactly(s, 4).decode()  # plus, fini, moin
            return first if first != "moin" else first + read_exactly(s, 1).decode()

        assert play(s, 1, 1000, answer) == "fini"
        assert read_all(s) == b""


def add(daemon, family, body, length=None):
    """What the course's client does."""
    head = struct.pack("<I", len(body) if length is None else length)
    return talk(daemon, "sum", family, head + body)


def test_sum(both, family):
    daemon = both("sum")
    lists = [[], [0], [1, 2, 3], [2**32 - 1], [2**31, 2**31 - 1], [-1, 1], [True, False, True],
             [255, 256, 65535, 65536, 2**31, -2**31], [2**63 - 1, -2**63, 43]]
    for protocol in range(6):
        for numbers in lists:
            assert add(daemon, family, pickle.dumps(numbers, protocol)) == \
                struct.pack("<I", sum(numbers)), (protocol, numbers)


@pytest.mark.parametrize("protocol", range(6))
def test_sum_of_seventy_thousand(both, family, protocol):
    draw = random.Random(3)
    numbers = [draw.randint(-10**6, 10**6) for _ in range(70_000)]
    numbers.append(10**9 - sum(numbers))
    assert add(both("sum"), family, pickle.dumps(numbers, protocol)) == struct.pack("<I", 10**9)


@pytest.mark.parametrize("numbers", [[-1], [2**32], [2**32 - 1, 1], [2**63], [-2**63 - 1]])
def test_sum_that_four_bytes_cannot_hold_is_not_wrapped(both, family, numbers):
    daemon = both("sum")
    assert add(daemon, family, pickle.dumps(numbers, 3)) == b""
    daemon.wait_log(r"sum\.\S+.*")


def test_inbox_prints_and_answers_nothing(both, family):
    daemon = both("inbox")
    assert talk(daemon, "inbox", family, "première ligne\nseconde".encode()) == b""
    daemon.wait_log("première ligne.*seconde")
    with datagrams(daemon, "inbox", family) as s:
        s.send(b"in a datagram")
    daemon.wait_log("in a datagram")


def test_role_words(both, family):
    daemon = both("role")
    clients = []
    for number in range(4):
        clients.append(daemon.connect("role", family))
        expect(clients[-1], "secondaire" if number else "principal")
    clients.pop(2).close()  # a secondaire leaves in silence
    clients.pop(0).close()
    expect(clients[0], "principal")
    clients.pop(0).close()
    expect(clients[0], "principal")
    clients[0].setblocking(False)
    with pytest.raises(BlockingIOError):
        clients[0].recv(1)
    clients.pop().close()

    def alone():
        with daemon.connect("role", family) as s:
            return read_until(s, b"l" if s.recv(1) == b"p" else b"e") == b"rincipal"

    wait_until(alone, "the next who comes to be principal")


def test_role_words_with_a_line_end(both, family):
    daemon = both(role="eol = lf")
    with daemon.connect("role", family) as one, daemon.connect("role", family) as two:
        expect(one, "principal\n")
        expect(two, "secondaire\n")
        one.shutdown(socket.SHUT_WR)
        expect(two, "principal\n")


def test_every_default_service_at_once(prise, serve):
    """One file, one process, thirteen services; each says its first word."""
    names = ("echo discard daytime qotd chargen time stamp upper dialogue guess sum inbox "
             "role").split()
    ports = {name: free_port() for name in names}
    daemon = serve(*(f"{name}=:{port}" for name, port in ports.items()))
    first = {"daytime": b"-UTC\r\n", "qotd": b"\r\n", "chargen": b" !\"#", "dialogue": b"connect",
             "guess": b"Nombre", "role": b"principal"}
    for name in names:
        if name in first:
            with daemon.connect(name) as s:
                assert first[name] in s.recv(4096)
        else:
            assert len(talk(daemon, name, V4)) == (4 if name == "time" else 0)
