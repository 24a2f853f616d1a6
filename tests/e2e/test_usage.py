"""The command line: help, options, what is said when somebody errs, in two languages."""

import json
import os
import pty
import shutil
import subprocess

import pytest
from support import ROOT

COMMANDS = [line.split("(")[1].split(",")[0]
            for line in (ROOT / "src/command/command.def").read_text().splitlines()
            if line.startswith("COMMAND(")]
FRENCH = {"LC_ALL": "", "LANG": "fr_FR.UTF-8"}  # the build tree's own catalogue


def two_lines(err):
    """An error is two lines: what, and what to try."""
    what, advice = err.splitlines()
    assert what.startswith("prise") and advice.startswith("  try: "), err
    return what, advice[len("  try: "):]


def test_nothing_at_all_is_wrong_usage_with_the_list(prise):
    done = prise()
    assert done.code == 2 and done.out == ""
    for command in COMMANDS:
        assert f"\n  {command} " in done.err


def test_version(prise):
    done = prise("--version")
    assert done.code == 0 and done.out.startswith("prise 0.")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_two_ways(prise, command):
    by_help, by_option = prise("help", command), prise(command, "--help")
    assert by_help.code == by_option.code == 0
    assert by_help.out == by_option.out
    assert by_help.out.startswith(f"prise {command}: ")
    assert f"\n  prise {command}" in by_help.out
    assert "--json" in by_help.out
    assert "\nExamples:\n" in by_help.out, "a command shows how it is used"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_the_width(prise, command):
    for columns in (40, 60, 100):
        done = prise("help", command, env={"COLUMNS": str(columns)})
        body = done.out.split("\nExamples:")[0]
        wrapped = [line for line in body.splitlines() if not line.startswith("  prise ")]
        assert max(map(len, wrapped)) <= columns


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_manual_pages_are_clean(prise, command):
    page = prise("help", "--man", *([command] if command else []))
    assert page.code == 0
    lint = subprocess.run(["mandoc", "-Tlint", "-W", "warning"], input=page.raw,
                          capture_output=True, check=False)
    assert lint.stdout == b"", lint.stdout.decode()
    if command:
        uses = page.out.split(".Sh SYNOPSIS\n")[1].split(".Sh ")[0]
        assert uses.count(".Nm ") == uses.count(".Op Ar OPTIONS\n") > 0


def test_completion_is_a_shell_script_that_completes(prise, tmp_path):
    script = tmp_path / "completion"
    script.write_bytes(prise("help", "--completion", "bash").raw)

    def complete(*words):
        ask = (f". {script}; COMP_WORDS=(prise {' '.join(words)}); COMP_CWORD={len(words)}; _prise;"
               ' echo "${COMPREPLY[@]}"')
        return subprocess.run(["bash", "-c", ask], capture_output=True, text=True,
                              check=True).stdout.split()

    assert "services" in complete("serv")
    assert complete("services", "--js") == ["--json"]
    assert complete("help", "doc") == ["doctor"]
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", script], check=True)


def test_unknown_command_names_the_nearest(prise):
    done = prise("dotcor")
    assert done.code == 2
    what, advice = two_lines(done.err)
    assert what == "prise: there is no command dotcor"
    assert advice.startswith("prise doctor")
    assert "prise help" in two_lines(prise("xyzzyxyzzy").err)[1]


@pytest.mark.parametrize("arguments, what, advice", [
    (["services", "--jsno"], "prise services: there is no option --jsno", "--json"),
    (["services", "--xyzzyxyzzy"], "there is no option --xyzzyxyzzy", "prise help services"),
    (["services", "-Z"], "there is no option -Z", "prise help services"),
    (["services", "-qZ"], "there is no option -Z", "prise help services"),
    (["services", "-é"], "there is no option -é", "prise help services"),
    (["services", "--udp"], "--udp has no meaning for this command", "prise help services"),
    (["services", "--json=yes"], "--json takes no value", "prise help services"),
    (["services", "-12"], "negative numbers stand behind --: -12", "-- -12"),
    (["services", "-1.5"], "negative numbers stand behind --: -1.5", "-- -1.5"),
    (["doctor", "more"], "more is too much", "prise doctor"),
    (["help", "servces"], "there is no command servces", "prise services"),
    (["help", "help", "doctor"], "one command at a time", "prise help COMMAND"),
    (["help", "--completion"], "--completion lacks its value", "--completion SHELL"),
    (["help", "--completion=fish"], "no completion for fish", "bash"),
])
def test_wrong_usage(prise, arguments, what, advice):
    done = prise(*arguments)
    assert done.code == 2 and done.out == ""
    said = two_lines(done.err)
    assert what in said[0]
    assert advice in said[1]


def test_options_and_arguments_mix_and_two_dashes_end_the_options(prise):
    assert prise("services", "--json", "http").events[0]["name"] == "http"
    assert prise("services", "http", "--json").events[0]["name"] == "http"
    done = prise("services", "-q", "--", "--json")
    assert done.code == 1 and done.out == "", "behind -- even --json is an argument"
    assert prise("services", "-qv", "http").code == 0, "a bundle of letters"


def test_control_characters_are_shown_not_obeyed(prise):
    done = prise("services", "--\033[31m")
    assert "\033" not in done.err and "\\x1b" in done.err


def test_json_errors_are_events_too(prise):
    done = prise("--json")
    assert done.code == 2
    done = prise("doctor", "--json", "more")
    event = json.loads(done.out)
    assert event["type"] == "error" and event["code"] == 2 and event["name"] == "usage"
    assert event["command"] == "doctor" and event["text"] in done.err
    assert event["try"] in done.err


def test_french_even_where_the_locale_is_not_installed(prise):
    done = prise("help", env=FRENCH)
    assert "aide" in done.out
    done = prise("dotcor", env=FRENCH)
    assert "il n'y a pas de commande dotcor" in done.err and "essayer" in done.err
    assert "aide" not in prise("help", env={**FRENCH, "LANG": "C"}).out


def test_a_catalogue_elsewhere(prise, tmp_path):
    place = tmp_path / "locale" / "fr" / "LC_MESSAGES"
    place.mkdir(parents=True)
    (tmp_path / "fr.po").write_text('msgid ""\n'
                                    'msgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
                                    'msgid "help on a command"\nmsgstr "ailleurs"\n')
    subprocess.run(["msgfmt", tmp_path / "fr.po", "-o", place / "prise.mo"], check=True)
    done = prise("help", env={**FRENCH, "PRISE_LOCALEDIR": str(tmp_path / "locale")})
    assert "ailleurs" in done.out


def on_terminal(prise, *arguments, **environment):
    """stderr of a command run on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([prise.path, *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
                               env={**prise.environment, "TERM": "xterm", **environment})
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the last writer is gone
            break
        if not piece:
            break
        said += piece
    process.wait()
    os.close(ours)
    return said.decode()


def test_colour_only_on_a_terminal_and_never_with_no_color(prise):
    assert "\033[" not in prise("dotcor").err
    assert "\033[" in on_terminal(prise, "dotcor")
    assert "\033[" not in on_terminal(prise, "dotcor", NO_COLOR="1")
    assert "\033[" not in on_terminal(prise, "dotcor", TERM="dumb")


def test_output_that_cannot_be_written_is_an_error(prise):
    with open("/dev/full", "wb") as full:
        process = prise.start("help", stdout=full)
        _, err = process.communicate()
    assert process.returncode == 9
    assert "standard output" in err.decode()


def test_a_reader_that_has_enough_is_no_error(prise):
    process = prise.start("services")
    process.stdout.readline()
    process.stdout.close()
    process.stdin.close()
    process.stdout = process.stdin = None
    err = process.stderr.read()
    assert process.wait() == 0 and err == b""


@pytest.mark.parametrize("command", [("help",), ("doctor",), ("services",), ("--help",)])
def test_nor_is_one_that_has_gone_before(prise, command):
    read, write = os.pipe()
    os.close(read)
    process = prise.start(*command, stdout=write)
    os.close(write)
    _, err = process.communicate()
    assert process.returncode == 0 and err == b""


def test_a_closed_output_is_no_full_disk(prise):
    script = 'exec "$0" services http >&-'
    done = subprocess.run(["sh", "-c", script, prise.path], capture_output=True, text=True,
                          env=prise.environment, check=False)
    assert done.returncode == 9
    assert "df" not in done.stderr and ">&-" in two_lines(done.stderr)[1]


@pytest.mark.parametrize("words, what, advice", [
    (("daytime", "localhost:nosuch"), "there is no service nosuch", "prise services"),
    (("connect", "localhost", "nosuch"), "there is no service nosuch", "prise services"),
    (("daytime", "a", "b", "c"), "'c' is one argument too many", "HOST:PORT"),
    (("echo", "--interval=", "localhost"), "--interval lacks its value", "--interval DUR"),
    (("serve", "-c", ""), "-c lacks its value", "-c FILE"),
])
def test_wrong_usage_names_what_is_wrong(prise, words, what, advice):
    done = prise(*words)
    said = two_lines(done.err)
    assert done.code == 2 and what in said[0] and advice in said[1]


@pytest.mark.parametrize("words", [("daytime", "a" * 100000), ("daytime", "h", "é" * 50000),
                                   ("a" * 100000,), ("connect", "-t", "a" * 100000, "h", "1")])
def test_a_long_word_is_not_said_whole(prise, words):
    done = prise(*words)
    said = two_lines(done.err)
    assert done.code == 2 and len(said[0]) < 500 and "..." in said[0] and "\\x" not in said[0]


def test_control_characters_of_the_command_line_are_shown(prise):
    for words in (("services", "\033[31mX"), ("daytime", "h", "\033[31mX"), ("\033[31mX",)):
        done = prise(*words)
        assert "\033" not in done.err and "\\x1b" in done.err


def test_the_wire_is_spoken_of_where_there_is_one(prise):
    for command in ("doctor", "services", "help"):
        assert "on the wire" not in " ".join(prise("help", command).out.split())
    assert "on the wire" in " ".join(prise("help", "daytime").out.split())


def test_a_command_that_does_not_exist_is_an_event_too(prise):
    done = prise("nosuch", "--json")
    event, = done.events
    assert done.code == 2 and event["type"] == "error" and event["name"] == "usage"
    assert prise("nosuch", "--", "--json").out == ""
