"""Every block of docs/exercises.md, docs/teaching.md and their French twins, run in order as the
page shows it (tests/sessions.py says how blocks are read): in a network namespace of its own, so on
the default ports, with a home directory of its own."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

import sessions
from support import ROOT, SANITIZER, sysctl

DOCS = ROOT / "docs"
TWINS = [("exercises.md", "exercices.md"), ("teaching.md", "enseigner.md")]
LANGUAGES = {"exercises.md": "C.UTF-8", "teaching.md": "C.UTF-8",
             "exercices.md": "fr_FR.UTF-8", "enseigner.md": "fr_FR.UTF-8"}
HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 poste\n"
SECONDS = 300
# Under strace, which the pages use, nothing can look for leaks; other tests do.
ASAN_OPTIONS = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"


def replay(prise, page, language):
    """Types what a page shows, and expects what it shows."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare here")
    programs = prise.directory / "bin"
    programs.mkdir()
    (programs / "prise").symlink_to(os.path.abspath(prise.path))
    (prise.directory / "examples").symlink_to(ROOT / "examples")
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    box = json.dumps({"hosts": HOSTS, "zone": None, "setup": ["hostname poste"]})
    environment = {**prise.environment, "PS1": "\x01", "PS2": "", "TERM": "dumb", "LC_ALL": "",
                   "LANG": language, "HISTFILE": "", "ASAN_OPTIONS": ASAN_OPTIONS,
                   "PATH": f"{programs}:{prise.environment['PATH']}:/usr/sbin:/sbin"}
    command = ["unshare", *user, "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child",
               "--mount-proc", sys.executable, ROOT / "tests/box.py", box,
               sys.executable, ROOT / "tests/sessions.py", page]
    # The pages fill the queue, however long it is; a very long one takes minutes.
    with sysctl("fs.inotify.max_queued_events", 16384, lambda old: old > 100000):
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False,
                              stdin=subprocess.DEVNULL, cwd=prise.directory, env=environment)
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    if done.returncode == sessions.MISSING or "unshare: " in text:
        pytest.skip(text or "no namespaces here")
    assert done.returncode == 0 and not SANITIZER.search(done.stdout + done.stderr), text


@pytest.mark.parametrize("page", LANGUAGES)
def test_the_page_shows_what_is_seen(prise, page):
    replay(prise, DOCS / page, LANGUAGES[page])


def commands(page):
    """What is typed, but for words between quotes, which are in the page's language."""
    return [re.sub(r"'[^']*'|\"[^\"]*\"", "''", step.terminal + step.kind + step.text)
            for block in sessions.blocks(DOCS / page) if block.language == "console"
            for step in sessions.steps(block) if step.kind == "$"]


@pytest.mark.parametrize("twins", TWINS, ids="/".join)
def test_twins_do_the_same(twins):
    english, french = map(commands, twins)
    assert english == french and english


@pytest.mark.parametrize("page", LANGUAGES)
def test_links_lead_somewhere(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (DOCS / target).exists(), target
