"""The README is held to the program: its table of commands, the command lines of its tour, and what
those print, but for what is another time and another machine."""

import re
import shlex

import pytest
from support import ROOT
from test_exercises import replay

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```$", README, re.M | re.S)
GROUPS = ("speak", "look", "spread", "serve", "own")
# Sessions between machines, and one whose dates are long past.
ELSEWHERE = ("prise role master:9001", "prise events --follow")
# What differs from run to run.
DIFFERS = [
    (r"^(<  ).*", r"\1…"),                                   # the bytes of a date
    (r"^(  (?:name|connect|first byte|transfer) ).*", r"\1…"),  # a drawing to scale
    (r"\w+day, \w+ \d+, \d{4} [\d:]+-UTC", "…"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "…"),
    (r'"(host|seconds|difference_ms)":[^,}]+', r'"\1":…'),
    (r"[\d.]+ (µs|ms|s)\b", "…"),
    (r"\b\d+\.\d{6}\b", "…"),
    (r"(?<=\[::1\]:)\d{5}\b", "…"),
    (r"^\.\.\.$", "…"),
]


def test_the_table_names_every_command_and_service(prise):
    rows = re.findall(r"^\| (\w+) \| (.*) \|$", README, re.M)
    assert [name for name, _ in rows] == list(GROUPS)
    shown = {name: re.findall(r"`(\w+)`", text) for name, text in rows}
    helped, group = {}, None
    for line in prise("help").out.splitlines():
        if line.lower() in GROUPS:
            group = line.lower()
            helped[group] = []
        elif group and line.startswith("  "):
            helped[group].append(line.split()[0])
    assert shown == helped
    services = re.findall(r"^SERVICE\((\w+),", (ROOT / "src/service/service.def").read_text(), re.M)
    assert dict(rows)["serve"] == f"`serve`: {' '.join(services)}"


def command_lines():
    """What stands behind `prise ` in a code span, or in a block at a prompt or as advice."""
    lines = re.findall(r"^(?:[$#]|  try:) (.*)", "".join(BLOCKS), re.M)
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```\n.*?^```$", "", README, flags=re.M | re.S))
    return sorted({found for line in lines for found in re.findall(r"\bprise (\w[^|,]*)", line)})


@pytest.mark.parametrize("line", command_lines())
def test_what_is_typed_exists(prise, line):
    command, *words = shlex.split(line)
    helped = prise("help", command)
    assert helped.code == 0
    for option in (word for word in words if re.match(r"--?[a-z]", word)):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", helped.out), option
    if command == "help":
        assert all(prise("help", word).code == 0 for word in words)


def test_the_tour_prints_what_is_seen(prise):
    sessions = []
    for block in BLOCKS:
        if block.startswith("SERVICE "):
            sessions.append(f"0$ prise serve\n{block}")
        for part in re.split(r"^(?=\$ )", block, flags=re.M):
            if part.startswith("$ ") and not part.startswith(tuple(f"$ {w}" for w in ELSEWHERE)):
                sessions.append(part.rstrip("\n") + "\n")
    for wanted, instead in DIFFERS:
        sessions = [re.sub(wanted, instead, text, flags=re.M) for text in sessions]
    assert len(sessions) >= 9
    sessions.append("0> ^C\n…\n")
    page = prise.directory / "README.md"
    page.write_text("".join(f"```console\n{text}```\n" for text in sessions), encoding="utf-8")
    replay(prise, page, "C.UTF-8")
