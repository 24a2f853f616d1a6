"""Names with one dead family, and machines that lack one: the other family answers, and at once."""

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
    done = daytime(prise, {"setup": DEAD_IPV6, "greet": GREET}, "-t", "900ms", "both.test:7013")
    assert done.code == 0 and "1982" in done.out


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


def test_ipv6_off_and_nobody_listens(prise):
    done = daytime(prise, {"setup": [NO_IPV6]}, "localhost:7013")
    assert done.code == 4


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
