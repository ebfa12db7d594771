"""The results for people and programs: results.json, results.md and results.svg, from the raw rows that the rig writes."""
import html, json, pathlib, statistics
from typing import Any, Iterable, NamedTuple

Row = dict[str, Any]

# In the order of the table: the name that people know, and what is done there with a request before it is passed on.
PEERS = {
    "product": ("Keyhouse", "token, statement, rules, settings; a record"),
    "nginx": ("nginx", "nothing"),
    "haproxy": ("HAProxy", "token"),
    "envoy": ("Envoy", "token"),
    "envoy-cache": ("Envoy, tokens cached", "token"),
    "fastapi-aio": ("FastAPI, aiohttp, tokens cached", "token"),
    "fastapi": ("FastAPI, httpx", "token"),
    "chproxy": ("chproxy", "password, no token"),
}
# Peers with another config, measured where the rig's own would not do.
SAME_AS = {"nginx-idle": "nginx", "keyhouse-idle": "product"}
OTHERS = {"keyhouse-nokeep": "Keyhouse, no token kept", "keyhouse-10k-rules": "Keyhouse, 10,000 rules", "keyhouse-kept": "Keyhouse, answers kept",
          "product-2": "Keyhouse, two workers"}


def name_of(peer: str) -> str:
    return PEERS[peer][0] if peer in PEERS else OTHERS.get(peer, peer)


class Target(NamedTuple):
    """One figure and what it is held to: a number, or a multiple of the best of some peers in the same rounds."""
    what: str
    measure: str
    key: str
    unit: str
    limit: float
    against: tuple[str, ...] = ()
    at_least: bool = False
    peer: str = "product"
    said: str = ""

    def text(self) -> str:
        sense = "at least" if self.at_least else "at most"
        if not self.against:
            return f"{sense} {self.limit:,g} {self.unit}".rstrip()
        return f"{sense} {self.limit:g} × {self.said or name_of(self.against[0])}"


TOKENS_100K = "tokens-100k-statements-100k"
TOKENS_1K = "tokens-1k-statements-1k"
PROXIES = tuple(p for p in PEERS if p != "product")
TARGETS = (
    Target("CPU a request, one token", "rps", "cpu_us", "µs", 1.5, ("nginx",)),
    Target("CPU a request, one token", "rps", "cpu_us", "µs", 0.5, ("haproxy",)),
    Target("CPU a request, 1,000 tokens and statements", TOKENS_1K, "cpu_us", "µs", 2.0, ("nginx",)),
    Target("CPU a request, 100,000 tokens and statements", TOKENS_100K, "cpu_us", "µs", 2.5, ("nginx",)),
    Target("CPU a request, no token kept", "nokeep", "cpu_us", "µs", 1.0, ("haproxy",), peer="keyhouse-nokeep"),
    Target("CPU a request, kept answers", "kept", "cpu_us", "µs", 0.9, ("nginx",), peer="keyhouse-kept"),
    Target("Instructions a request", "instructions", "per_request", "", 120_000),
    Target("System calls a request, 32 connections", "syscalls", "per_request", "", 1.0, ("nginx",)),
    Target("Requests/s on one core", "rps", "rps", "", 10, ("fastapi-aio",), at_least=True),
    Target("Requests/s on one core", "rps", "rps", "", 60, ("fastapi",), at_least=True),
    Target("First request of a pair over its second", "first-sight", "diff_us", "µs", 100),
    Target("Latency added at one connection", "c1-one", "added_us", "µs", 1.4, ("nginx",)),
    Target("Median latency at 1,000 requests/s", "lat", "p50_us", "µs", 1.0, ("haproxy",)),
    Target("Answer of 512 MB over TLS, CPU", "stream", "cpu_s_gb", "s/GB", 1.25),
    Target("Answer of 512 MB over TLS, CPU", "stream", "cpu_s_gb", "s/GB", 1.0, ("nginx", "envoy"), said="the better of nginx and Envoy"),
    Target("Answer of 512 MB, plain, CPU", "stream-plain", "cpu_s_gb", "s/GB", 0.66),
    Target("Answer of 512 MB, plain, CPU", "stream-plain", "cpu_s_gb", "s/GB", 1.0, ("nginx", "envoy"), said="the better of nginx and Envoy"),
    Target("INSERT of 256 MB over TLS, CPU", "upload", "cpu_s_gb", "s/GB", 1.0, PROXIES, said="the best"),
    Target("Answer of ClickHouse's own over TLS, CPU", "ch-stream", "cpu_s_gb", "s/GB", 1.0, ("nginx",)),
    Target("New TLS connections/s", "conns", "rps", "", 1.0, ("nginx",), at_least=True),
    Target("Memory when started (RSS)", "rss", "idle_mb", "MiB", 20),
    Target("Memory of an idle TLS connection, 1,000 of them", "idle-1k", "kb_conn", "KiB", 1.0, ("nginx",)),
    Target("Memory of an idle TLS connection, 10,000 of them", "idle-10k", "kb_conn", "KiB", 1.0, ("nginx",)),
    Target("CPU a request, two workers on two cores", "workers-2", "cpu_us", "µs", 1.1, ("product",), peer="product-2", said="one worker"),
    Target("CPU a request, 10,000 rules", "rules-10k", "cpu_us", "µs", 1.1, ("product",), peer="keyhouse-10k-rules", said="3 rules"),
)


# ---------------------------------------------------------------- figures

class Figures:
    """The rows of all rounds, by measure and peer."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows: dict[str, dict[str, list[Row]]] = {}
        self.about: Row = {}
        self.broken: list[tuple[str, str]] = []
        for row in rows:
            if row["m"] == "about":
                self.about = row
                continue
            peer = SAME_AS.get(row["peer"], row["peer"])
            # One large body is a measure only if all of it came through.
            if "cpu_s_gb" in row and row["errors"]:
                self.broken.append((row["m"], peer))
                continue
            self.rows.setdefault(row["m"], {}).setdefault(peer, []).append(row)
        self._added_latency()

    def _added_latency(self) -> None:
        """At one connection: what is over the same round's latency without a proxy."""
        peers = self.rows.get("c1-one", {})
        direct = {r["round"]: r["p50_us"] for r in peers.get("direct", [])}
        for rows in peers.values():
            for r in rows:
                if r["round"] in direct:
                    r["added_us"] = r["p50_us"] - direct[r["round"]]

    def median(self, measure: str, key: str, peer: str) -> float | None:
        values = [r[key] for r in self.rows.get(measure, {}).get(peer, []) if r.get(key) is not None]
        return statistics.median(values) if values else None

    def ratio(self, measure: str, key: str, peer: str, against: Iterable[str], at_least: bool = False) -> float | None:
        """The median over rounds of the peer's figure by the best of `against` in the same round: so the machine's drift cancels."""
        best: dict[Any, float] = {}
        for other in against:
            for r in self.rows.get(measure, {}).get(other, []):
                v = r.get(key)
                if v and v > 0:
                    better = max if at_least else min
                    best[r["round"]] = better(best.get(r["round"], v), v)
        pairs = [r[key] / best[r["round"]] for r in self.rows.get(measure, {}).get(peer, []) if r.get(key) and r["round"] in best]
        return statistics.median(pairs) if pairs else None

    def errors(self) -> list[str]:
        out = []
        for measure, peers in self.rows.items():
            for peer, rows in peers.items():
                n = sum(r.get("errors", 0) for r in rows)
                if n:
                    out.append(f"{name_of(peer)} in {measure}: {n:,}")
        return out + [f"{name_of(peer)} in {measure}: {self.broken.count((measure, peer))}" for measure, peer in sorted(set(self.broken))]


def verdict(f: Figures, t: Target) -> tuple[float | None, float | None, bool | None]:
    """The figure, what of it is held to the target, and whether that meets it (None: not measured)."""
    figure = f.median(t.measure, t.key, t.peer)
    held = f.ratio(t.measure, t.key, t.peer, t.against, t.at_least) if t.against else figure
    if held is None:
        return figure, None, None
    return figure, held, held >= t.limit if t.at_least else held <= t.limit


def number(v: float | None, unit: str = "") -> str:
    if v is None:
        return "–"
    text = f"{v:,.0f}" if abs(v) >= 100 else f"{v:.1f}" if abs(v) >= 10 else f"{v:.2f}"
    return f"{text} {unit}".rstrip()


def times(v: float | None) -> str:
    return "–" if v is None else f"{v:.2f} ×" if v < 10 else f"{v:.0f} ×"


# ---------------------------------------------------------------- the table

def headline(f: Figures) -> str:
    m = f.about.get("machine", {})
    return f"{m.get('cpu', 'unknown CPU')}, {m.get('cores', '?')} cores, {m.get('system', '')}, Linux {m.get('kernel', '?')}, {f.about.get('date', '')}"


def rounds(f: Figures) -> str:
    n = f.about.get("rounds", 0)
    return "one round" if n == 1 else f"medians of {n} rounds"


def markdown(f: Figures) -> str:
    a = f.about
    out = [f"Measured on {headline(f)}, with Keyhouse {a.get('versions', {}).get('Keyhouse', '')} ({a.get('commit', 'unknown')}); "
           f"{rounds(f)}, in which all peers took turns. One core is the proxy's, the load and the upstream have the other.", ""]
    out += ["| | checks | CPU a request, 1 token | 1,000 tokens | requests/s on 1 core | latency added at 1 connection | CPU s/GB over TLS (plain) | new TLS connections/s |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for peer, (name, checks) in PEERS.items():
        if not any(peer in x for x in f.rows.values()):
            continue
        g = lambda measure, key, unit="": number(f.median(measure, key, peer), unit)
        out.append(f"| {name} | {checks} | {g('rps', 'cpu_us', 'µs')} | {g('rps-1k', 'cpu_us', 'µs')} | {g('rps', 'rps')} | {g('c1-one', 'added_us', 'µs')} "
                   f"| {g('stream', 'cpu_s_gb')} ({g('stream-plain', 'cpu_s_gb')}) | {g('conns', 'rps')} |")
    out += ["", "Ratios are medians of same-round pairs, so they need not be those of the medians above.", ""]
    out += ["| | Keyhouse | target | measured | | to nginx | to HAProxy | to FastAPI, aiohttp | to FastAPI, httpx |", "| --- | ---: | --- | ---: | --- | ---: | ---: | ---: | ---: |"]
    for t in TARGETS:
        figure, held, met = verdict(f, t)
        # A difference of its own is near zero at the others: a ratio to that says nothing.
        to = ["–"] * 4 if t.key == "diff_us" else [times(f.ratio(t.measure, t.key, t.peer, (p,))) for p in ("nginx", "haproxy", "fastapi-aio", "fastapi")]
        shown = times(held) if t.against else number(held, t.unit)
        word = {True: "met", False: "**not met**", None: "not measured"}[met]
        out.append(f"| {t.what} | {number(figure, t.unit)} | {t.text()} | {shown} | {word} | {' | '.join(to)} |")
    counts = [verdict(f, t)[2] for t in TARGETS]
    out += ["", f"{counts.count(True)} met, {counts.count(False)} not met, {counts.count(None)} not measured.", ""]
    out.append("Versions: " + "; ".join(f"{k} {v}" if not v.startswith("envoy") else v for k, v in a.get("versions", {}).items()
                                     if k != "Keyhouse" and k not in a.get("not_measured", {})) + ".")
    out += [f"{name_of(p)} was not measured: {why}." for p, why in a.get("not_measured", {}).items()]
    if f.errors():
        out.append(f"Requests that failed: {'; '.join(f.errors())}.")
    return "\n".join(out) + "\n"


# ---------------------------------------------------------------- the numbers

def numbers(f: Figures) -> dict[str, Any]:
    """Medians of every figure, Keyhouse's ratios to every peer of the same rounds, and the targets."""
    medians: dict[str, Any] = {}
    ratios: dict[str, Any] = {}
    for measure, peers in f.rows.items():
        for peer, rows in peers.items():
            keys = sorted({k for r in rows for k, v in r.items() if isinstance(v, (int, float)) and k != "round"})
            medians.setdefault(measure, {})[peer] = {"rounds": len(rows), **{k: round(f.median(measure, k, peer) or 0, 4) for k in keys if f.median(measure, k, peer) is not None}}
        mine = next((p for p in ("keyhouse-nokeep", "keyhouse-10k-rules", "keyhouse-kept", "product-2", "product") if p in peers), None)
        for other in peers:
            for key in ("cpu_us", "cpu_s_gb", "rps", "gbps", "p50_us", "added_us", "kb_conn", "idle_mb", "per_request"):
                r = f.ratio(measure, key, mine, (other,)) if mine and other != mine else None
                if r is not None:
                    ratios.setdefault(measure, {}).setdefault(key, {})[other] = round(r, 3)
    targets = []
    for t in TARGETS:
        figure, held, met = verdict(f, t)
        targets.append({"what": t.what, "target": t.text(), "figure": figure, "unit": t.unit, "measured": held and round(held, 3), "met": met})
    about = {k: v for k, v in f.about.items() if k not in ("peer", "m", "round")}
    return {**about, "targets": targets, "ratios": ratios, "medians": medians}


# ---------------------------------------------------------------- the chart

# Read on white as on GitHub's dark ground, so that the chart needs no ground of its own.
INK, MINE, THEIRS = "#768390", "#2f81f7", "#8c96a1"
WIDTH, LABELS, FIGURES, ROW, BAR = 860, 240, 110, 26, 16


def chart(f: Figures) -> str:
    panels = (("CPU a request, one token, µs (less is better)", "cpu_us"), ("Requests/s on one core (more is better)", "rps"))
    parts: list[str] = []
    y = 66
    for title, key in panels:
        values = [(p, f.median("rps", key, p)) for p in PEERS]
        part, y = panel(title, [(p, v) for p, v in values if v], y)
        parts += part
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img" '
            'font-family="-apple-system, Segoe UI, Helvetica, Arial, sans-serif" font-size="13">',
            f"<title>Keyhouse and its peers: CPU a request and requests/s. {html.escape(headline(f))}</title>",
            text(0, 20, "Keyhouse and its peers: SELECT 1 over TLS, 32 connections", size=16, weight=600),
            text(0, 40, f"{html.escape(headline(f))}; {rounds(f)}", size=12)]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def text(x: float, y: float, s: str, size: int = 13, weight: int = 400, anchor: str = "start", fill: str = INK) -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{fill}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}">{s}</text>'


def panel(title: str, values: list[tuple[str, float]], y: int) -> tuple[list[str], int]:
    """Bars from zero. One that is so long that the others could not be read ends in a gap; its number is true."""
    out = [text(0, y + 12, html.escape(title), weight=600)]
    y += 26
    room = WIDTH - LABELS - FIGURES
    mine = next((v for p, v in values if p == "product"), max((v for _, v in values), default=1))
    longest = max((v for _, v in values if v <= 8 * mine), default=1)
    for peer, v in values:
        mark, color = (600, MINE) if peer == "product" else (400, THEIRS)
        note = {"nginx": " (no token)", "chproxy": " (password, no token)"}.get(peer, "")
        out.append(text(LABELS - 10, y + 13, html.escape(name_of(peer) + note), weight=mark, anchor="end"))
        cut = v > longest
        length = room if cut else max(2.0, room * v / longest)
        if cut:
            out.append(f'<rect x="{LABELS}" y="{y}" width="{length - 30:g}" height="{BAR}" rx="2" fill="{color}"/>')
            out.append(f'<rect x="{LABELS + length - 24:g}" y="{y}" width="24" height="{BAR}" rx="2" fill="{color}"/>')
        else:
            out.append(f'<rect x="{LABELS}" y="{y}" width="{length:g}" height="{BAR}" rx="2" fill="{color}"/>')
        out.append(text(LABELS + length + 8, y + 13, number(v), weight=mark))
        y += ROW
    return out, y + 18


# ---------------------------------------------------------------- all of it

def rows_of(name: str) -> Iterable[Row]:
    with open(name) as f:
        return [json.loads(line) for line in f if line.strip()]


def write(files: list[str], folder: pathlib.Path) -> None:
    # The rounds of two files are different rounds.
    f = Figures({**row, "round": (n, row.get("round"))} for n, name in enumerate(files) for row in rows_of(name))
    (folder / "results.json").write_text(json.dumps(numbers(f), indent=1, ensure_ascii=False) + "\n")
    (folder / "results.md").write_text(markdown(f))
    (folder / "results.svg").write_text(chart(f))
