"""`prise guess` against `prise serve` and against the dialects of the courses' servers; by itself
and with a person (--play); and against servers that cheat, refuse or fall silent."""

import contextlib
import os
import random
import socket
import time

import pytest
from peers import Terminal, close_early, never_answer, says
from support import free_port

ASK_MAX, ASK = "Nombre maximum ?\n", "Votre nombre ?\n"


class Dialect:
    """A course's server: reads a number, and answers in its own words."""

    def __init__(self, secret, less, more, won, ask_max="", ask="", first=1):
        self.secret, self.less, self.more, self.won = secret, less, more, won
        self.ask_max, self.ask, self.first = ask_max, ask, first
        self.heard, self.unread = [], []

    def number(self, connection):
        """One at a time; only the first may follow the maximum unasked, after a silence."""
        if not self.unread:
            data = connection.recv(1024).decode()
            if not data:
                raise ConnectionError("the client is gone")
            self.unread = data.splitlines()
            assert len(self.unread) <= (1 if self.heard else 2), f"one at a time: {data!r}"
        self.heard.append(int(self.unread.pop(0)))
        return self.heard[-1]

    def __call__(self, connection):
        def say(text):
            if text:
                connection.sendall(text.encode())

        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        say(self.ask_max)
        most = self.number(connection)
        if self.secret is None:
            self.secret = random.randint(self.first, most)
        while True:
            say(self.ask)
            number = self.number(connection)
            if number == self.secret:
                break
            say(self.more if self.secret > number else self.less)
        say(self.won)


DIALECTS = {
    "prise": ("moins\n", "plus\n", "trouvé\n", ASK_MAX, ASK),
    "terse": ("moins", "plus", "fini"),
    "terse with line ends": ("moins\n", "plus\n", "fini\n"),
    "capitals": ("MOINS\r\n", "PLUS\r\n", "FINI\r\n"),
    "sentences": ("Le nombre est plus petit !\n", "Le nombre est plus grand !\n", "Bravo !\n",
                  "Quel est le maximum ? ", "Proposition ? "),
    "a question with an answer's word": ("C'est moins\n", "C'est plus\n", "Gagné\n", "Borne : ",
                                         "Un nombre, plus ou moins ? "),
    "English win": ("moins\n", "plus\n", "You win!\n", "Max? ", "Number? "),
    "no question for the maximum": ("moins\n", "plus\n", "Trouvé en si peu !\n", "",
                                    "Votre nombre ?\n"),
}


@pytest.fixture
def daemon(serve):
    return serve("guess")


def where(daemon):
    return f"127.0.0.1:{daemon.port('guess')}"


def tries(done):
    """The tries that were printed, as (number, answer), and the line behind them."""
    *lines, last = done.out.splitlines()
    return [(int(line.split()[0]), line.split()[1]) for line in lines], last


def check_won(done, most):
    """What was printed is an honest game that ends well."""
    assert (done.code, done.err) == (0, ""), done
    tried, last = tries(done)
    low, high = 0, most
    for number, answer in tried[:-1]:
        assert low <= number <= high
        low, high = (number + 1, high) if answer == "plus" else (low, number - 1)
    assert tried[-1][1] == "trouvé"
    assert last == f"the number is {tried[-1][0]} (tries: {len(tried)})"
    assert len(tried) <= most.bit_length() + 1
    return tried[-1][0]


@pytest.mark.parametrize("most", [1, 2, 3, 100, 1000, 2**31, 2**63 - 1])
def test_against_prise(prise, daemon, most):
    assert 1 <= check_won(prise("guess", where(daemon), "--max", most), most) <= most


def test_against_prise_terse(prise, serve):
    port = free_port()
    serve(config=f'guess {{ listen = "127.0.0.1:{port}"  terse = yes }}\n')
    check_won(prise("guess", "127.0.0.1", port, "--max", 100), 100)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("secret", [0, 1, 100])
def test_dialects(prise, peer, name, secret):
    dialect = Dialect(secret, *DIALECTS[name])
    done = prise("guess", peer(dialect).address, "--max", 100)
    assert check_won(done, 100) == secret
    assert dialect.heard[0] == 100, "the maximum comes first"


def test_quiet_is_the_answer_alone(prise, daemon):
    done = prise("guess", where(daemon), "--max", 1, "-q")
    assert done.out in ("the number is 1 (tries: 1)\n", "the number is 1 (tries: 2)\n")


def test_json(prise, peer):
    done = prise("guess", peer(Dialect(75, *DIALECTS["terse"])).address, "--max", 100, "--json")
    assert done.code == 0
    *tried, won = done.events
    assert [(e["type"], e["number"], e["answer"]) for e in tried] == [
        ("guess.try", 50, "plus"), ("guess.try", 75, "trouvé")]
    assert won["type"] == "guess.won" and (won["number"], won["tries"]) == (75, 2)


def test_verbose_shows_the_wire(prise, peer):
    done = prise("guess", peer(Dialect(50, *DIALECTS["terse"])).address, "--max", 100, "-v")
    assert "66 69 6e 69" in done.err and "|fini|" in done.err and "|100.|" in done.err


@pytest.mark.parametrize("words, what", [
    (["127.0.0.1:1"], "how great the number may be is missing"),
    ([], "whom to talk to is missing"),
    (["127.0.0.1:1", "--max", "0"], "--max 0 is out of range"),
    (["127.0.0.1:1", "--max", "-3"], "--max -3 is not understood"),
    (["127.0.0.1:1", "--max", "9223372036854775808"], "out of range"),
    (["127.0.0.1", "port", "--max", "9"], "there is no service port"),
])
def test_wrong_usage(prise, words, what):
    done = prise("guess", *words)
    assert (done.code, done.out) == (2, "")
    assert what in done.err and len(done.err.splitlines()) == 2


def always(answer):
    """Answers so to every number."""
    def talk(connection):
        with connection.makefile("rb") as lines:
            next(lines)  # the maximum
            for _ in lines:
                connection.sendall(answer)
    return talk


def talk_on(connection):
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(b"let me think about it\n" * 1000)


@pytest.mark.parametrize("talk, time, code, what", [
    (talk_on, "3s", 8, "too long"),
    (close_early, "3s", 8, "127.0.0.1"),
    (never_answer, "400ms", 5, "timed out"),
    (says(ASK_MAX.encode(), then=close_early), "3s", 8, "127.0.0.1"),
    (says(b"\0\xff\n" * 10), "400ms", 5, "timed out"),
    (says(b"x" * 5000), "3s", 8, "too long"),
    (always(b"plus\n"), "3s", 8, "contradict each other"),
    (always(b"moins"), "3s", 8, "contradict each other"),
])
def test_servers_that_do_it_wrong(prise, peer, talk, time, code, what):
    done = prise("guess", peer(talk).address, "--max", 3, "-t", time)
    assert done.code == code and what in done.err, done
    assert "the number is" not in done.out
    done = prise("guess", peer(talk).address, "--max", 3, "-t", time, "--json")
    assert done.events[-1]["type"] == "error" and done.events[-1]["code"] == code


def test_a_maximum_that_is_refused(prise, peer):
    refuses = says(ASK_MAX.encode() * 2)
    done = prise("guess", peer(refuses).address, "--max", 10)
    assert done.code == 8 and "refuses" in done.err


def test_nobody_listens(prise):
    done = prise("guess", f"127.0.0.1:{free_port()}", "--max", 10)
    assert (done.code, done.out) == (4, "") and "prise serve guess" in done.err


def test_play_from_stdin(prise, peer):
    dialect = Dialect(7, *DIALECTS["prise"])
    done = prise("guess", peer(dialect).address, "--play", stdin="10\n5\n 8\n7")
    assert done.code == 0
    assert done.out == f"{ASK_MAX}{ASK}plus\n{ASK}moins\n{ASK}trouvé\n"
    assert done.err == "prise guess: the number is 7 (tries: 3)\n"
    assert dialect.heard == [10, 5, 8, 7]


def test_play_a_known_maximum(prise, peer):
    dialect = Dialect(7, *DIALECTS["prise"])
    done = prise("guess", peer(dialect).address, "--play", "--max", 9, stdin="7\n")
    assert done.code == 0 and dialect.heard == [9, 7]


def test_play_garbage_and_giving_up(prise, daemon):
    done = prise("guess", where(daemon), "--play", stdin="many\n10\nnone\n")
    assert done.code == 1, "the number was not found"
    request = "un nombre, s'il vous plaît\n"
    assert done.out == f"{ASK_MAX}{request}{ASK_MAX}{ASK}{request}{ASK}"
    assert done.err == ""
    assert prise("guess", where(daemon), "--play").code == 1


def test_play_as_json(prise, peer):
    done = prise("guess", peer(Dialect(7, *DIALECTS["prise"])).address, "--play", "--json",
                 stdin="10\n5\n7\n")
    assert [e["text"] for e in done.events if e["type"] == "guess.text"] == [
        *ASK_MAX.splitlines(), *ASK.splitlines(), "plus", *ASK.splitlines(), "trouvé"]
    assert [e["type"] for e in done.events if e["type"] != "guess.text"] == [
        "guess.try", "guess.try", "guess.won"]


def test_play_on_a_terminal(prise, peer):
    screen = Terminal(prise, "guess", peer(Dialect(7, *DIALECTS["prise"])).address, "--play")
    screen.expect("Nombre maximum ?\r\nmaximum> ")
    screen.send("10\n")
    screen.expect("Votre nombre ?\r\nnumber> ")
    screen.send("5\n")
    screen.expect("plus\r\nVotre nombre ?\r\nnumber> ")
    screen.send("7\n")
    assert screen.end() == 0
    assert screen.seen.endswith("trouvé\r\nprise guess: the number is 7 (tries: 2)\r\n".encode())


def test_play_a_terse_server_on_a_terminal(prise, peer):
    screen = Terminal(prise, "guess", peer(Dialect(7, *DIALECTS["terse"])).address, "--play")
    screen.expect("maximum> ")
    screen.send("10\n")
    screen.expect("number> ")
    screen.send("5\n")
    screen.expect("plus\r\nnumber> ")
    screen.send("\x04")
    assert screen.end() == 1


def test_the_server_goes_while_the_person_thinks(prise, peer):
    leaves = peer(says(ASK_MAX.encode(), then=close_early))
    screen = Terminal(prise, "guess", leaves.address, "--play")
    assert screen.end() == 8 and b"left before" in screen.seen


def test_stdout_full_or_closed(prise, daemon, peer):
    with open("/dev/full", "wb") as full:
        process = prise.start("guess", where(daemon), "--max", "1000", stdout=full)
        _, err = process.communicate()
    assert process.returncode == 9 and b"standard output" in err
    process = prise.start("guess", where(daemon), "--max", str(2**63 - 1))
    process.stdout.close()
    process.stdout = None
    assert process.stderr.read() == b"" and process.wait() == 0
    dialect = Dialect(1, *DIALECTS["prise"])
    ours, theirs = os.pipe()
    os.close(ours)
    process = prise.start("guess", peer(dialect).address, "--max", "1000000", stdout=theirs)
    os.close(theirs)
    assert process.wait() == 0 and len(dialect.heard) < 10, "it does not play for nobody"


def test_a_silent_server_is_given_no_longer_than_told(prise, peer):
    """What we say into the silence does not make it begin anew."""
    def seconds():
        began = time.monotonic()
        assert prise("guess", peer(never_answer).address, "--max", 3, "-t", "1s").code == 5
        return time.monotonic() - began

    assert any(seconds() < 1.9 for _ in range(3))
