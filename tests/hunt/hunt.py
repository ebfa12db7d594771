"""Hunts for statements that Keyhouse and ClickHouse's own parser read differently, and shrinks them to the shortest.

    .venv/bin/python tests/hunt/hunt.py --binary target/release/keyhouse --minutes 60

makes statements out of others (cut, swapped, spliced, with stray keywords and brackets), asks `keyhouse statement` what each
does and touches and the embedded ClickHouse what its tree has, and prints what differs:

  false read    ClickHouse's tree is no read, and we call it one
  kind          another node than the tree's
  table missed  a TableIdentifier of the tree that we do not report
  call missed   a function of the tree of a read that we do not report
  canonical     the canonical text is another statement for ClickHouse

Exit code 1 where anything differs. What only one of the two can read is counted and no difference: what we refuse goes
nowhere, and what ClickHouse refuses does nothing.
"""
import argparse
import collections
import gzip
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
EMBEDDED = ROOT / "deploy" / "embedded-clickhouse"
LOGIN = {"X-ClickHouse-User": "kh_analyst", "X-ClickHouse-Key": "analyst-pw-1", "X-ClickHouse-Format": "TSVRaw"}
READS = ("SelectWithUnionQuery", "Explain", "Describe", "Exists", "Show", "SHOW", "Check")
BATCH = 2000

# Where there is no corpus, these are what statements are made of.
SEEDS = """SELECT a, count() AS c FROM db.t AS x LEFT JOIN (SELECT b FROM u) AS y ON x.b = y.b WHERE a IN (1, 2) GROUP BY a HAVING c > 1 LIMIT 5 BY a
WITH r AS (SELECT 1 AS n UNION ALL SELECT 2), s AS (SELECT * FROM r) SELECT * FROM s, t WHERE n NOT IN db.ids ORDER BY n DESC NULLS LAST
FROM t SELECT a |> WHERE a > 1 |> AGGREGATE sum(a) GROUP BY b |> ORDER BY b |> LIMIT 3
SELECT arrayMap((x, y) -> x + y, [1, 2], [3, 4]), CASE a WHEN 1 THEN 'x' ELSE 'y' END, INTERVAL 1 DAY, CAST(a AS Array(Nullable(UInt8)))
SELECT sum(a) FILTER (WHERE b) OVER (PARTITION BY c ORDER BY d ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t QUALIFY 1 WINDOW w AS (ORDER BY a)
SELECT * EXCEPT (a) REPLACE (1 AS b) APPLY (x -> x + 1), t.* FROM t ARRAY JOIN a AS z ANY INNER JOIN u USING (id) PREWHERE 1 SETTINGS max_threads = 1
SELECT dictGet('d', 'a', 1), joinGet(j, 'b', 2), (SELECT max(x) FROM v), trim(BOTH ' ' FROM a), extract(YEAR FROM d), position('a' IN b) FROM t FINAL SAMPLE 1/10
SELECT * FROM numbers(10) AS n CROSS JOIN view(SELECT * FROM w) AS z, (EXPLAIN SELECT 1 FROM q), merge('db', '^t') WHERE 1 IN (t2) AND x = ANY (SELECT 1)
EXPLAIN PLAN header = 1 SELECT * FROM t WHERE a LIKE 'x%' AND b BETWEEN 1 AND 2 AND c IS NOT NULL
DESCRIBE TABLE (SELECT a FROM t)
SHOW TABLES FROM db LIKE 'x%'
INSERT INTO t (a, b) SELECT a, b FROM u WHERE c IN (SELECT d FROM w)
CREATE TABLE t (a UInt8 DEFAULT 1 CODEC(ZSTD), INDEX i a TYPE minmax) ENGINE = MergeTree ORDER BY a TTL d + INTERVAL 1 DAY
ALTER TABLE t ADD COLUMN b String AFTER a, DELETE WHERE a = 1
DROP TABLE IF EXISTS db.t SYNC""".split("\n")

TOKENS = re.compile(r"""--[^\n]*\n?|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*"|\w+|\s+|[^\w\s]""", re.S)
STRAY = ("SELECT FROM WITH AS IN NOT AND OR ( ) , . * a b t d.t JOIN ON USING LEFT ARRAY UNION ALL EXCEPT WHERE GROUP BY ORDER LIMIT OFFSET "
         "SETTINGS FINAL SAMPLE CASE WHEN THEN END INTERVAL DAY view( numbers( (SELECT 1) EXPLAIN -> :: [ ] ? : = |> x GLOBAL ANY SOME EXISTS "
         "DISTINCT WINDOW OVER FILTER QUALIFY HAVING PARALLEL WITH DESC DATE COLUMNS('a') APPLY REPLACE BETWEEN IS NULL LIKE ESCAPE CAST( "
         "extract( trim( position( date_add( in( dictGet( + 'a' `b` 1").split()
BEHIND = re.compile(r"( \(alias .*\))?( \(children \d+\))?$")
# A statement with one of these may go on in what the oracle's answer is made of, or has data.
LEFT_OUT = re.compile(r"[;{]|\b(format|outfile|infile|values)\b", re.I)


class ClickHouse:
    """The embedded ClickHouse, for as long as the hunt lasts."""

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, EMBEDDED / "embedded_clickhouse.py"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().split()[1]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)

    def tree(self, sql):
        """The lines of `EXPLAIN AST`, or nothing where ClickHouse does not take the statement."""
        request = urllib.request.Request(self.url, ("EXPLAIN AST " + sql).encode(), LOGIN)
        try:
            return urllib.request.urlopen(request, timeout=20).read().decode(errors="replace").split("\n")
        except urllib.error.HTTPError:
            return None


def told(binary, statements):
    lines = "".join(json.dumps({"sql": sql}) + "\n" for sql in statements)
    done = subprocess.run([binary, "statement", "--jsonl"], input=lines, capture_output=True, text=True, timeout=300)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(statements):
        sys.exit(f"{len(answers)} answers for {len(statements)} statements: {done.stderr[-400:]}")
    return answers


def of(lines, node):
    """The names of these nodes; behind a name may stand its alias and how many children it has."""
    return {BEHIND.sub("", line.lstrip(" ")[len(node):]) for line in lines if line.lstrip(" ").startswith(node)}


def difference(facts, lines, clickhouse):
    """What we and ClickHouse read differently, or nothing."""
    root = lines[0]
    if facts["effect"] == "read" and not root.startswith(READS):
        return "false read"
    if facts["kind"].split(" ")[0] != root.split(" ")[0]:
        return "kind"
    also = {also["name"] for also in facts["also"]}
    if any("\n" in name for name in [*facts["tables"], *also]):
        return None  # the tree writes such a name on several lines
    if of(lines, "TableIdentifier ") - set(facts["tables"]) - set(facts["ctes"]) - set(facts["targets"]) - also:
        return "table missed"
    calls = {name.lower() for name in [*facts["functions"], *facts["table_functions"], *also]}
    # What tuple and array are is also a literal's form.
    if facts["effect"] == "read" and {name.lower() for name in of(lines, "Function ")} - calls - {"tuple", "array"}:
        return "call missed"
    # A cast of a literal takes the text of it, spaces and all.
    if "::" not in facts["canonical"] and clickhouse.tree(facts["canonical"]) != lines:
        return "canonical"
    return None


def differs(binary, clickhouse, sql):
    facts = told(binary, [sql])[0]
    lines = clickhouse.tree(sql) if facts["understood"] else None
    return difference(facts, lines, clickhouse) if lines else None


def shrunk(binary, clickhouse, sql, what):
    """The shortest that still differs alike: ever smaller runs of tokens are left out."""
    tokens = TOKENS.findall(sql)
    size = max(len(tokens) // 2, 1)
    while size:
        at = 0
        while at < len(tokens):
            shorter = tokens[:at] + tokens[at + size:]
            if differs(binary, clickhouse, "".join(shorter)) == what:
                tokens = shorter
            else:
                at += size
        size //= 2
    return "".join(tokens)


def seeds():
    file = pathlib.Path(os.environ.get("KEYHOUSE_CORPUS", ROOT / "../shared/corpus")) / "clickhouse-statements.jsonl.gz"
    if not file.exists():
        print(f"no corpus at {file}: {len(SEEDS)} statements of our own are what others are made of")
        return [TOKENS.findall(sql) for sql in SEEDS]
    with gzip.open(file, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return [TOKENS.findall(sql) for sql in SEEDS + [row["sql"] for row in rows if row["accepted"] and len(row["sql"]) < 600]]


def mutated(rng, texts):
    tokens, other = list(rng.choice(texts)), rng.choice(texts)
    for _ in range(rng.randint(1, 3)):
        at, kind = rng.randrange(len(tokens) + 1), rng.random()
        if kind < 0.25:
            del tokens[at:at + 1]
        elif kind < 0.5:
            tokens[at:at] = [" ", rng.choice(STRAY), " "]
        elif kind < 0.75:
            begins = rng.randrange(len(other))
            tokens[at:at] = [" ", *other[begins:begins + rng.randint(1, 8)], " "]
        elif at + 1 < len(tokens):
            with_ = rng.randrange(len(tokens))
            tokens[at], tokens[with_] = tokens[with_], tokens[at]
    return "".join(tokens)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=ROOT / "target/debug/keyhouse")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--statements", type=int, default=4000, help="how many to make, where --minutes is not given")
    parser.add_argument("--minutes", type=float, help="how long to hunt")
    given = parser.parse_args()
    rng, texts, counts, found = random.Random(given.seed), seeds(), collections.Counter(), 0
    ends = time.monotonic() + given.minutes * 60 if given.minutes else None
    with ClickHouse() as clickhouse:
        while time.monotonic() < ends if ends else counts["made"] < given.statements:
            batch = [sql for sql in (mutated(rng, texts) for _ in range(BATCH)) if not LEFT_OUT.search(sql)]
            counts["made"] += BATCH
            for sql, facts in zip(batch, told(given.binary, batch)):
                if not facts["understood"]:
                    counts["refused by us"] += 1
                    continue
                lines = clickhouse.tree(sql)
                counts["refused by ClickHouse alone" if lines is None else "compared"] += 1
                what = lines and difference(facts, lines, clickhouse)
                if what:
                    found += 1
                    print(f"{what}: {shrunk(given.binary, clickhouse, sql, what)!r}", flush=True)
            print(", ".join(f"{name} {count}" for name, count in counts.items()), flush=True)
    print(f"{found} differences (seed {given.seed})")
    sys.exit(1 if found else 0)


main()
