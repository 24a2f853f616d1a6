"""The units of systemd: what systemd itself says of them, and the daemon in the environment that
its unit gives it."""

import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile

import pytest
from support import ROOT, SECONDS, Daemon, Prise, free_port

PACKAGING = ROOT / "packaging"
UNITS = ["prise.service", "prise-watch.service"]


def systemd(*words):
    if not shutil.which(words[0]):
        pytest.skip(f"no {words[0]} here")
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=SECONDS,
                          check=False)
    return done.stdout + done.stderr


def settings(unit, name):
    text = (PACKAGING / f"{unit}.in").read_text(encoding="utf-8")
    return " ".join(re.findall(rf"^{name}=(.*)$", text, re.M)).split()


@pytest.fixture(params=UNITS)
def unit(request, prise, tmp_path):
    text = (PACKAGING / f"{request.param}.in").read_text(encoding="utf-8")
    (tmp_path / "prise").symlink_to(prise.path)
    path = tmp_path / request.param
    path.write_text(text.replace("@bindir@", str(tmp_path)), encoding="utf-8")
    return path


def test_systemd_understands_the_unit(unit):
    said = systemd("systemd-analyze", "verify", "--man=no", unit)
    complaints = [line for line in said.splitlines() if unit.name in line]
    assert not complaints, complaints


def test_what_the_unit_leaves_open(unit):
    """systemd's own measure, 0 to 10: watch needs CAP_SYS_ADMIN, and sees every file."""
    said = systemd("systemd-analyze", "security", "--offline=true", unit)
    level = re.search(r"exposure level for .*: (\d+\.\d)", said)
    if not level:
        pytest.skip("this systemd-analyze does not look at files")
    assert float(level.group(1)) < {"prise.service": 4, "prise-watch.service": 9}[unit.name], said


def test_no_two_units_have_one_state_directory():
    """systemd gives it to the unit's user, with all that is in it."""
    directories = [settings(name, "StateDirectory") for name in UNITS]
    assert all(len(d) == 1 for d in directories) and directories[0] != directories[1]
    for name, directory in zip(UNITS, directories):
        state = f"XDG_STATE_HOME=/var/lib/{directory[0]}".removesuffix("/prise")
        assert state in settings(name, "Environment")


def test_the_user_is_made(tmp_path):
    (tmp_path / "etc").mkdir()
    said = systemd("systemd-sysusers", f"--root={tmp_path}", PACKAGING / "prise.sysusers")
    made = tmp_path / "etc" / "passwd"
    assert made.exists(), said
    user, = settings("prise.service", "User")
    assert re.search(rf"^{user}:.*:/var/lib/prise:", made.read_text(), re.M)
    assert re.search(rf"^{user}:", (tmp_path / "etc" / "group").read_text(), re.M)


@pytest.mark.root
def test_the_daemon_as_its_unit_starts_it():
    """As a user of its own, with /etc/prise as it is: root's, its key too. It makes its own."""
    with tempfile.TemporaryDirectory() as name:
        box = pathlib.Path(name)
        box.chmod(0o755)
        everybodys = Prise(box)
        everybodys.path = shutil.copy2(everybodys.path, box / "prise")
        roots = box / "etc" / "prise"
        roots.mkdir(parents=True)
        lib = box / "lib"
        for place in ("lib/prise", "run/prise"):
            (box / place).mkdir(parents=True, mode=0o700)
            os.chown(box / place, 65534, 65534)
        for place in ("etc", "etc/prise", "lib", "run"):
            (box / place).chmod(0o755)
        (roots / "key.pem").write_text("root's")
        (roots / "key.pem").chmod(0o600)
        (roots / "authorized_keys").write_text("")
        where = {"/var/lib": lib, "/etc": box / "etc", "/run": box / "run"}
        for word in settings("prise.service", "Environment"):
            variable, _, value = word.partition("=")
            everybodys.environment[variable] = str(where[value])
        config = (f'collect {{ listen = "127.0.0.1:{free_port()}" tls = yes '
                  f'authorized_keys = "{roots}/authorized_keys" }}\n')
        (box / "state").chmod(0o755)
        box.chmod(0o777)  # for the socket of sd_notify
        daemon = Daemon(everybodys, config=config, user=65534, group=65534, extra_groups=[])
        key = lib / "prise" / "key.pem"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600 and key.stat().st_uid == 65534
        assert re.search(r"SHA256:\S+", daemon.log())
        assert (lib / "prise" / "collect.db").exists() and (box / "run" / "prise" / "ctl").exists()
        assert daemon.stop() == 0
