"""Names with one dead family, and machines that lack one: the other family answers, and at once."""

import re

import box
import pytest

HOSTS = ("2001:db8::1 both.test\n127.0.0.1 both.test\n127.0.0.1 four.test\n2001:db8::1 six.test\n"
         "::1 loop.test\n127.0.0.1 loop.test\n")
NO_IPV6 = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"
GREET = {"127.0.0.1 7013": "Tuesday, February 22, 1982 17:37:43-UTC\r\n"}

# 2001:db8::1 is ours, so that there is a way to it, and what is sent there is never answered.
DEAD_IPV6 = ["ip address add 2001:db8::1/64 dev lo nodad", "nft add table inet t",
             "nft 'add chain inet t i { type filter hook input priority 0; }'",
             "nft 'add rule inet t i ip6 daddr 2001:db8::1 drop'"]


def daytime(prise, settings, *arguments):
    settings = {"hosts": HOSTS, "zone": None, **settings}
    return box.run(prise, settings, "daytime", *arguments)


def test_a_family_that_never_answers(prise):
    done = daytime(prise, {"setup": DEAD_IPV6, "greet": GREET}, "-t", "9s", "both.test:7013")
    assert done.code == 0 and "1982" in done.out


GREET_U = {"answer": {"127.0.0.1 7013": GREET["127.0.0.1 7013"], "127.0.0.1 7037": "time",
                      "127.0.0.1 7777": None}}


def over_udp(prise, settings, command, *arguments, stdin=b""):
    settings = {"hosts": HOSTS, "zone": None, **settings}
    return box.run(prise, settings, command, "-u", *arguments, stdin=stdin)


@pytest.mark.parametrize("command, words, out", [
    ("daytime", ["both.test:7013"], "1982"),
    ("time", ["both.test:7037"], "1961"),
    ("echo", ["both.test:7777", "hop"], "hop\n"),
    ("echo", ["both.test:7777", "hop", "-c", 2, "-i", "1ms"], "hop\nhop\n"),
    ("echo", ["both.test:7777", "-c", 3, "-i", "1ms"], "3 sent, 3 back, 0 lost"),
])
def test_datagrams_to_a_family_that_never_answers(prise, command, words, out):
    """The other one is sent the same, and the rounds begin once an address has answered."""
    done = over_udp(prise, {"setup": DEAD_IPV6, **GREET_U}, command, "-v", *words)
    assert done.code == 0 and out in done.out
    assert "-> [2001:db8::1]:7" in done.err and "-> 127.0.0.1:7" in done.err
    if "sent" in out:
        assert done.out.count(" bytes from 127.0.0.1:7777: round=") == 3


@pytest.mark.parametrize("command", ["daytime", "time"])
def test_datagrams_that_nobody_answers(prise, command):
    """Each address is tried again and again, in the time of one."""
    setup = DEAD_IPV6 + ["nft 'add rule inet t i ip daddr 127.0.0.1 udp dport 7013 drop'"]
    done = over_udp(prise, {"setup": setup}, command, "-v", "-t", "4s", "both.test:7013")
    assert done.code == 5
    for remote in ("[2001:db8::1]:7013", "127.0.0.1:7013"):
        assert len(re.findall(rf"(?m)^> +\S+  {re.escape(remote)}  0$", done.err)) >= 2, done.err


def test_a_refusal_tells_more_than_silence(prise):
    done = over_udp(prise, {"setup": DEAD_IPV6}, "daytime", "-t", "3s", "both.test:7013")
    assert done.code == 4


def test_both_families_silent_is_a_timeout(prise):
    setup = DEAD_IPV6 + ["nft 'add rule inet t i tcp dport 7013 drop'"]
    done = daytime(prise, {"setup": setup}, "-t", "600ms", "both.test:7013")
    assert done.code == 5


@pytest.mark.parametrize("name", ["both.test", "four.test", "loop.test", "localhost"])
def test_ipv6_off(prise, name):
    done = daytime(prise, {"setup": [NO_IPV6], "greet": GREET}, f"{name}:7013")
    assert done.code == 0 and "1982" in done.out


@pytest.mark.parametrize("where", ["six.test:7013", "[2001:db8::1]:7013", "[::1]:7013"])
def test_ipv6_off_and_nothing_else_to_try(prise, where):
    done = daytime(prise, {"setup": [NO_IPV6]}, where)
    assert done.code == 6 and "no such family" in done.err


@pytest.mark.parametrize("command, where, helps", [
    (["listen"], "4444", True), (["listen", "-u"], "any:4444", None),
    (["listen"], "[::1]:4444", False), (["serve"], "echo=:4444", True),
    (["serve"], "echo=[::1]:4444", False), (["echo", "-u"], "::1", False),
    (["daytime"], "localhost", True), (["get"], "http://[::1]/", False),
    (["get"], "http://six.test/", True),
])
def test_ipv6_off_and_only_ipv6_asked_for(prise, command, where, helps):
    """The family is missing, whatever was asked for; leaving out -6 helps a name, no literal.
    Everywhere (`any`) can be listened on without an address."""
    settings = {"hosts": HOSTS, "zone": None, "setup": [NO_IPV6]}
    done = box.run(prise, settings, command[0], "-6", *command[1:], where, *["hop"] *
                   ("echo" in command), *["-t", "100ms"] * ("serve" not in command))
    if helps is None:
        assert done.code == 5, done
    else:
        code = 9 if command[0] in ("listen", "serve") else 6
        assert done.code == code and "no such family here" in done.err, done
        assert ("leave out -4 or -6" in done.err) == helps, done
        assert ("`ip address`" in done.err) != helps, done


@pytest.mark.parametrize("where", ["192.0.2.1", "2001:db8::9", "away.test"])
@pytest.mark.parametrize("options", [[], ["-u"]])
def test_only_loopback_is_no_lack_of_a_family(prise, where, options):
    settings = {"hosts": "192.0.2.1 away.test\n2001:db8::9 away.test\n", "zone": None}
    done = box.run(prise, settings, "daytime", *options, where)
    assert done.code == 6 and "this machine has no route to " in done.err, done


def test_ipv6_off_and_a_name_of_both_to_listen_on(prise):
    """What there is of it is listened on."""
    done = box.run(prise, {"hosts": HOSTS, "zone": None, "setup": [NO_IPV6]},
                   "listen", "-t", "100ms", "loop.test:4444")
    assert done.code == 5 and "nobody came" in done.err, done


def test_ipv6_off_and_nobody_listens(prise):
    done = daytime(prise, {"setup": [NO_IPV6]}, "localhost:7013")
    assert done.code == 4


FORBIDS = ["nft add table inet t",
           "nft 'add chain inet t o { type filter hook output priority 0; }'",
           "nft 'add rule inet t o ip6 daddr ::1 udp dport 7013 drop'"]


@pytest.mark.parametrize("command", [["daytime", "-u"], ["time", "-u"], ["echo", "-u"],
                                     ["connect", "-u"], ["connect", "-z", "-u"]])
def test_what_a_firewall_here_forbids_over_udp(prise, command):
    """It is told as over TCP, and of one address alone."""
    text = ["hop"] if command[0] == "echo" else []
    done = over_udp(prise, {"setup": FORBIDS}, *command, "[::1]:7013", *text, stdin=b"hop\n")
    assert done.code == 6 and "prohibited" in done.err, done
    done = over_udp(prise, {"setup": FORBIDS}, *command, "loop.test:7013", *text, stdin=b"hop\n")
    assert done.code == 4, done


@pytest.mark.parametrize("option, name", [("-6", "four.test"), ("-4", "six.test")])
def test_a_name_without_the_family_asked_for(prise, option, name):
    done = daytime(prise, {}, option, f"{name}:7013")
    assert done.code == 3


@pytest.mark.parametrize("rule, code", [
    ("ip daddr 127.0.0.1 tcp dport 7013 reject with icmp type admin-prohibited", 6),
    ("ip daddr 127.0.0.1 tcp dport 7013 reject with icmp type host-unreachable", 6),
    ("ip daddr 127.0.0.1 tcp dport 7013 reject with tcp reset", 4),
    ("ip daddr 127.0.0.1 tcp dport 7013 drop", 5),
])
def test_what_a_firewall_answers(prise, rule, code):
    setup = ["nft add table inet t",
             "nft 'add chain inet t i { type filter hook input priority 0; }'",
             f"nft 'add rule inet t i {rule}'"]
    done = daytime(prise, {"setup": setup}, "-t", "900ms", "127.0.0.1:7013")
    assert done.code == code
    assert ("prohibited" in done.err) == ("admin-prohibited" in rule)
