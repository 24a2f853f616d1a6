"""Every key of the configuration file is in the help, on the manual page and in
docs/configuration.md, with its default; the example there is one that holds."""

import re

from support import ROOT

PAGE = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")


def source_keys():
    """{"idle", ...}: the keys that the sources have, whatever any page says."""
    def table(path, name):
        text = (ROOT / "src" / path).read_text(encoding="utf-8")
        return text[text.index(f"{name}[] = {{"):].split("OPTION_END", 1)[0]

    keys = set(re.findall(r'ROW\("(\w+)"', table("service/service.c", "service_options")))
    for path, name in (("daemon/configuration.c", "configuration_options"),
                       ("proto/daytime.c", "daytime_options"), ("proto/sum.c", "sum_options"),
                       ("proto/guess.c", "guess_options"), ("proto/role_server.c", "role_options"),
                       ("proto/collect.c", "collect_options"),
                       ("proto/http_server.c", "http_options")):
        text = table(path, name)
        keys |= set(re.findall(r'(?:\.name = |\{)"(\w+)"', text)) or \
            set(re.findall(r'\w+\("(\w+)"', text))
    return keys


def help_keys(prise):
    """[(group, key, default or None)] of `prise help serve`."""
    text = prise("help", "serve", env={"COLUMNS": "100"}).out.partition("The file:\n")[2]
    text = text.partition("\nExamples:")[0]
    found, group = [], None
    for part in re.split(r"\n(?=\S|  \w+ = )", text):
        key = re.match(r"  (\w+) = ", part)
        if key:
            default = re.search(r"\(default: (\S+)\)\s*$", re.sub(r"\s+", " ", part))
            found.append((group, key.group(1), default and default.group(1)))
        elif part and part[0] != " ":
            group = part.strip().rstrip(":")
    return found


def page_keys():
    found, group = [], None
    for line in PAGE.splitlines():
        row = re.match(r"\| `(\w+)` \| (?:`([^`]*)`)? ?\|", line)
        if line.startswith("## "):
            group = line[3:]
        elif row:
            found.append((group, row.group(1), row.group(2)))
    return found


GROUPS = {"Keys of the file itself": "The daemon", "Keys of every service's block": "Every service"}


def test_the_help_has_every_key(prise):
    keys = help_keys(prise)
    assert {key for _, key, _ in keys} == source_keys()
    page = prise("help", "--man", "serve").out
    for group, key, default in keys:
        assert re.search(rf"^\.It Li {key} = ", page, re.M), key
        assert default is None or f"(default: {default})" in page, (group, key)


def test_the_page_has_every_key_with_its_default(prise):
    expected = [(GROUPS.get(group, group), key, default) for group, key, default in
                help_keys(prise)]
    assert page_keys() == expected


def test_the_example_holds(prise):
    examples = re.findall(r"^```conf\n(.*?)^```$", PAGE, re.M | re.S)
    assert examples
    for text in examples:
        path = prise.directory / "example.conf"
        path.write_text(text, encoding="utf-8")
        done = prise("serve", "--check-config", "-c", path)
        assert (done.code, done.err) == (0, ""), done


def test_who_errs_in_a_service_sees_them_all(prise):
    done = prise("serve", "nosuch")
    tries = done.err.partition("  try: ")[2].split()
    assert done.code == 2 and {"echo", "role", "http", "sum"} <= set(tries), done


def test_the_manual_names_every_variable_that_is_read(prise):
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.c"))
    read = re.findall(r'(?:getenv|fetch_variable)\("(\w+)"|place_find\(path, "(\w+)"', source)
    page = prise("help", "--man").out
    named = re.findall(r"\w+", page.partition(".Sh ENVIRONMENT")[2].partition(".Sh EXIT")[0])
    assert not {a or b for a, b in read} - set(named) - {"TERM"}
