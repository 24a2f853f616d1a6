"""The event schema, read from both sides: docs/events.md, and what src/ says it emits.

    page()      {type: Entry}      the headings, levels and tables of docs/events.md
    code()      what the source sets, and at which levels, as far as its text tells

The source is read function by function. A field belongs to the events that its function makes; a
function that fills in an event it is handed, or whose type it is told, does so for its callers.
Where a function makes events of several types the text does not tell which has a field; what a run
really prints is held to the page by fault()."""

import collections
import json
import re

from support import ROOT

Entry = collections.namedtuple("Entry", "levels fields")  # fields: {name: (kind, optional)}
Code = collections.namedtuple("Code", "sets levels")

KINDS = {"event_text": "text", "event_string": "text", "event_address": "text",
         "event_uint": "integer", "event_int": "integer", "event_bool": "boolean",
         "event_real": "real"}
JSON_KINDS = {"text": str, "integer": int, "boolean": bool, "real": float}
LEVEL = re.compile(r"\bEVENT_(DEBUG|INFO|NOTICE|WARNING|ERROR)\b")
MAKERS = {"event_init": 2, "out_event": 3}  # which argument is the type
TYPE = re.compile(r'"([a-z]+(?:\.[a-z_]+)?)"')
PAGE = ROOT / "docs" / "events.md"


def table(text):
    """The rows below a `| field | kind |` head, as {name: (kind, optional)}."""
    rows = re.findall(r"^\| `(\w+)` \| (text|integer|boolean|real)(\??) \|", text, re.M)
    return {name: (kind, bool(maybe)) for name, kind, maybe in rows}


def page():
    entries = {}
    for part in re.split(r"^### ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]:
        name, _, rest = part.partition("\n")
        rest = re.split(r"^## ", rest, flags=re.M)[0]
        levels = set(re.findall(r"\*\*(\w+)\*\*", rest))
        assert name not in entries, f"{PAGE}: two headings {name}"
        entries[name] = Entry(levels, table(rest))
    return entries


def common():
    text = PAGE.read_text(encoding="utf-8")
    return table(text.split("## Fields of every event")[1].split("\n## ")[0])


def errors():
    """The page's list of errors: {word: exit code}."""
    text = PAGE.read_text(encoding="utf-8").split("## Errors")[1]
    return {word: int(code) for word, code in re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.M)}


def fault(event, entries):
    """What is wrong with an event that was printed, or None."""
    entry = entries.get(event.get("type"))
    if entry is None:
        return f"the page has no {event.get('type')}"
    fields = {**common(), **entry.fields}
    for name, value in event.items():
        plain = name.removesuffix("_b64")
        if plain not in fields:
            return f"{event['type']}: the page has no {name}"
        wanted = JSON_KINDS[fields[plain][0]]
        if type(value) is not wanted:  # a bool is an int to isinstance
            return f"{event['type']}: {name} is no {fields[plain][0]}"
    for name, (_, optional) in fields.items():
        if name not in event and not optional and not event.get("cut"):
            return f"{event['type']} lacks {name}: {json.dumps(event)}"
    return None


class Function:
    """One function of the source: its head, its body, and the calls in it."""

    def __init__(self, path, head, body):
        self.path, self.head, self.body = path, head, body
        self.name = re.findall(r"(\w+)\s*\(", head)[0]
        parameters = head[head.index("(") + 1:]
        self.parameters = [re.findall(r"\w+", p)[-1] for p in parameters.split(",")
                           if re.findall(r"\w+", p)]
        self.hands_on = "struct event *" in head
        self.calls = list(calls_in(body))


def calls_in(body):
    """Every call as (name, [arguments])."""
    for found in re.finditer(r"\b([a-z_]\w*)\(", body):
        depth, at, arguments, quoted = 1, found.end(), [""], False
        while depth and at < len(body):
            c = body[at]
            if quoted and c == "\\":
                arguments[-1] += body[at:at + 2]
                at += 2
                continue
            if c == '"':
                quoted = not quoted
            depth += not quoted and (c == "(") - (c == ")")
            if c == "," and depth == 1 and not quoted:
                arguments.append("")
            else:
                arguments[-1] += c
            at += 1
        yield found.group(1), [a.strip() for a in arguments]


def functions():
    for path in sorted((ROOT / "src").rglob("*.c")):
        text = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S)
        for found in re.finditer(r"^([a-z_][^;{}=#]*\([^;{}]*\))\n\{\n(.*?)^\}", text, re.M | re.S):
            yield Function(path, found.group(1), found.group(2))


def setters(every):
    """{name: (which argument names the field, kind)} of what sets a field, wrappers included."""
    found = {name: (1, kind) for name, kind in KINDS.items()}
    for _ in range(3):  # wrappers of wrappers
        for f in every:
            for name, arguments in f.calls:
                at, kind = found.get(name, (99, None))
                if f.name not in found and at < len(arguments) and "name" in f.parameters \
                        and arguments[at] == "name":
                    found[f.name] = (f.parameters.index("name"), kind)
    return found


def own_fields(f, known):
    for name, arguments in f.calls:
        at, kind = known.get(name, (99, None))
        literal = re.fullmatch(r'"(\w+)"', arguments[at].rstrip(")")) if at < len(arguments) \
            else None
        if literal and f.name not in KINDS:
            yield literal.group(1), kind


class Reader:
    """sets      {(file, function, field, kind): the types of the events it is set in}
    levels    {type: levels}"""

    def __init__(self):
        self.every = list(functions())
        self.named = collections.defaultdict(list)
        for f in self.every:
            self.named[f.name].append(f)
        known = setters(self.every)
        self.fields = {f: set(own_fields(f, known)) for f in self.every}
        self.types = {f: {t for name, a in f.calls for t in self.emitted(name, a)}
                      for f in self.every}
        self.sets, self.levels = {}, collections.defaultdict(set)
        for f in self.every:
            self.read(f)

    def emitted(self, name, arguments):
        """The types that a call names: of an event it makes, or of one to be made elsewhere."""
        if name in MAKERS:
            return TYPE.findall(arguments[MAKERS[name]])
        for g in self.named[name]:
            if "type" in g.parameters and g.parameters.index("type") < len(arguments):
                return TYPE.findall(arguments[g.parameters.index("type")])
        return []

    def callees(self, f):
        """The functions of ours that `f` calls, those of its own file where there is one."""
        for name, arguments in f.calls:
            near = [g for g in self.named[name] if g.path == f.path]
            for g in near or self.named[name]:
                if g is not f and g.name not in KINDS and g.name not in MAKERS:
                    yield g, arguments

    def untyped(self, g):
        """The functions that fill in the events whose type `g` is told: itself, or its file's."""
        if self.fields[g] or g.hands_on:
            return [g]
        return [f for f in self.every if f.path == g.path and not self.types[f]]

    def note(self, f, types):
        for name, kind in self.fields[f]:
            self.sets.setdefault((f.path, f.name, name, kind), set()).update(types)

    def read(self, f):
        made = set(self.types[f])
        for g, arguments in self.callees(f):
            told = self.emitted(g.name, arguments)
            for helper in self.untyped(g) if told else ():
                self.note(helper, told)
                for t in told:
                    self.levels[t].update(low(LEVEL.findall(helper.body)))
            if re.match(r"[^(]*struct event \*", g.head):
                made |= self.types[g]
        for g, _ in self.callees(f):
            if g.hands_on and not self.types[g]:
                self.note(g, made)
        self.note(f, made)
        for name, arguments in f.calls:
            for t in self.emitted(name, arguments):
                self.levels[t].update(low(LEVEL.findall(" ".join(arguments))))


def changes():
    """The events that are changes of a watched tree, {type: ()}, and the fields that
    src/proto/change_show.c puts into them, which makes its JSON by itself."""
    names = (ROOT / "src/proto/change.c").read_text(encoding="utf-8")
    types = {f"watch.{name}" for name in re.findall(r'\[CHANGE_\w+\] = "(\w+)"',
                                                    names.split("type_names[")[1].split("};")[0])}
    path = ROOT / "src/proto/change_show.c"
    text = path.read_text(encoding="utf-8")
    kinds = {"put_string": "text", "put_digest": "text", "put_time": "text",
             "put_number": "integer", "put_flag": "boolean"}
    found = re.findall(r'\b(put_\w+)\(t, "(\w+)", ', text)
    return types, {(path, "change_put_json", name, kinds[call]): types for call, name in found
                   if name not in common()}


def low(words):
    return {word.lower() for word in words}


def code():
    reader = Reader()
    types, sets = changes()
    return Code({**reader.sets, **sets}, {**reader.levels, **{name: set() for name in types}})
