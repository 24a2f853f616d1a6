"""prise in French: in a locale made here with localedef(1), and where there is
no such locale. What is said is French to the last line, columns stand straight by characters, and
what a program reads (--json) stays as it is."""

import re
import shutil
import subprocess

import box
import pytest
from capturing import capture, simple  # noqa: F401
from support import ROOT, free_port

COMMANDS = [line.split("(")[1].split(",")[0]
            for line in (ROOT / "src/command/command.def").read_text().splitlines()
            if line.startswith("COMMAND(")]
ENGLISH = re.compile(r"(?<!--)\b(the|and|with|without|which|when|what|that|this|from|for|are|is|it|"
                     r"its|only|each|of|to|by|or|in(?!-)|has|be|as|every|whole|words?|HOST|NAME|"
                     r"FILE|DUR|SIZE|TEXT|ADDR|ADDRESS|COMMAND|PATH)\b")
OPTION_COLUMN = 26


@pytest.fixture(scope="session")
def locales(tmp_path_factory):
    """A directory with fr_FR.UTF-8, for LOCPATH."""
    if not shutil.which("localedef"):
        pytest.skip("no localedef here")
    place = tmp_path_factory.mktemp("locales")
    done = subprocess.run(["localedef", "-i", "fr_FR", "-f", "UTF-8", place / "fr_FR.UTF-8"],
                          capture_output=True, text=True, check=False)
    if not (place / "fr_FR.UTF-8" / "LC_MESSAGES").exists():
        pytest.skip(f"localedef makes no fr_FR.UTF-8: {done.stderr.strip()}")
    return place


@pytest.fixture
def french(prise, locales):
    prise.environment.update(LC_ALL="", LANG="fr_FR.UTF-8", LOCPATH=str(locales))
    return prise


def in_english(prise, *arguments, **more):
    return prise(*arguments, env={"LC_ALL": "C.UTF-8", **more})


def two_lines(err):
    what, advice = err.splitlines()
    assert advice.startswith("  essayer : "), err
    return what, advice.removeprefix("  essayer : ")


def test_nobody_listens(french):
    port = free_port()
    done = french("daytime", f"localhost:{port}")
    assert done.code == 4
    assert two_lines(done.err) == (
        f"prise daytime: personne n'écoute sur localhost:{port} (connexion refusée)",
        "prise serve daytime, ou nommer un autre port par HÔTE:PORT")


def test_no_such_name(french):
    done = box.run(french, {"zone": {}}, "daytime", "trucbidule")
    assert done.code == 3
    assert two_lines(done.err) == (
        "prise daytime: le nom trucbidule n'existe pas",
        "une autre orthographe, ou une adresse au lieu d'un nom")


def test_where_the_locale_is_missing(prise):
    port = free_port()
    done = prise("daytime", f"127.0.0.1:{port}",
                 env={"LC_ALL": "", "LANG": "fr_FR.UTF-8", "LOCPATH": str(prise.directory)})
    assert two_lines(done.err)[0].endswith(f"personne n'écoute sur 127.0.0.1:{port} "
                                           "(connexion refusée)")


@pytest.mark.parametrize("arguments, what, advice", [
    (["services", "--jsno"], "services: il n'y a pas d'option --jsno",
     "--json, ou prise help services"),
    (["daytime", "-t"], "daytime: il manque la valeur de -t",
     "-t DURÉE : une durée comme 500ms, 2s ou 1m"),
    (["sum", "localhost", "x"], "sum: « x » n'est pas un nombre entier",
     "des nombres entiers comme 12, les négatifs après -- : prise sum HÔTE -- 5 -3"),
    (["dotcor"], " il n'y a pas de commande dotcor", "prise doctor, ou prise help pour la liste"),
    (["serve", "ecko"], "serve: il n'y a pas de service « ecko » ; vouliez-vous dire « echo » ?",
     "prise help serve, et prise serve --check-config -c FICHIER"),
])
def test_wrong_usage(french, arguments, what, advice):
    done = french(*arguments)
    assert done.code == 2 and done.out == ""
    said = two_lines(done.err)
    assert said[0].replace("prise ", "").replace("prise:", "") == what
    assert said[1] == advice


def test_a_slip_in_the_configuration(french):
    """What the library complains of is French too, and still names the nearest key."""
    path = french.directory / "a.conf"
    for text, what in (('echo { lissten = "7" }\n', "vouliez-vous dire « listen » ?"),
                       ('echo { idle = "5m"\n', "encore ouvert"),
                       ('echo { idle = "long" }\n', "attendu une durée comme 500ms, 2s ou 1m")):
        path.write_text(text)
        done = french("serve", "--check-config", "-c", path)
        assert done.code == 2
        assert two_lines(done.err)[0].startswith(f"prise serve: {path}:1: ")
        assert two_lines(done.err)[0].endswith(what)


def without_examples(text):
    return re.split(r"\n(?:Examples:|Exemples :)\n", text)[0]


def options_of(text):
    """{"--timeout": its help}; what stands in the column of help must begin there."""
    found, last = {}, None
    for line in text.splitlines():
        row = re.match(r"  (?:-\S, |    )(--[\w.-]+)(?: \S+)?(?: {2,}(.*))?$", line)
        if row:
            last = row.group(1)
            found[last] = [row.group(2) or ""]
            assert row.start(2) in (-1, OPTION_COLUMN), line
        elif last and not line:
            break  # what follows are no options
        elif last:
            assert re.match(f" {{{OPTION_COLUMN}}}\\S", line), line
            found[last].append(line.strip())
    return {name: " ".join(lines).strip() for name, lines in found.items()}


def test_the_list_of_commands(french):
    ours = french("help").out
    theirs = in_english(french, "help").out.splitlines()
    for line in filter(None, ours.splitlines()):
        assert line not in theirs
        assert not ENGLISH.search(re.sub(r"^  \w+ +", "", line)), line
    for command in COMMANDS:
        assert re.search(rf"^  {command} {{{12 - len(command)}}}\S", ours, re.M), command


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(french, command):
    ours = without_examples(french(command, "--help").out)
    theirs = without_examples(in_english(french, command, "--help").out)
    assert "\nOptions :\n" in ours
    for paragraph, english in zip(ours.split("\n\n"), theirs.split("\n\n"), strict=True):
        assert paragraph != english or f"  prise {command}" in paragraph
    assert not ENGLISH.search(ours), ENGLISH.search(ours)
    french_rows, english_rows = options_of(ours), options_of(theirs)
    assert french_rows.keys() == english_rows.keys() and "--json" in french_rows
    for name, text in french_rows.items():
        assert text and text != english_rows[name], name


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_the_width(french, command):
    for columns in (40, 60, 100):
        done = french("help", command, env={"COLUMNS": str(columns)})
        body = without_examples(done.out)
        wrapped = [line for line in body.splitlines()
                   if not line.startswith("  prise ") and " " in line.strip()]
        assert max(map(len, wrapped)) <= columns
        assert not re.search(r"^ *[:;?!»]", body, re.M), "no line begins with punctuation"


def test_the_table_of_serve(french, serve):
    """In French although the sandbox no longer lets the catalogue be read by then."""
    daemon = serve("echo", "role=*:%d" % free_port(), options=["--insecure"])
    log = daemon.wait_log(r"(?s)SERVICE.*\[::\].*DANGER : role écoute").string
    rows = [line for line in log.splitlines()
            if re.match(r"(SERVICE|(echo|role) +(tcp|udp)) ", line)]
    where, reach = rows[0].index("ÉCOUTE SUR"), rows[0].index("ACCESSIBLE À")
    assert len(rows) == 5
    for row in rows[1:]:
        assert row[where - 1] == " " and row[where] in "1[0", row
        assert row[reach:] in ("cette machine seulement", "tous, en IPv4", "tous, en IPv6"), row


def test_doctor(french):
    rows = french("doctor").out.splitlines()
    subjects = {row[7:20].rstrip() for row in rows if row[:6].strip()}
    assert {"descripteurs", "boucle locale", "horloge"} <= subjects
    for row in rows:
        if not row[:6].strip():
            assert row.startswith(" " * 21 + "remède : "), row
            continue
        assert row[:6].rstrip() in ("ok", "limite", "défaut")
        assert row[6] == row[20] == " " and row[7] != " " != row[21], row


def test_json_is_the_same_in_every_language(french, serve):
    subjects = {event["subject"] for event in french("doctor", "--json").events}
    assert {"descriptors", "clock"} <= subjects
    port = serve("echo").port("echo")
    event, = french("connect", "-z", "--json", "127.0.0.1", port).events
    assert event["state"] == "open"
    assert french("connect", "-z", "127.0.0.1", port).out == f"127.0.0.1:{port} ouvert\n"


def test_a_diagram_is_for_people_and_json_is_not(french, capture):  # noqa: F811
    frames = simple()
    frames.insert(6, frames[5])
    assert " (renvoyé) HTTP/1.1 200 OK, 51 octets" in capture(frames, "--diagram").out
    texts = [e["text"] for e in capture(frames, "--diagram", "--json").events if "text" in e]
    assert texts[6] == "(sent again) HTTP/1.1 200 OK, 51 bytes"
