"""`prise doctor`: each limit is found, in a machine of files (--root) or by setting it."""

import json
import os
import pathlib
import re
import resource
import shutil
import socket
import subprocess
import tempfile

import pytest
from support import SECONDS

FINE = {
    "proc/sys/fs/file-max": "9223372036854775807",
    "proc/sys/net/core/somaxconn": "4096",
    "proc/sys/fs/inotify/max_user_watches": "1048576",
    "proc/sys/fs/inotify/max_user_instances": "1024",
    "proc/sys/fs/inotify/max_queued_events": "65536",
    "proc/sys/net/ipv4/ip_unprivileged_port_start": "0",
    "proc/self/status": "Name:\tprise\nCapEff:\t000001ffffffffff",
    "proc/net/if_inet6": "00000000000000000000000000000001 01 80 10 80       lo\n"
                         "20010db8000000000000000000000001 02 40 00 80     eth0",
    "etc/services": "echo 7/tcp",
}
HELD = ("sl local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n"
        " 0: 0100007F:1E61 00000000:0000 0A 00000000:00000000 00:00000000 00000000 USER 0 24631 1")
MINE = HELD.replace("USER", str(os.geteuid()))


@pytest.fixture
def machine(prise, tmp_path):
    """machine(path=text...) looks at a machine whose files are FINE but for those given."""

    def look(changes=None, drop=()):
        root = tmp_path / "machine"
        for path, text in {**FINE, **(changes or {})}.items():
            if path in drop:
                continue
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text + "\n", encoding="utf-8")
        done = prise("doctor", "--json", "--root", root)
        return done.code, [e for e in done.events if e["subject"] != "clock"]

    return look


def verdicts(events, subject):
    return [(e["verdict"], e.get("lift", "")) for e in events if e["subject"] == subject]


@pytest.mark.parametrize("path, value, subject, lift", [
    ("proc/sys/fs/file-max", "100", "descriptors", "fs.file-max"),
    ("proc/sys/net/core/somaxconn", "128", "backlog", "net.core.somaxconn"),
    ("proc/sys/fs/inotify/max_user_watches", "8192", "inotify", "max_user_watches"),
    ("proc/sys/fs/inotify/max_user_instances", "16", "inotify", "max_user_instances"),
    ("proc/sys/fs/inotify/max_queued_events", "100", "inotify", "max_queued_events"),
    ("proc/self/status", "CapEff:\t0000000000000000", "capabilities", "cap_net_raw"),
    ("proc/net/if_inet6", "", "ipv6", "disable_ipv6"),
])
def test_each_limit_and_what_lifts_it(prise, machine, path, value, subject, lift):
    if subject == "inotify" and prise("help", "watch").code != 0:
        pytest.skip("nothing watches yet")
    assert not [f for f in verdicts(machine()[1], subject) if lift in f[1]]
    code, events = machine({path: value})
    assert [f for f in verdicts(events, subject) if f[0] == "limit" and lift in f[1]]
    assert code == 0, "a limit is nothing that stands in the way"


def test_low_ports(machine):
    closed = {"proc/sys/net/ipv4/ip_unprivileged_port_start": "1024",
              "proc/self/status": "CapEff:\t0000000000000000"}
    (verdict, lift), = verdicts(machine(closed)[1], "low ports")
    assert verdict == "limit" and "cap_net_bind_service" in lift
    able = {**closed, "proc/self/status": "CapEff:\t0000000000000400"}
    assert verdicts(machine(able)[1], "low ports") == [("ok", "")]


def test_no_table_of_services(machine):
    assert verdicts(machine(drop=["etc/services"])[1], "names") == [
        ("limit", "apt-get install netbase")]


def test_a_port_held_is_a_fault(machine):
    code, events = machine({"proc/net/tcp": MINE})
    (verdict, lift), = verdicts(events, "ports")
    assert code == 1 and verdict == "fault" and lift == "prise serve echo=:PORT"
    assert f"user {os.geteuid()}" in [e["text"] for e in events if e["subject"] == "ports"][0]


def in_a_network_of_its_own(prise, make):
    """What is said of multicast after `make`, beside two interfaces with a cable between."""
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec", "ip link set lo up; ip link add va type veth peer vb;"
         f"{make}\n exec {prise.path} doctor --json"],
        env=prise.environment, capture_output=True, text=True, check=False, timeout=SECONDS)
    if re.search("unshare: |Unknown device type|Operation not permitted", done.stderr):
        pytest.skip(done.stderr)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (event,) = [e for e in events if e["subject"] == "multicast"]
    return event


CABLE = ("ip link set va up; ip link set vb up multicast off;"
         "while ip link show va | grep -q NO-CARRIER; do :; done;"
         "while ip link show vb | grep -q NO-CARRIER; do :; done;")


@pytest.mark.root
@pytest.mark.parametrize("make, verdict, lift, said", [
    ("", "limit", "ip link set dev INTERFACE up", "no multicast leaves this machine"),
    ("ip link set va up", "limit", "ip link set dev INTERFACE up", "no interface but loopback"),
    (CABLE + "ip link set va multicast off", "limit", "ip link set dev {} multicast on",
     "interface {} takes no multicast"),
    (CABLE, "ok", "", "interface va takes multicast"),
], ids=["loopback alone", "no carrier", "mute", "takes it"])
def test_multicast(prise, make, verdict, lift, said):
    """And what is named for lifting the limit does."""
    event = in_a_network_of_its_own(prise, make)
    name = re.search(r"interface (v\w) |$", event["text"])[1] or ""
    assert verdicts([event], "multicast") == [(verdict, lift.format(name))]
    assert said.format(name) in event["text"]
    if name and verdict == "limit":
        assert in_a_network_of_its_own(prise, f"{make}; {event['lift']}")["verdict"] == "ok"


@pytest.mark.root
def test_a_port_that_another_user_holds_is_none(prise):
    """It may be root's daemon: whoever is not root cannot see."""
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        root.chmod(0o755)
        (root / "proc/net").mkdir(parents=True)
        (root / "proc/net/tcp").write_text(HELD.replace("USER", "0") + "\n", encoding="ascii")
        program = shutil.copy2(prise.path, root / "prise")
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--",
                               program, "doctor", "--json", "--root", root], check=False, cwd="/",
                              env=prise.environment, capture_output=True, text=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (verdict, _), = verdicts(events, "ports")
    assert verdict == "limit" and done.returncode == 0, done


def test_it_speaks_of_no_command_that_there_is_not(prise, machine):
    _, events = machine({"proc/self/status": "CapEff:\t0000000000000000"})
    said = " ".join(f"{e['text']} {e.get('lift', '')}" for e in events) + prise("doctor").out
    for command in ("scan", "watch", "chat", "cast"):
        if prise("help", command).code != 0:
            assert command not in re.findall(r"\w+", said), said


def test_a_port_held_names_the_process(machine, tmp_path):
    fd = tmp_path / "machine/proc/4242/fd"
    fd.mkdir(parents=True)
    (fd / "3").symlink_to("socket:[24631]")
    (tmp_path / "machine/proc/4242/comm").write_text("inetd\n")
    _, events = machine({"proc/net/tcp": MINE})
    assert "inetd, process 4242" in [e["text"] for e in events if e["subject"] == "ports"][0]
    (tmp_path / "machine/proc/4242/comm").write_text("prise\n")
    code, events = machine({"proc/net/tcp": MINE})
    assert code == 0 and verdicts(events, "ports") == [("ok", "")]


def test_a_real_port_held_by_this_process(prise):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", 7777))
            s.listen()
        except OSError:
            pytest.skip("somebody else has port 7777")
        done = prise("doctor")
        assert done.code == 1 and "port 7777 of echo is held by" in done.out


def test_descriptors_are_those_of_this_process(prise):
    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))

    done = prise("doctor", preexec_fn=lower)
    assert "1000 open files" in done.out and "prlimit" in done.out


def test_quiet_shows_only_what_is_not_fine(prise):
    assert not [line for line in prise("doctor", "-q").out.splitlines() if line.startswith("ok ")]


def test_it_changes_nothing(prise):
    before = sorted(p.name for p in prise.directory.rglob("*"))
    prise("doctor")
    assert before == sorted(p.name for p in prise.directory.rglob("*"))
