"""`prise resolve`: with the system's resolver where its answer is certain, else with a file of
hosts and a name server of the test's own (box.py); Python's own look-ups and iproute2 are the
reference."""

import ipaddress
import json
import shutil
import socket
import subprocess
import time

import box
import pytest

ZONE = {
    "a.test A": ["192.0.2.1"],
    "a.test AAAA": ["2001:db8::1"],
    "alias.test CNAME": ["a.test"],
    "many.test A": ["192.0.2.1", "192.0.2.2"],
    "many.test AAAA": ["2001:db8::1", "2001:db8::2"],
    "four.test A": ["192.0.2.4"],
    "empty.test TXT": [],
    "broken.test": "SERVFAIL",
    "1.2.0.192.in-addr.arpa PTR": ["a.test"],
    "7.2.0.192.in-addr.arpa PTR": ["other.test"],
    "8.2.0.192.in-addr.arpa PTR": ["gone.test"],
    "other.test A": ["192.0.2.99"],
    f"{ipaddress.ip_address('2001:db8::1').reverse_pointer} PTR": ["a.test"],
}


def of_type(done, kind):
    return [event for event in done.events if event["type"] == kind]


def test_localhost_has_both_families_in_order(prise):
    done = prise("resolve", "--json", "localhost")
    assert done.code == 0
    assert [(e["order"], e["address"]) for e in done.events] == [(1, "::1"), (2, "127.0.0.1")]
    assert {e["canonical"] for e in done.events} == {"localhost"}
    assert {e["target"] for e in done.events} == {"localhost"}


@pytest.mark.parametrize("option, address", [("-4", "127.0.0.1"), ("-6", "::1"),
                                             ("--ipv4", "127.0.0.1"), ("--ipv6", "::1")])
def test_one_family(prise, option, address):
    done = prise("resolve", "--json", option, "localhost")
    assert done.code == 0 and [e["address"] for e in done.events] == [address]


def test_text(prise):
    lines = prise("resolve", "localhost").out.splitlines()
    assert lines[0] == "localhost" and lines[1] == "  canonical name: localhost"
    assert lines[2].split()[:2] == ["1", "::1"] and lines[3].split()[:2] == ["2", "127.0.0.1"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "fe80::1:2"])
def test_arpa_form_as_python_writes_it(prise, address):
    done = prise("resolve", "--json", address)
    assert done.code in (0, 3)
    form, = of_type(done, "resolve.arpa")
    assert form["arpa"] == ipaddress.ip_address(address).reverse_pointer
    assert form["arpa"] in prise("resolve", address).out


@pytest.mark.parametrize("name", ["trucbidule", "nothing.invalid"])
def test_an_unknown_name_is_3(prise, name):
    done = prise("resolve", "-t", "5s", name)
    assert done.code == 3 and done.out == ""
    assert "does not exist" in done.err or "no name server answers" in done.err
    assert name in done.err and "\n  try: " in done.err
    assert "refused" not in done.err and "timed out" not in done.err


@pytest.mark.thread
def test_several_targets(prise):
    assert prise("resolve", "localhost", "a.localhost").code == 0
    done = prise("resolve", "--json", "-t", "5s", "localhost", "nothing.invalid", "127.0.0.1")
    assert done.code == 1
    error, = of_type(done, "error")
    assert error["code"] == 3 and error["where"] == "nothing.invalid"
    assert [e["target"] for e in done.events if "target" in e][0] == "localhost"
    assert [e["target"] for e in done.events if "target" in e][-1] == "127.0.0.1"


@pytest.mark.parametrize("word", ["localhost:80", "http://localhost/", "", "two words", "a:b:c",
                                  "[localhost]", "unix:/x", "x" * 256, "a\nb"])
def test_neither_a_name_nor_an_address(prise, word):
    done = prise("resolve", word)
    assert done.code == 2 and done.out == "" and "try: " in done.err
    assert len(done.err.splitlines()) == 2


@pytest.mark.parametrize("option, address", [("-4", "::1"), ("-6", "127.0.0.1")])
def test_an_address_of_the_other_family(prise, option, address):
    assert prise("resolve", option, address).code == 3


def test_this_machine(prise):
    done = prise("resolve", "--json")
    assert done.code == 0
    host, = of_type(done, "resolve.host")
    assert host["name"] == socket.gethostname()
    shown = {(e["interface"], e["address"].split("%")[0])
             for e in of_type(done, "resolve.interface")}
    assert ("lo", "127.0.0.1") in shown
    text = prise("resolve").out.splitlines()
    assert text[0] == f"host name: {socket.gethostname()}"
    lines = {line.split(": ")[0]: {a.split("%")[0] for a in line.split(": ")[1].split()}
             for line in text[2:]}
    assert lines == {name: {a for n, a in shown if n == name} for name, _ in shown}
    if shutil.which("ip"):
        listed = json.loads(subprocess.run(["ip", "-json", "address"], capture_output=True,
                                           check=True).stdout)
        assert shown == {(link["ifname"], a["local"]) for link in listed
                         for a in link.get("addr_info", []) if "local" in a}


@pytest.mark.parametrize("option, family", [("-4", 4), ("-6", 6)])
def test_this_machine_in_one_family(prise, option, family):
    every = of_type(prise("resolve", "--json"), "resolve.interface")
    done = of_type(prise("resolve", "--json", option), "resolve.interface")
    assert [e["address"] for e in done] == [
        e["address"] for e in every
        if ipaddress.ip_address(e["address"].split("%")[0]).version == family]


def test_this_machine_without_ipv6(prise):
    off = {"setup": ["echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"]}
    done = box.run(prise, off, "resolve", "--json")
    assert done.code == 0
    assert [e["address"] for e in of_type(done, "resolve.interface")] == ["127.0.0.1"]


def test_fully_qualified_name(prise):
    host = socket.gethostname()
    done = box.run(prise, {"hosts": f"127.0.1.1 {host}.example.test {host}\n"}, "resolve", "--json")
    assert of_type(done, "resolve.host")[0]["full_name"] == f"{host}.example.test"


def test_localhost_without_a_file_or_a_server(prise):
    done = box.run(prise, {"zone": None}, "resolve", "--json", "localhost", "x.localhost")
    assert done.code == 0
    assert [e["address"] for e in done.events] == ["::1", "127.0.0.1"] * 2


@pytest.mark.thread
def test_canonical_name_and_the_names_behind(prise):
    done = box.run(prise, {"zone": ZONE}, "resolve", "--json", "alias.test")
    assert done.code == 0
    names = {e["address"]: e["names"] for e in done.events}
    assert names["2001:db8::1"] == "a.test"
    assert names["192.0.2.1"].split()[0] == "a.test"
    assert {e["canonical"] for e in done.events} == {"a.test"}
    text = box.run(prise, {"zone": ZONE}, "resolve", "alias.test").out
    assert "canonical name: a.test" in text


def test_families_in_turn(prise):
    done = box.run(prise, {"zone": ZONE}, "resolve", "--json", "many.test")
    families = [ipaddress.ip_address(e["address"]).version for e in done.events]
    assert families in ([6, 4, 6, 4], [4, 6, 4, 6])
    assert [e["order"] for e in done.events] == [1, 2, 3, 4]
    nameless = [e for e in done.events if e["address"] == "192.0.2.2"][0]
    assert nameless["names"] == "" and nameless["error"] == "no_name"


@pytest.mark.thread
def test_which_names_point_back(prise):
    done = box.run(prise, {"zone": ZONE}, "resolve", "--json", "192.0.2.1", "192.0.2.7",
                   "192.0.2.8")
    assert done.code == 0
    names = {e["name"]: e for e in of_type(done, "resolve.name")}
    assert names["a.test"]["points_back"] is True and "error" not in names["a.test"]
    assert names["other.test"]["points_back"] is False
    assert names["other.test"]["addresses"] == "192.0.2.99"
    assert names["gone.test"]["points_back"] is False
    assert names["gone.test"]["error"] == "no_name"
    text = box.run(prise, {"zone": ZONE}, "resolve", "192.0.2.1", "192.0.2.7").out.splitlines()
    assert "  a.test  points back" in text
    assert "  other.test  does not point back: 192.0.2.99" in text


def test_all_names_of_an_address(prise):
    hosts = {"hosts": "192.0.2.1 main.test second.test\n", "zone": None}
    done = box.run(prise, hosts, "resolve", "--json", "192.0.2.1")
    assert [(e["name"], e["points_back"]) for e in of_type(done, "resolve.name")] == [
        ("main.test", True), ("second.test", True)]


def test_an_address_without_a_name(prise):
    done = box.run(prise, {"zone": ZONE}, "resolve", "192.0.2.4")
    assert done.code == 3 and "no name points to 192.0.2.4" in done.err
    assert "4.2.0.192.in-addr.arpa" in done.out


@pytest.mark.parametrize("name, options, said", [
    ("nothing.test", [], "does not exist"),
    ("empty.test", [], "no address"),
    ("four.test", ["-6"], "no address"),
    ("broken.test", [], "no name server answers"),
])
def test_each_failure_of_a_name_by_its_own_text(prise, name, options, said):
    done = box.run(prise, {"zone": ZONE}, "resolve", *options, name)
    assert done.code == 3 and said in done.err and done.out == ""


def test_no_name_server_at_all(prise):
    done = box.run(prise, {"zone": {}, "setup": ["ip link set lo down"]}, "resolve", "a.test")
    assert done.code == 3 and "no name server answers" in done.err


@pytest.mark.thread
def test_a_silent_name_server_and_little_patience(prise):
    began = time.monotonic()
    done = box.run(prise, {"zone": ZONE, "silent": True, "options": "timeout:30"}, "resolve",
                   "-t", "300ms", "a.test", "b.test", "192.0.2.1")
    assert done.code == 1 and done.err.count("no name server") == 3
    assert time.monotonic() - began < 15
    done = box.run(prise, {"zone": ZONE, "silent": True}, "resolve", "a.test")
    assert done.code == 3 and "no name server answers" in done.err


@pytest.mark.thread
def test_many_targets_at_once(prise):
    zone = {f"n{i}.test A": [f"192.0.2.{i}"] for i in range(200)}
    done = box.run(prise, {"zone": zone}, "resolve", "--json", *(f"n{i}.test" for i in range(200)))
    assert done.code == 0
    assert [e["address"] for e in done.events] == [f"192.0.2.{i}" for i in range(200)]


def test_a_name_that_bites(prise):
    hosts = {"hosts": "192.0.2.5 \x1b]0;x\x07.test\n", "zone": None}
    done = box.run(prise, hosts, "resolve", "192.0.2.5")
    assert "\\x1b]0;x\\x07.test" in done.out
    assert "\x1b" not in done.out + done.err and "\x07" not in done.out + done.err


def test_an_address_of_a_link_has_its_interfaces_name(prise):
    """As it can be typed back: with lo, not with its number."""
    setup = {"setup": ["ip -6 address add fe80::77/64 dev lo nodad"]}
    for words in ([], ["fe80::77%lo"]):
        done = box.run(prise, setup, "resolve", *words)
        assert "fe80::77%lo" in done.out, done
