"""Terminal sessions as a page shows them, read and replayed.

A block ```console holds what is typed and what is seen:

    $ COMMAND      typed in a terminal; the lines below it are all that it prints
    1$ COMMAND     the same in another terminal: 0 to 9, one shell each for the whole page
    1> LINE        typed to the program that runs in terminal 1; ^C and ^D are the keys
    1: TEXT        what terminal 1 shows meanwhile; lines below it belong to it
    …              anything; alone on its line, any number of lines

A block of another language whose first line is `# file NAME` is a file that the reader makes.

As a program, sessions.py PAGE replays a page and prints the first thing that differs; 0, 1, or 77
when a program that the page uses is missing. Each shell sits on a terminal of its own, so what is
seen is what a reader would see."""

import collections
import pathlib
import re
import shutil
import sys
import time

SECONDS = 30  # for one step
READY = "\x01"  # the shells' prompt
MISSING = 77
TOOLS = {"ncat", "nc", "telnet", "strace", "gcc", "python3", "od"}

Block = collections.namedtuple("Block", "line language text")
Step = collections.namedtuple("Step", "line terminal kind text shown")


def blocks(page):
    text = pathlib.Path(page).read_text(encoding="utf-8")
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S):
        yield Block(text.count("\n", 0, found.start()) + 2, found.group(1), found.group(2))


def file_of(block):
    """The name of the file that a block is, or None."""
    found = re.match(r"# file (\S+)\n", block.text)
    return found.group(1) if found else None


def steps(block):
    """The steps of a console block, each with the lines that it shows."""
    found = []
    for number, line in enumerate(block.text.splitlines(), block.line):
        begun = re.match(r"(\d?)(\$|>|:)(?: (.*)|$)", line)
        if begun and (begun.group(1) or begun.group(2) == "$"):
            terminal, kind, text = begun.groups()
            found.append(Step(number, terminal, kind, text or "", []))
            if kind == ":":
                found[-1].shown.append(text or "")
        else:
            assert found, f"line {number}: output before any command"
            found[-1].shown.append(line)
    return found


def pattern(lines):
    """A regular expression for whole lines."""
    def one(line):
        if line == "…":
            return r"(?:[^\n]*\n)*?"
        return ".*?".join(re.escape(part) for part in line.split("…")) + "\n"

    return "".join(map(one, lines))


def keys(text):
    return {"^C": "\x03", "^D": "\x04"}.get(text, text + "\n")


class Wrong(Exception):
    pass


class Terminal:
    """A shell on a terminal. `seen` is what it showed and no step has asked for yet."""

    def __init__(self, spawn):
        self.child = spawn("bash", ["--norc", "--noediting", "-i"], echo=False, encoding="utf-8",
                           codec_errors="replace", dimensions=(40, 500))
        self.seen = ""
        self.read_until(lambda: READY in self.seen)
        self.seen = ""

    def read_until(self, enough):
        deadline = time.monotonic() + SECONDS
        while not enough():
            if time.monotonic() > deadline:
                return False
            try:
                self.seen += self.child.read_nonblocking(65536, 0.1).replace("\r", "")
            except Exception as error:  # pylint: disable=broad-except
                if type(error).__name__ == "EOF":
                    return enough()
        return True

    def type(self, text):
        self.child.send(keys(text))

    def expect_end(self, shown):
        """The program ends, having shown just that."""
        if not self.read_until(lambda: READY in self.seen):
            raise Wrong(f"did not end; it shows\n{self.seen}")
        text, _, self.seen = self.seen.partition(READY)
        text = text.strip("\n") + "\n"
        if not re.fullmatch(" *" + pattern(shown), text if shown else text.strip("\n")):
            raise Wrong(f"shows\n{text}")

    def expect(self, shown):
        """The program goes on, having shown that."""
        # Before it may be what is left of a prompt's line, and it may be a prompt, without LF.
        text = pattern(shown) if shown[-1].endswith("…") else pattern(shown).removesuffix("\n")
        wanted = re.compile("^ *" + text, re.M)
        if not self.read_until(lambda: wanted.search(self.seen)):
            raise Wrong(f"shows\n{self.seen}")
        self.seen = self.seen[wanted.search(self.seen).end():]

    def close(self):
        self.child.close(force=True)


class Replay:
    def __init__(self, spawn):
        self.spawn = spawn
        self.terminals = {}

    def step(self, step, ends):
        if step.terminal not in self.terminals:
            self.terminals[step.terminal] = Terminal(self.spawn)
        terminal = self.terminals[step.terminal]
        if step.kind != ":":
            terminal.type(step.text)
        if ends:
            terminal.expect_end(step.shown)
        elif step.shown:
            terminal.expect(step.shown)

    def close(self):
        for terminal in self.terminals.values():
            terminal.close()


def replay(page):
    import pexpect  # pylint: disable=import-outside-toplevel

    replaying = Replay(pexpect.spawn)
    found = list(blocks(page))
    for block in found:
        if file_of(block):
            pathlib.Path(file_of(block)).write_text(block.text, encoding="utf-8")
    every = [step for block in found if block.language == "console" for step in steps(block)]
    missing = [t for t in sorted(TOOLS) if not shutil.which(t) and
               any(re.search(rf"\b{t}\b", s.text) for s in every)]
    if missing:
        print(f"not installed: {' '.join(missing)}")
        return MISSING
    try:
        for at, step in enumerate(every):
            later = [s for s in every[at + 1:] if s.terminal == step.terminal]
            replaying.step(step, not later or later[0].kind == "$")
    except Wrong as wrong:
        print(f"{page}:{step.line}: {step.terminal}{step.kind} {step.text}\n"
              f"the page shows\n" + "\n".join(step.shown) + f"\nbut it {wrong}")
        return 1
    finally:
        replaying.close()
    return 0


if __name__ == "__main__":
    sys.exit(replay(sys.argv[1]))
