"""TLS and keys: services and clients against each other, against Python's ssl and against
openssl; records cut anywhere, ends that are not said, keys that are not let in."""

import re
import signal
import socket
import ssl
import struct
import threading
import time

import pytest
from support import SECONDS, Daemon, Prise, free_port, wait_until
from talk import MIB, Server, noise, peer, receive_all  # noqa: F401
from tls import Authority, Cut, authority, client_context, s_server, server_context  # noqa: F401

FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@pytest.fixture
def other(tmp_path):
    """Another machine: prise with directories of its own."""
    directory = tmp_path / "other"
    directory.mkdir()
    program = Prise(directory)
    yield program
    program.end()


@pytest.fixture
def secure(other):
    """secure("echo") starts a daemon with TLS on the other machine."""
    started = []

    def start(*services, options=("--tls",), **more):
        started.append(Daemon(other, *services, options=options, **more))
        return started[-1]

    yield start
    for daemon in started:
        assert daemon.stop() == 0, daemon.log()


def at(daemon, name):
    return f"127.0.0.1:{daemon.port(name)}"


def key_file(prise):
    return prise.directory / "config" / "prise" / "key.pem"


def test_clients_of_every_service(prise, secure):
    daemon = secure("echo", "daytime", "time", "dialogue", "guess", "sum", "upper")
    assert "tls " in daemon.log() and "udp" not in daemon.log()
    assert prise("daytime", "--tls", at(daemon, "daytime")).code == 0
    assert prise("time", "--tls", at(daemon, "time")).code == 0
    assert prise("echo", "--tls", at(daemon, "echo"), "bonjour").out == "bonjour\n"
    done = prise("dialogue", "--tls", at(daemon, "dialogue"), stdin="salut\nFIN\n")
    assert done.code == 0 and "salut" in done.out
    assert prise("guess", "--tls", at(daemon, "guess"), "--max", "50").code == 0
    assert prise("sum", "--tls", at(daemon, "sum"), "40", "2").out == "42\n"


def test_a_server_is_remembered_and_may_not_change(prise, other, secure):
    daemon = secure("daytime")
    first = prise("daytime", "--tls", at(daemon, "daytime"))
    shown = FINGERPRINT.search(daemon.log()).group()
    assert first.code == 0 and shown in first.err
    known = prise.directory / "config" / "prise" / "known_hosts"
    assert known.read_text() == f"{at(daemon, 'daytime')} {shown}\n"
    assert known.stat().st_mode & 0o777 == 0o600
    assert prise("daytime", "--tls", at(daemon, "daytime")).err == ""
    assert other("key").out.strip() == shown

    daemon.stop()
    key_file(other).unlink()
    again = secure(f"daytime={at(daemon, 'daytime')}")
    now = FINGERPRINT.search(again.log()).group()
    assert now != shown
    changed = prise("daytime", "--tls", at(daemon, "daytime"))
    assert changed.code == 7 and changed.out == ""
    assert "has changed" in changed.err and shown in changed.err and now in changed.err
    assert f"line 1 out of {known}" in changed.err
    assert known.read_text() == f"{at(daemon, 'daytime')} {shown}\n"
    known.write_text("")
    assert prise("daytime", "--tls", at(daemon, "daytime")).code == 0


def test_a_pinned_key(prise, other, secure):
    daemon = secure("daytime")
    shown, mine = other("key").out.strip(), prise("key").out.strip()
    good = prise("daytime", "--tls", "--pin", shown, at(daemon, "daytime"))
    assert good.code == 0 and good.err == ""
    assert not (prise.directory / "config" / "prise" / "known_hosts").exists()
    wrong = prise("daytime", "--tls", "--pin", mine, at(daemon, "daytime"))
    assert wrong.code == 7 and "--pin" in wrong.err and shown in wrong.err
    for words in (["--tls", "--pin", "SHA256:short"], ["--pin", shown], ["--tls", "-u"]):
        assert prise("daytime", *words, at(daemon, "daytime")).code == 2


def test_key(prise):
    first = prise("key")
    assert first.code == 0 and FINGERPRINT.fullmatch(first.out.strip())
    assert str(key_file(prise)) in first.err
    assert key_file(prise).stat().st_mode & 0o777 == 0o600
    second = prise("key")
    assert second.out == first.out and second.err == ""
    assert prise("key", "--json").events[0]["fingerprint"] == first.out.strip()
    key_file(prise).chmod(0o640)
    loose = prise("key")
    assert loose.code == 7 and str(key_file(prise)) in loose.err and "others" in loose.err
    key_file(prise).chmod(0o600)
    key_file(prise).write_text("no key\n")
    assert prise("key").code == 7
    assert prise("key", "more").code == 2


def test_token(prise):
    first, second = prise("key", "--token"), prise("key", "--token", "--json")
    assert first.code == 0 and re.fullmatch(r"[0-9a-f]{32}\n", first.out)
    token = second.events[0]["token"]
    kept = prise.directory / "config" / "prise" / "token"
    assert token != first.out.strip() and token == kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, None])
def test_records_cut_anywhere(secure, size):
    daemon = secure("echo")
    with Cut(daemon.port("echo"), size) as client:
        for text in (b"x", b"bonjour", noise(3000)):
            client.send(text)
            assert client.receive_exactly(len(text)) == text
        client.end()
        assert client.receive() == b""


def test_a_record_is_a_chunk(secure):
    daemon = secure("stamp")
    with Cut(daemon.port("stamp")) as client:
        client.write(b"un")
        client.write(b"deux")
        client.flush()
        assert client.receive().endswith("b'un'".encode())
        assert client.receive().endswith("b'deux'".encode())
    with Cut(daemon.port("stamp"), size=1) as client:
        client.send(b"trois")
        assert client.receive().endswith("b'trois'".encode())


def test_bulk_both_ways(prise, secure):
    daemon = secure("echo", "chargen")
    data = noise(5 * MIB)
    pin = FINGERPRINT.search(daemon.log()).group()
    done = prise("connect", "--tls", "--pin", pin, "127.0.0.1", daemon.port("echo"), stdin=data)
    assert done.code == 0 and done.raw == data
    with Cut(daemon.port("chargen")) as client:
        assert len(client.receive_exactly(3 * MIB)) == 3 * MIB


def test_a_slow_reader_holds_nobody_up(secure):
    daemon = secure("echo", "chargen")
    with Cut(daemon.port("chargen")) as slow, Cut(daemon.port("echo")) as quick:
        slow.receive()
        for _ in range(100):
            quick.send(b"ping")
            assert quick.receive() == b"ping"


def test_old_clients_where_anybody_may_come(secure):
    daemon = secure("echo")
    context = client_context(least=ssl.TLSVersion.TLSv1_2)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Cut(daemon.port("echo"), context=context) as client:
        client.send(b"alt")
        assert client.receive() == b"alt"


def test_no_old_clients_where_ours_come(secure):
    daemon = secure("role")
    context = client_context(least=ssl.TLSVersion.TLSv1_2)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with Cut(daemon.port("role"), context=context) as client:
            client.receive()
    with Cut(daemon.port("role")) as client:
        assert client.receive_exactly(9) == b"principal"


def test_openssl_as_client(prise, other, secure, peer):
    daemon = secure("echo")
    client = peer("openssl", "s_client", "-quiet", "-verify_return_error", "-verify_hostname",
                  "localhost", "-CAfile", str(key_file(other)), "-connect", at(daemon, "echo"))
    client.stdin.write(b"bonjour\n")
    client.stdin.flush()
    assert client.stdout.readline() == b"bonjour\n"


def test_an_end_that_is_not_said(prise, secure, other):
    prise("key")
    context = server_context(key_file(prise))

    def hang_up(sock):
        secured = context.wrap_socket(sock, server_side=True)
        secured.sendall(b"Tuesday, February 22, 1982 17:37:43-UTC\r\n")
        with socket.socket(fileno=secured.detach()) as bare:
            bare.settimeout(SECONDS)
            bare.shutdown(socket.SHUT_WR)
            receive_all(bare)

    for command in (["daytime", "--tls"], ["connect", "--tls", "--insecure"]):
        done = prise(*command, f"127.0.0.1:{Server(hang_up).port}")
        assert done.code == 8 and "end of stream" in done.err, done


def test_an_end_that_is_said(prise):
    prise("key")
    context = server_context(key_file(prise))

    def good_bye(sock):
        with context.wrap_socket(sock, server_side=True) as secured:
            secured.sendall(b"Tuesday, February 22, 1982 17:37:43-UTC\r\n")
            secured.unwrap()

    done = prise("connect", "--tls", "--insecure", f"127.0.0.1:{Server(good_bye).port}")
    assert done.code == 0 and done.out.startswith("Tuesday")


def test_a_server_that_hears_no_end(secure):
    daemon = secure("inbox", options=("--tls", "-v"))
    with Cut(daemon.port("inbox")) as client:
        client.send(b"half a mess")
        client.socket.shutdown(socket.SHUT_WR)
        daemon.wait_log(r"conn\.close .*why=left")


def test_a_half_is_closed_and_answered(secure):
    daemon = secure("upper", "echo")
    with Cut(daemon.port("echo")) as client:
        client.send(b"last words")
        client.end()
        assert client.receive_exactly(10) == b"last words"
        assert client.receive() == b""


PROBLEMS = {
    "good": ({}, 0, ""),
    "another": ({"names": "DNS:elsewhere.example"}, 7, "another name"),
    "expired": ({"days": -1}, 7, "expired"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_certificates(prise, authority, peer, name):
    how, code, words = PROBLEMS[name]
    port = s_server(peer, authority.sign(name, **how))
    page = "GET / HTTP/1.0\r\n\r\n"
    trusts = {"SSL_CERT_FILE": str(authority.file)}
    done = prise("connect", "--tls", "127.0.0.1", port, stdin=page, env=trusts)
    assert done.code == code and words in done.err, done
    assert code or "200 ok" in done.out
    assert prise("connect", "--tls", "--insecure", "127.0.0.1", port, stdin=page).code == 0


def test_certificates_of_nobody_known(prise, authority, tmp_path, peer):
    port = s_server(peer, authority.sign("unknown"))
    done = prise("connect", "--tls", "127.0.0.1", port)
    assert done.code == 7 and "nobody this machine trusts" in done.err
    mine = Authority(tmp_path, "mine")
    done = prise("connect", "--tls", "127.0.0.1", port, env={"SSL_CERT_FILE": str(mine.file)})
    assert done.code == 7 and "nobody this machine trusts" in done.err


def test_the_name_that_is_asked_for(prise, authority, peer):
    port = s_server(peer, authority.sign("named", names="DNS:www.example.org"))
    trusts = {"SSL_CERT_FILE": str(authority.file)}
    assert prise("connect", "--tls", "127.0.0.1", port, env=trusts).code == 7
    done = prise("connect", "--tls", "--sni", "www.example.org", "127.0.0.1", port,
                 stdin="GET / HTTP/1.0\r\n\r\n", env=trusts)
    assert done.code == 0
    assert prise("connect", "--sni", "x", "127.0.0.1", port).code == 2
    assert prise("connect", "--tls", "-z", "127.0.0.1", port).code == 2


def test_a_version_of_long_ago(prise, authority, peer):
    port = s_server(peer, authority.sign("old"), "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    done = prise("connect", "--tls", "127.0.0.1", port, env={"SSL_CERT_FILE": str(authority.file)})
    assert done.code == 7 and "version of TLS" in done.err


def test_a_server_that_takes_the_end_of_input_for_the_end(prise, authority):
    """As nginx and most others: whatever comes after our close_notify is never said."""
    pem = authority.sign("hasty")
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve():
        raw, _ = listener.accept()
        with raw, server_context(pem).wrap_socket(raw, server_side=True) as s:
            s.settimeout(SECONDS)
            assert s.recv(65536)
            s.settimeout(0.3)
            for _ in range(4):
                s.sendall(b"x" * 1000)
                try:
                    if s.recv(1) == b"":
                        return
                except TimeoutError:
                    pass
            s.unwrap()
        over.set()

    threading.Thread(target=serve, daemon=True).start()
    done = prise("connect", "--tls", "--wait", "10s", "127.0.0.1", listener.getsockname()[1],
                 stdin="GET\n", env={"SSL_CERT_FILE": str(authority.file)})
    listener.close()
    assert done.code == 0 and len(done.out) == 4000, done
    assert over.wait(5)


def test_a_server_that_waits_for_the_end_of_input(prise, secure):
    daemon = secure("echo")
    begun = time.monotonic()
    done = prise("connect", "--tls", "--insecure", "--wait", "300ms", "127.0.0.1",
                 daemon.port("echo"), stdin="one\n")
    assert done.code == 0 and done.out == "one\n" and time.monotonic() - begun > 0.3


def test_tls_to_a_plain_port(prise, serve):
    daemon = serve("daytime", "discard")
    done = prise("daytime", "--tls", at(daemon, "daytime"))
    assert done.code == 7 and "does not speak TLS" in done.err
    done = prise("connect", "--tls", "--insecure", "-t", "1s", at(daemon, "discard"))
    assert done.code == 5 and "said nothing in TLS" in done.err


def test_plain_to_a_tls_port(prise, secure):
    daemon = secure("echo", "daytime")
    with daemon.connect("echo") as sock:
        sock.sendall(b"bonjour, bonjour\n")
        receive_all(sock)
    daemon.wait_log(r"tls\.refused peer=\S+ why=not_tls")
    assert prise("daytime", "--tls", at(daemon, "daytime")).code == 0


def hostile_records():
    hello = b"\x16\x03\x01"
    return {
        "long record": hello + struct.pack(">H", 65535) + b"x" * 70000,
        "long handshake": hello + struct.pack(">H", 4) + b"\x01\xff\xff\xff"
                          + (hello + struct.pack(">H", 16000) + b"x" * 16000) * 20,
        "empty records": (hello + b"\x00\x00") * 5000,
        "alerts": b"\x15\x03\x03\x00\x02\x01\x00" * 1000,
        "data first": b"\x17\x03\x03\x00\x05hello" * 10,
        "half a head": b"\x16\x03",
        "noise": noise(100000),
    }


@pytest.mark.parametrize("name", hostile_records())
def test_hostile_bytes(secure, name):
    daemon = secure("echo", options=("--tls", "-v"))
    with daemon.connect("echo") as sock:
        try:
            sock.sendall(hostile_records()[name])
            sock.shutdown(socket.SHUT_WR)
            receive_all(sock)
        except OSError:
            pass
    daemon.wait_log(r"tls\.refused|conn\.close")
    with Cut(daemon.port("echo")) as client:
        client.send(b"still here")
        assert client.receive() == b"still here"


def test_a_handshake_that_does_not_come(secure):
    port = free_port()
    daemon = secure(config=f'echo {{ listen = "{port}" tls = yes first_byte = "300ms" }}',
                    options=())
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock:
        assert receive_all(sock) == b""
    daemon.wait_log(r"tls\.refused peer=\S+ why=timeout")


def keyed(port, path, service="role"):
    return f'{service} {{ listen = "127.0.0.1:{port}" tls = yes authorized_keys = "{path}" }}\n'


def test_whom_a_server_lets_in(prise, other, secure, tmp_path):
    mine, port, keys = prise("key").out.strip(), free_port(), tmp_path / "keys"
    keys.write_text(f"# nobody yet\n{mine} echo another service\n")
    daemon = secure(config=keyed(port, keys), options=())
    assert "the keys it knows" in daemon.log()
    done = prise("role", "--tls", f"127.0.0.1:{port}", "-t", "1s")
    assert done.code == 7 and "does not let the key of this machine in" in done.err
    daemon.wait_log(rf"tls\.refused peer=\S+ fingerprint={re.escape(mine)} why=key_service")
    with pytest.raises(ssl.SSLError):
        with Cut(port) as nobody:
            nobody.receive()
    daemon.wait_log(r"tls\.refused peer=\S+ why=key_missing")
    with pytest.raises(ssl.SSLError):
        other("key")
        with Cut(port, context=client_context(key_file(other))) as stranger:
            stranger.receive()
    daemon.wait_log(r"tls\.refused peer=\S+ fingerprint=\S+ why=key_unknown")

    keys.write_text(f"{mine} echo,role\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log(r"daemon\.reloaded")
    with Cut(port, context=client_context(key_file(prise))) as client:
        assert client.receive() == b"principal"

    keys.write_text("nonsense\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log(r"daemon\.reload_failed.*keys:1: expected FINGERPRINT")
    with Cut(port, context=client_context(key_file(prise))) as client:
        client.receive()


def test_beyond_this_machine(prise, tmp_path):
    port, keys = free_port(), tmp_path / "keys"
    keys.write_text("")
    config = tmp_path / "c.conf"
    for text, code in ((f'inbox {{ listen = "any:{port}" }}', 2),
                       (f'inbox {{ listen = "any:{port}" tls = yes }}', 2),
                       (f'inbox {{ listen = "any:{port}" authorized_keys = "{keys}" }}', 2),
                       (keyed(port, tmp_path / "none", "inbox"), 9),
                       (keyed(port, keys, "inbox").replace("127.0.0.1", "any"), 0)):
        config.write_text(text)
        done = prise("serve", "--check-config", "-c", config)
        assert done.code == code, (text, done)
    keys.chmod(0o666)
    assert prise("serve", "--check-config", "-c", config).code == 2


def test_a_service_becomes_secret(prise, serve):
    port = free_port()
    prise("key")
    daemon = serve(config=f'echo {{ listen = "127.0.0.1:{port}" }}')
    daemon.config_path.write_text(f'echo {{ listen = "127.0.0.1:{port}" tls = yes }}')
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as old:
        old.sendall(b"plain")
        assert old.recv(9) == b"plain"
        daemon.signal(signal.SIGHUP)
        daemon.wait_log(r"daemon\.reload")
        old.sendall(b"still")
        assert old.recv(9) == b"still"
    assert "reload_failed" not in daemon.log(), daemon.log()
    with Cut(port) as client:
        client.send(b"secret")
        assert client.receive() == b"secret"


def test_many_at_once(secure):
    daemon = secure("echo")
    context = client_context()
    clients = [Cut(daemon.port("echo"), context=context) for _ in range(1000)]
    try:
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        for number, client in enumerate(clients):
            assert client.receive() == b"%d" % number
    finally:
        for client in clients:
            client.socket.close()


def test_a_stop_is_said(secure):
    daemon = secure("echo", "role")
    with Cut(daemon.port("echo")) as client, Cut(daemon.port("role")) as member:
        client.send(b"x")
        assert client.receive() == b"x" and member.receive() == b"principal"
        daemon.stop()
        assert client.receive() == b""
        assert member.receive() == b""


def test_a_role_that_is_told_to_end_before_the_server_answers(prise, secure):
    daemon = secure("role")
    daemon.signal(signal.SIGSTOP)
    try:
        process = prise.start("role", "--tls", "-v", at(daemon, "role"))
        line = b"?"
        while line and str(daemon.port("role")).encode() not in line:
            line = process.stderr.readline()
        assert line
        process.send_signal(signal.SIGTERM)
        assert process.wait(9) == 143  # and not after 10 s, when the handshake took too long
    finally:
        daemon.signal(signal.SIGCONT)


def test_one_process_many_keys_made_once(prise):
    running = [prise.start("key") for _ in range(8)]
    shown = {process.communicate(timeout=SECONDS)[0] for process in running}
    assert len(shown) == 1
    left = [path.name for path in key_file(prise).parent.iterdir()]
    assert left == ["key.pem"]
    wait_until(lambda: all(process.poll() == 0 for process in running), "all to end well")
