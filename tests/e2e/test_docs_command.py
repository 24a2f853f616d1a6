"""docs/how-to-add-a-command.md shows what the programs really print, and code that stands."""

import re
import shlex
import subprocess

from support import ROOT
from test_examples import EXAMPLES

PAGE = (ROOT / "docs/how-to-add-a-command.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


def test_the_sessions_are_real(prise):
    session = next(block for block in blocks("") if block.startswith("$ repete"))
    for part in re.split(r"^\$ ", session, flags=re.M)[1:]:
        command, _, shown = part.partition("\n")
        name, *arguments = shlex.split(command)
        done = subprocess.run([EXAMPLES / name, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env=prise.environment,
                              check=False)
        assert done.stdout == shown, command


def test_the_code_is_the_example(prise):
    source = (ROOT / "examples/repete/repete.c").read_text()
    shown = [block for block in blocks("c") if not block.startswith("COMMAND(")]
    assert len(shown) == 3
    for block in shown:
        assert block in source
