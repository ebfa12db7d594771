"""Measures that the rig lacks, made of its parts: the same cores, the same meter, rounds interleaved with the peers they are held against.

  tokens-1k-statements-1k      1,000 callers, each with a statement of its own
  tokens-100k-statements-100k  100,000 of each, every one exactly once in a run, after every one was seen once
  first-sight                  what the first request of a pair costs its caller over the second
  rules-10k                    10,000 rules against 3
  nokeep                       no token kept, against HAProxy, which keeps none either
  kept, kept-90                all answers kept; nine of ten kept, against nginx, which asks each time
  workers-2                    two workers on two cores against one
  idle-1k, idle-10k            memory of idle TLS connections
"""
import contextlib, os, pathlib, re, resource, signal, socket, ssl, statistics, subprocess, time, urllib.request
from types import ModuleType
from typing import Any, Callable, Iterator, NamedTuple

import ground

LUA = ground.HERE / "distinct.lua"
KEPT_LUA = ground.HERE / "kept.lua"
SUMMARY_LUA = ground.HERE / "summary.lua"
# No run of wrk lasts longer than this, whatever it waits for.
LONGEST = 60
FIRST_SIGHT = 300
# Open at once in idle-10k, in the proxy as in the client.
FILES = 15_000
Row = dict[str, Any]


class Group(NamedTuple):
    """Measures whose peers are started together and take turns."""
    peers: tuple[str, ...]
    measures: tuple[str, ...]
    at_most_rounds: int = 1000


GROUPS = (
    Group(("nginx", "product"), ("tokens-1k-statements-1k", "tokens-100k-statements-100k")),
    # Started anew: no pair may have been seen.
    Group(("nginx", "product"), ("first-sight",)),
    Group(("product", "keyhouse-10k-rules"), ("rules-10k",)),
    Group(("haproxy", "keyhouse-nokeep"), ("nokeep",)),
    Group(("nginx", "keyhouse-kept"), ("kept", "kept-90")),
    Group(("product", "product-2"), ("workers-2",)),
    # Memory hardly varies.
    Group(("nginx-idle", "keyhouse-idle"), ("idle-1k", "idle-10k"), 2),
)
NAMES = tuple(m for g in GROUPS for m in g.measures)


def pool(rounds: int) -> int:
    """Tokens for first-sight: the rig tries a disturbed measure three times, and a pair is new only once."""
    return max(10_000, rounds * 3 * FIRST_SIGHT)


def prepare(measures: tuple[str, ...], rounds: int) -> None:
    """What would otherwise be made or found missing in the middle of a round."""
    if "first-sight" in measures:
        ground.tokens(pool(rounds))
    if "tokens-100k-statements-100k" in measures:
        ground.tokens(100_000)


def check_needs(measures: tuple[str, ...]) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if "idle-10k" in measures and hard != resource.RLIM_INFINITY and hard < FILES:
        raise ground.Lacking(f"only {hard} files may be open at once and idle-10k needs {FILES}; raise the hard limit (ulimit -Hn) or leave it out.")


def register(rig: ModuleType, rounds: int) -> None:
    """Adds the measures to the rig's: upstream, function, key of the ratio."""
    seen: set[tuple[int, int]] = set()
    fresh: dict[int, Iterator[tuple[int, str]]] = {}

    def stub(f: Callable[..., Row], key: str) -> tuple[str, Callable[..., Row], str]:
        return ("stub", f, key)

    rps = rig.MEASURES["rps"]
    rig.MEASURES.update({
        "tokens-1k-statements-1k": stub(lambda c, a: pairs(rig, c, seen, pathlib.Path(rig.KEYS, "tokens.txt"), 1_000, a.secs), "rps"),
        "tokens-100k-statements-100k": stub(lambda c, a: pairs(rig, c, seen, ground.tokens(100_000), 100_000, None), "rps"),
        "first-sight": stub(lambda c, a: first_sight(rig, c, fresh, ground.tokens(pool(rounds))), "p50_us"),
        "rules-10k": rps,
        "nokeep": rps,
        "kept": stub(lambda c, a: kept(rig, c, a, rps[1], 0.0), "rps"),
        "kept-90": stub(lambda c, a: kept(rig, c, a, lambda c, a: mixed(rig, c, a.secs), 0.1), "rps"),
        "workers-2": rps,
        "idle-1k": stub(lambda c, a: idle(rig, c, 1_000), "conn_mb"),
        "idle-10k": stub(lambda c, a: idle(rig, c, 10_000), "conn_mb"),
    })


# ---------------------------------------------------------------- tokens and statements

def counted(rig: ModuleType, c: Any) -> int:
    """Requests that the upstream has answered."""
    direct = rig.Ctx("direct", None, "stub", c.up)
    return int(re.search(rb"reqs=(\d+)", rig.http(direct, False, [], b"", "/__stats", "GET")[1])[1])


def pairs(rig: ModuleType, c: Any, seen: set[tuple[int, int]], tokens: pathlib.Path, count: int, secs: int | None) -> Row:
    """wrk with `count` pairs of token and statement in turn; for `secs`, or until each was asked once.

    Before a process is measured it has seen every pair once. By count and not by time where there are many: then a slow and
    a fast peer are asked exactly the same.
    """
    if (c.peer.pid, count) not in seen:
        drive(rig, c, tokens, count, None)
        seen.add((c.peer.pid, count))
    with c.meter() as m:
        said = drive(rig, c, tokens, count, secs)
    return row(rig, c, m, said)


def row(rig: ModuleType, c: Any, m: Any, said: str) -> Row:
    """What a script of ours said in the end, with what the meter saw."""
    found = re.search(r"^PAIRS (.*)$", said, re.M) or rig.die(f"{c.name}: wrk said: {said[-600:]}")
    d = {k: int(v) for k, v in (x.split("=") for x in found[1].split())}
    n = max(d["reqs"], 1)
    return {"rps": round(n / (d["dur_us"] / 1e6), 1), "cpu_us": round(m.cpu * 1e6 / n, 2), "user_us": round(m.user * 1e6 / n, 2),
            "n": n, "p50_us": d["p50_us"], "p99_us": d["p99_us"], "errors": d["bad"], **m.line()}


@contextlib.contextmanager
def wrk(rig: ModuleType, c: Any, script: pathlib.Path, secs: int | None, **env: str) -> Iterator[subprocess.Popen[str]]:
    """wrk with a script of ours on the generator's cores, for so long or for as long as it may at most."""
    command = ["taskset", "-c", c.gen, rig.WRK, "-t1", "-c32", f"-d{secs or LONGEST}s", "--timeout", "20s", "-s", str(script), c.url()]
    env = {**os.environ, "SUMMARY_LUA": str(SUMMARY_LUA), **env}
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    try:
        yield run
    finally:
        if run.poll() is None:
            run.kill()
            run.wait()


def drive(rig: ModuleType, c: Any, tokens: pathlib.Path, count: int, secs: int | None) -> str:
    """One run of wrk; without `secs` it ends when the upstream has had `count` requests more."""
    before = counted(rig, c)
    with wrk(rig, c, LUA, secs, PAIR_FILE=str(tokens), PAIR_COUNT=str(count)) as run:
        while secs is None and run.poll() is None and counted(rig, c) < before + count:
            time.sleep(0.05)
        if secs is None and run.poll() is None:
            run.send_signal(signal.SIGINT)
        return run.communicate(timeout=LONGEST + 30)[0]


# ---------------------------------------------------------------- kept answers

def mixed(rig: ModuleType, c: Any, secs: int) -> Row:
    """wrk with nine requests of ten that are the same."""
    with c.meter() as m, wrk(rig, c, KEPT_LUA, secs, TOKEN_FILE=f"{rig.KEYS}/tokens.txt") as run:
        said = run.communicate(timeout=LONGEST + 30)[0]
    return row(rig, c, m, said)


def answers(rig: ModuleType, c: Any) -> dict[str, int]:
    """Keyhouse's own count of how answers came about."""
    with urllib.request.urlopen(f"http://{rig.HOST}:{c.p['admin']}/metrics", timeout=10) as said:
        return {how: int(n) for how, n in re.findall(r'^keyhouse_answers_total\{answer="(\w+)"\} (\d+)$', said.read().decode(), re.M)}


def kept(rig: ModuleType, c: Any, a: Any, measure: Callable[..., Row], asked: float) -> Row:
    """A measure of which so much comes to the upstream, where answers are kept: anything else would be another measure.

    What the upstream counts would not do alone: refused requests do not come there either, so Keyhouse has to say that it gave the
    rest from memory.
    """
    keeps = c.name == "keyhouse-kept"
    before, given = counted(rig, c), answers(rig, c) if keeps else {}
    r = measure(c, a)
    n = r.get("n") or r["rps"] * a.secs
    r["asked"] = round((counted(rig, c) - before) / n, 3)
    if keeps:
        now = {how: count - given.get(how, 0) for how, count in answers(rig, c).items()}
        r["kept"] = round(now.get("kept", 0) / max(sum(now.values()), 1), 3)
        if abs(r["asked"] - asked) > 0.02 or abs(r["kept"] - (1 - asked)) > 0.02 or sum(now.values()) < 0.98 * n:
            # The rig goes on after what it dies of itself, and this must not pass for a round that is missing.
            raise ground.Lacking(f"{c.name}: {r['asked']:.0%} of {n:.0f} requests came to the upstream where {asked:.0%} were meant to, and Keyhouse "
                                 f"counted {now}; see its rules in {ground.STATE}/keeping and its log in {rig.RUN}.")
    return r


# ---------------------------------------------------------------- first sight

@contextlib.contextmanager
def on_cores(cores: str) -> Iterator[None]:
    """This process, which is the client here, on the generator's cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(x) for x in cores.split(",")})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def ask(c: Any, s: Any, request: bytes) -> float:
    """Seconds from the request to the end of its answer."""
    start = time.perf_counter()
    s.sendall(request)
    answer = b""
    while not answer.endswith(b"0\r\n\r\n"):
        part = s.recv(65536)
        if not part:
            break
        answer += part
    took = time.perf_counter() - start
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ValueError(f"{c.name}: {answer[:200]!r}")
    return took


def first_sight(rig: ModuleType, c: Any, fresh: dict[int, Iterator[tuple[int, str]]], tokens: pathlib.Path) -> Row:
    """One connection; of each new pair the first request against the second, which follows at once."""
    queue = fresh.setdefault(c.peer.pid, iter(list(enumerate(tokens.read_text().split()))))

    def request(token: str, statement: str) -> bytes:
        lines = "\r\n".join(c.headers(token))
        return f"POST / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\nContent-Length: {len(statement)}\r\n\r\n{statement}".encode()

    first, second = [], []
    with on_cores(c.gen), c.meter() as m, contextlib.closing(rig.connect(c)) as s:
        # The connection's own beginning is in neither.
        for _ in range(50):
            ask(c, s, request(open(f"{rig.KEYS}/token.txt").read().strip(), "SELECT 1"))
        for _ in range(FIRST_SIGHT):
            number, token = next(queue)
            r = request(token, f"SELECT {number + 1_000_000}")
            first.append(ask(c, s, r) * 1e6)
            second.append(ask(c, s, r) * 1e6)
    return {"p50_us": round(statistics.median(first), 1), "second_us": round(statistics.median(second), 1),
            "diff_us": round(statistics.median(a - b for a, b in zip(first, second)), 1), "errors": 0, **m.line()}


# ---------------------------------------------------------------- idle connections

def raise_files() -> None:
    """Lets this process and those that it starts hold that many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))


def idle(rig: ModuleType, c: Any, count: int) -> Row:
    """A fresh process; `count` TLS connections that have each made one request and stay. Memory is what is private to it
    and its share of the rest (PSS), after against before; the tokens were all seen before, so it is the connections' alone."""
    raise_files()
    c.peer.stop()
    c.peer = rig.start_peer(c.name, c.upkind, env={"RIG_ONLY_TLS": "1"})
    time.sleep(1)
    fresh = rig.mem(c.peer.pid)
    tokens = open(f"{rig.KEYS}/tokens.txt").read().split()
    with contextlib.ExitStack() as open_ones:
        with contextlib.closing(rig.connect(c)) as s:
            for token in tokens:
                rig.raw_request(c, s, token)
        before = rig.mem(c.peer.pid)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        held = []
        for k in range(count):
            # Several addresses of this machine: one has too few ports for many such runs in a row.
            plain = socket.create_connection((rig.HOST, c.p["tls"]), timeout=20, source_address=(f"127.0.0.{2 + k // 2_500}", 0))
            s = open_ones.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
            rig.raw_request(c, s, tokens[k % len(tokens)])
            held.append(s)
        time.sleep(1)
        after = rig.mem(c.peer.pid)
        # One that was closed in the meantime would cost nothing: the oldest must still answer.
        rig.raw_request(c, held[0], tokens[0])
    return {"idle_mb": round(fresh[0], 1), "warm_mb": round(before[0], 1), "conn_mb": round(after[0], 1),
            "kb_conn": round((after[1] - before[1]) * 1024 / count, 2), "errors": 0}
