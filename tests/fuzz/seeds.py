"""Writes what a target begins with: python3 tests/fuzz/seeds.py TARGET FOLDER

Statements of ClickHouse's own tests (the corpus of the README), of every kind some, the shorter ones; where there is no
corpus, a few of our own. A target that takes anything but a statement gets its seeds here too, by its name.
"""
import collections
import gzip
import json
import os
import pathlib
import random
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST, LONGEST = 4000, 512
OWN = """WITH a AS (SELECT 1 AS n) SELECT *, f(x -> x + 1) AS c FROM a, db.t AS x LEFT JOIN (SELECT b FROM u) USING (b) WHERE n IN (1, 2) LIMIT 5 BY a
SELECT CASE a WHEN 1 THEN 'x' ELSE $$y$$ END, INTERVAL 1 DAY, CAST(a AS Array(UInt8)), {p:String} FROM {t:Identifier} -- end
INSERT INTO db.t (a, b) VALUES (1, 'x')
CREATE TABLE t (a UInt8 DEFAULT 1, INDEX i a TYPE minmax) ENGINE = MergeTree ORDER BY a TTL d + INTERVAL 1 DAY
ALTER TABLE t ADD COLUMN b String AFTER a, DELETE WHERE a = 1
DROP TABLE IF EXISTS db.t SYNC""".split("\n")
PARAMETER = re.compile(r"\{\s*(\w+)\s*:\s*(?:\w+)")


def statements():
    """Each kind of ClickHouse's tree in turn gives one, so that the rare ones are there."""
    file = pathlib.Path(os.environ.get("KEYHOUSE_CORPUS", ROOT / "../shared/corpus")) / "clickhouse-statements.jsonl.gz"
    if not file.exists():
        print(f"no corpus at {file}: {len(OWN)} statements of our own are the seeds", file=sys.stderr)
        return OWN
    kinds = collections.defaultdict(set)
    with gzip.open(file, "rt") as lines:
        for row in map(json.loads, lines):
            if len(row["sql"].encode()) <= LONGEST:
                kinds[row.get("root")].add(row["sql"])
    rng = random.Random(1)
    rest = [rng.sample(sorted(texts), len(texts)) for _, texts in sorted(kinds.items(), key=str)]
    chosen = list(OWN)
    while rest and len(chosen) < MOST:
        chosen += [texts.pop() for texts in rest]
        rest = [texts for texts in rest if texts]
    return chosen[:MOST]


def with_parameters():
    """Behind a statement with parameters stand their values."""
    for sql in statements():
        names = dict.fromkeys(PARAMETER.findall(sql))
        yield sql + "".join(f"\0{name}=v{name}" for name in names)


SEEDS = {"lexer": statements}


def main():
    target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS.get(target, with_parameters)()):
        (folder / f"{number:04}").write_bytes(seed if isinstance(seed, bytes) else seed.encode())


main()
