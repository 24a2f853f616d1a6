"""What the claims share: servers and loads on a processor each, the server's processor time and
memory as the kernel counts them, pairs and their ratio, system calls and instructions a unit."""

import contextlib
import dataclasses
import json
import math
import os
import random
import re
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import typing

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("BENCH_BUILD", f"{ROOT}/build/release")
PAIRS = int(os.environ.get("BENCH_PAIRS", "9"))
OFTEN = 3
SECONDS = float(os.environ.get("BENCH_SECONDS", "0.5"))
SLICES, SLICE_SECONDS = 50, 0.02
CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU, LOAD_CPU = CPUS[0], CPUS[-1]
PATIENCE_S = 60


class Unavailable(Exception):
    """A peer, or something to measure it with, that this machine does not have."""


@dataclasses.dataclass
class Claim:
    """One row of the table: what is measured, against whom, and what is to be reached."""
    what: str
    unit: str                 # requests per CPU-second, /s, count, ns, or bytes
    ours: typing.Callable     # () -> Spec
    theirs: typing.Callable
    measure: typing.Callable  # Spec -> number, or a Meter
    sign: str                 # of ours / theirs: ">=" or "<="
    bound: float              # None: no reach, only told
    most: float = 0           # ours itself is to be at most this; 0: no matter
    by_slices: bool = False   # `measure` makes a Meter
    often: int = 1            # times PAIRS: where a few hundredths decide
    limit: typing.Callable = None  # () -> Spec: the barest program, when the reach is missed
    calls: typing.Callable = None         # Spec -> {system call: times a unit}
    instructions: typing.Callable = None  # Spec -> user instructions a unit


@dataclasses.dataclass
class Absolute:
    """A row without a peer: a number that is to be reached in itself."""
    what: str
    unit: str                 # as Claim's, or share of a core
    ours: typing.Callable
    measure: typing.Callable  # Spec -> number
    sign: str
    bound: float


def program(name):
    """One of bench/'s own programs."""
    path = f"{BUILD}/bench/{name}"
    if not os.path.exists(path):
        raise Unavailable(f"{name} was not built")
    return path


def installed(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise Unavailable(f"{name} is not installed")
    return path


def spawn(argv, cpu, **more):
    """On that processor; None: on any."""
    cpus = CPUS if cpu is None else {cpu}
    return subprocess.Popen(argv, preexec_fn=lambda: os.sched_setaffinity(0, cpus),
                            start_new_session=True, **more)


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.002)


def free_port():
    """A port below those that the kernel gives to clients."""
    while True:
        port = random.randrange(20000, 30000)
        with contextlib.suppress(OSError):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as s:
                    s.bind(("127.0.0.1", port))
            return port


def is_bound(port, transport):
    """Whether somebody listens, by the kernel's table: asking the server would be work for it."""
    listening = {"tcp": "0A", "udp": "07"}[transport]
    for table in (transport, transport + "6"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/net/{table}") as lines:
            for line in lines:
                fields = line.split()
                if fields[1].endswith(f":{port:04X}") and fields[3] == listening:
                    return True
    return False


# Servers

class Spec:
    """A server to be measured: its name and tuning for the table, its command line for a port."""

    def __init__(self, name, argv, transport="tcp", note="", files=(), speaks="echo",
                 few=None):
        self.name, self.argv, self.transport, self.note = name, argv, transport, note
        self.files = dict(files)  # name: text; {port} and {dir} are filled in
        self.speaks, self.few = speaks, few  # idle_memory.py


def at_home_in(directory):
    """The environment of a program that keeps its state there."""
    return {**os.environ, "HOME": directory, "XDG_RUNTIME_DIR": directory,
            "XDG_STATE_HOME": directory, "XDG_CONFIG_HOME": directory}


def prise(service, transport="tcp"):
    if not os.path.exists(f"{BUILD}/prise"):
        raise Unavailable("prise was not built")
    return Spec("prise", [f"{BUILD}/prise", "serve", service + "=127.0.0.1:{port}", "-c",
                          "{dir}/prise.conf"],
                transport, files={"prise.conf": "loops = 1\n"})


def bare(name, transport="tcp", note=""):
    return Spec(name, [program(name), "{port}"], transport, note)


class Server:
    """A running Spec. Use with `with`."""

    def __init__(self, spec, under=()):
        self.spec, self.port = spec, free_port()
        self.directory = tempfile.TemporaryDirectory(prefix="bench-")
        fill = {"port": self.port, "dir": self.directory.name}
        for name, text in spec.files.items():
            with open(f"{self.directory.name}/{name}", "w") as f:
                f.write(text.replace("{port}", str(self.port)).replace("{dir}",
                                                                       self.directory.name))
        self.errors = open(f"{self.directory.name}/stderr", "w+")
        self.process = spawn([*under, *(a.format(**fill) for a in spec.argv)], SERVER_CPU,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=self.errors, env=at_home_in(self.directory.name))

    def __enter__(self):
        try:
            wait_until(lambda: self.process.poll() is not None or
                       is_bound(self.port, self.spec.transport), f"{self.spec.name} to listen")
            if self.process.poll() is not None:
                self.errors.seek(0)
                raise Unavailable(f"{self.spec.name} does not start: {self.errors.read()[-300:]}")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends it and everything that it started, and returns what it said on stderr."""
        if not self.errors.closed:
            started = self.pids()
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            for pid in started[1:]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.errors.seek(0)
            self.said = self.errors.read()
            self.errors.close()
            self.directory.cleanup()
        return self.said

    def pids(self):
        """Its process and all that descend from it, itself first."""
        children = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as f:
                    parent = f.read().rpartition(")")[2].split()[1]
                    children.setdefault(int(parent), []).append(int(entry))
        found = [self.process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu_ns(self):
        """Time on a processor of all its threads (schedstat: exact to the last switch)."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                        total += int(f.read().split()[0])
        return total

    def user_bytes(self):
        """Anonymous memory, shared pages in proportion, of all its processes."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as f:
                total += 1024 * int(re.search(r"^Pss_Anon: +(\d+)", f.read(), re.M)[1])
        return total


# Loads

class Load:
    """A load program that prints lines and goes on when it gets one. Use with `with`."""

    def __init__(self, name, *arguments):
        self.name, self.pending = name, b""
        self.process = spawn([program(name), *map(str, arguments)], LOAD_CPU,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def line(self):
        deadline = time.monotonic() + PATIENCE_S + 10 * SECONDS
        out = self.process.stdout.fileno()
        while b"\n" not in self.pending:
            ready, _, _ = select.select([out], [], [], max(0, deadline - time.monotonic()))
            data = os.read(out, 65536) if ready else b""
            if not data:
                raise RuntimeError(f"{self.name} " + ("left" if ready else "hangs"))
            self.pending += data
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode()

    def go(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()


@contextlib.contextmanager
def echo_load(server, connections, requests=None):
    """All are connected; each time that it is told to go is a run."""
    more = [requests] if requests else []
    with Load("load_echo", server.spec.transport, server.port, connections, SLICE_SECONDS,
              *more) as load:
        load.line()
        yield load


class Meter:
    """An echo server and its load, measured a slice of time at a time. Use with `with`."""

    def __init__(self, spec, connections, figure):
        self.spec, self.connections, self.figure_of = spec, connections, figure
        self.requests, self.cpu_ns, self.round_trips_ns = 0, 0, []

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.server = stack.enter_context(Server(self.spec))
            self.load = stack.enter_context(echo_load(self.server, self.connections))
            self.both = stack.pop_all()
        return self

    def __exit__(self, *why):
        return self.both.__exit__(*why)

    def slice(self):
        before = self.server.cpu_ns()
        self.load.go()
        result = json.loads(self.load.line())
        self.cpu_ns += self.server.cpu_ns() - before
        self.requests += result["requests"]
        self.round_trips_ns.append(result["p50_ns"])

    def figure(self):
        return self.figure_of(self)


def speed(connections):
    """Requests per second of the server's processor time: Spec -> Meter."""
    return lambda spec: Meter(spec, connections, lambda m: m.requests / m.cpu_ns * 1e9)


def round_trip_ns(connections):
    """The median of the slices' medians: Spec -> Meter."""
    return lambda spec: Meter(spec, connections, lambda m: statistics.median(m.round_trips_ns))


# What a unit of work costs in system calls and instructions: runs of their own, not timed

def system_calls(spec, connections=50, requests=5000):
    """{name: calls a request} by strace, which is attached once everybody is connected."""
    with Server(spec) as server, tempfile.TemporaryDirectory() as directory:
        with echo_load(server, connections, requests) as load:
            argv = [installed("strace"), "-f", "-c", "-o", f"{directory}/calls"]
            for pid in server.pids():
                argv += ["-p", str(pid)]
            strace = spawn(argv, LOAD_CPU, stderr=subprocess.PIPE)
            wait_until(lambda: all(is_traced(pid) for pid in server.pids()), "strace")
            load.go()
            answered = json.loads(load.line())["requests"]
            strace.send_signal(signal.SIGINT)
            strace.communicate(timeout=PATIENCE_S)
        with open(f"{directory}/calls") as f:
            return {name: int(calls) / answered for calls, name in
                    re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", f.read(), re.M)
                    if name != "total"}


def is_traced(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as f:
        return not re.search(r"^TracerPid:\t0$", f.read(), re.M)
    return True


def user_instructions(spec, connections=50, few=2000, many=12000):
    """User instructions a request: the difference of two runs as callgrind counts them."""
    counts = []
    for requests in (few, many):
        server = Server(spec, under=[installed("valgrind"), "--tool=callgrind",
                                     "--callgrind-out-file=/dev/null"])
        with server:
            with echo_load(server, connections, requests) as load:
                load.go()
                load.line()
            said = server.stop()
        counts.append(int(re.search(rf"=={server.process.pid}== Collected : (\d+)", said)[1]))
    return (counts[1] - counts[0]) / (many - few)


# Pairs

def t_quantile_975(freedom):
    """Student's t, 97.5 %, expanded in the normal quantile (Abramowitz and Stegun 26.7.5)."""
    z = statistics.NormalDist().inv_cdf(0.975)
    terms = (z, (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96,
             (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
             (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160)
    return sum(term / freedom**i for i, term in enumerate(terms))


class Ratio:
    """Geometric mean of ours over theirs, pair by pair; 95 % by t on the logarithms."""

    def __init__(self, ours, theirs):
        logs = [math.log(a / b) for a, b in zip(ours, theirs)]
        mean = statistics.fmean(logs)
        half = (t_quantile_975(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
                if len(logs) > 1 else math.inf)
        self.value, self.low, self.high = (math.exp(x) for x in (mean, mean - half, mean + half))


def turns(count, sides):
    """A B, B A, A B, ...: a machine that grows slower does it to both."""
    for turn in range(count):
        yield sides[::-1] if turn % 2 else sides


def metered(measure, ours, theirs):
    """Both run at once and are loaded in turn, a slice each: a machine that is slower for a moment
    is so for both."""
    with contextlib.ExitStack() as stack:
        meters = [stack.enter_context(measure(spec)) for spec in (ours, theirs)]
        for turn in turns(SLICES, meters):
            for meter in turn:
                meter.slice()
        return [meter.figure() for meter in meters]


def pairs(ours, theirs, measure, count, by_slices=False):
    """`count` pairs: two lists. `by_slices`: `measure` makes a Meter."""
    a, b = [], []
    for turn in turns(count, [(a, ours), (b, theirs)]):
        if by_slices:
            figures = metered(measure, *(spec for _, spec in turn))
        else:
            figures = [measure(spec) for _, spec in turn]
        for (measured, _), figure in zip(turn, figures):
            measured.append(figure)
    return a, b


def raise_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, PermissionError):
        hard = max(hard, 65536)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
