"""The units of systemd: what systemd itself says of them."""

import shutil
import subprocess

import pytest
from support import ROOT, SECONDS


@pytest.mark.parametrize("unit", ["prise.service", "prise-watch.service"])
def test_systemd_understands_the_unit(prise, tmp_path, unit):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd here")
    text = (ROOT / "packaging" / f"{unit}.in").read_text(encoding="utf-8")
    (tmp_path / "prise").symlink_to(prise.path)
    (tmp_path / unit).write_text(text.replace("@bindir@", str(tmp_path)), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / unit],
                          capture_output=True, text=True, timeout=SECONDS, check=False)
    complaints = [line for line in done.stderr.splitlines() if unit in line]
    assert not complaints, complaints
