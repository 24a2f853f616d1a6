"""The services as other people's tools see them: netcat-openbsd, ncat, socat, telnet."""

import re
import select
import shutil
import subprocess

import pexpect
import pytest
from support import SECONDS, free_port, has_ipv6

DAYTIME = re.compile(rb"\w+day, \w+ \d+, \d{4} \d\d:\d\d:\d\d-UTC\r\n")

# What sends stdin, half-closes, prints what comes and ends with the peer.
TCP = {
    "nc": ["nc", "-N", "{host}", "{port}"],
    "ncat": ["ncat", "{host}", "{port}"],
    "socat": ["socat", "-t20", "-", "TCP:{bracketed}:{port}"],
}
# What sends what it reads as datagrams and prints what comes.
UDP = {
    "nc": ["nc", "-u", "{host}", "{port}"],
    "ncat": ["ncat", "-u", "{host}", "{port}"],
    "socat": ["socat", "-", "UDP:{bracketed}:{port}"],
}
HOSTS = ["127.0.0.1", "::1"]


def command(words, host, port):
    if not shutil.which(words[0]):
        pytest.skip(f"no {words[0]} here")
    if host == "::1" and not has_ipv6():
        pytest.skip("no IPv6 here")
    names = {"host": host, "bracketed": f"[{host}]" if ":" in host else host, "port": port}
    return [word.format(**names) for word in words]


def run(words, host, port, data=b""):
    return subprocess.run(command(words, host, port), input=data, timeout=SECONDS, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def ask(words, host, port, data):
    """The first answer to a datagram; the tool itself would wait for more."""
    with subprocess.Popen(command(words, host, port), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as tool:
        tool.stdin.write(data)
        ready, _, _ = select.select([tool.stdout], [], [], SECONDS)
        answer = tool.stdout.read(65536) if ready else b""
        tool.kill()
    return answer


@pytest.fixture
def daemon(serve):
    names = ("echo", "daytime", "upper", "dialogue", "sum", "role")
    return serve(*(f"{name}=:{free_port()}" for name in names))


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("tool", TCP)
def test_tcp(daemon, tool, host):
    data = bytes(range(256)) * 2000

    def say(name, sent):
        return run(TCP[tool], host, daemon.port(name), sent)

    assert say("echo", data) == data
    assert DAYTIME.fullmatch(say("daytime", b""))
    assert say("upper", b" hello \n") == b"HELLO"
    assert say("dialogue", b"FIN\n").endswith(b"Votre message ?\nGood Bye.")
    assert say("role", b"") == b"principal"
    assert say("sum", b"\x0e\0\0\0\x80\x03]q\0(K\x01K\x02K\x03e.") == b"\x06\0\0\0"


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("tool", UDP)
def test_udp(daemon, tool, host):
    assert ask(UDP[tool], host, daemon.port("echo"), b"in one piece") == b"in one piece"
    assert DAYTIME.fullmatch(ask(UDP[tool], host, daemon.port("daytime"), b"\n"))


@pytest.mark.parametrize("host", HOSTS)
def test_telnet(daemon, host):
    if not shutil.which("telnet"):
        pytest.skip("no telnet here")
    if host == "::1" and not has_ipv6():
        pytest.skip("no IPv6 here")
    with pexpect.spawn("telnet", [host, str(daemon.port("dialogue"))], timeout=SECONDS,
                       encoding="utf-8") as telnet:
        telnet.expect("connecté au serveur .*Votre message \\?")
        telnet.sendline("bonjour")
        telnet.expect("ECHO : bonjour\r\nVotre message \\?")
        telnet.sendline("fin")
        telnet.expect("Good Bye\\.")
        telnet.expect("closed by foreign host")


def test_a_socket_as_a_file_of_lines(daemon):
    """As some of the courses' clients do: makefile and readline."""
    with daemon.connect("echo") as s, s.makefile("rwb") as f:
        for line in (b"un\n", b"deux\n", b"trois\n"):
            f.write(line)
            f.flush()
            assert f.readline() == line
