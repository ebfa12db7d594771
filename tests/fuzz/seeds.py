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


def few(most):
    """Some statements, those with data first."""
    texts = list(statements())
    inserts = [text for text in texts if re.match(r"(?i)\s*insert", text)]
    return (inserts + [text for text in texts if text not in inserts])[:most]


def coded_bodies():
    """Bodies of the tests of src/statement/coding.rs, and texts that the target codes."""
    source = (ROOT / "src/statement/coding.rs").read_text()
    order = ["GZIP", "DEFLATE", "BROTLI", "ZSTD", "LZ4", "BLOCK"]
    for name, digits in re.findall(r'const (\w+): &str = "([0-9a-f\s\\]+)"', source):
        body = bytes.fromhex(re.sub(r"[\s\\]", "", digits))
        coding = order.index(name.split("_")[0])
        if coding == 5:
            # The target makes the block around it: its codec, its length, and what is packed.
            yield bytes([131, 3, 7, body[16]]) + body[21:23] + body[25:]
        yield bytes([coding, 3, 7]) + body
        yield bytes([coding, 250, 0]) + body * 2
    for text in [b"", b"a", b"row\t1\n" * 40, bytes(range(256))]:
        yield from (bytes([126 + coding, 5, 1]) + text for coding in range(6))


def requests():
    """What kind it is, how its body is cut, and a statement in the address, in the body, and in both."""
    rng = random.Random(1)
    for number, sql in enumerate(few(1200)):
        sql, kind = sql.encode(), bytes([number % 32, rng.randrange(256)])
        at = rng.randrange(len(sql) + 1)
        yield from (kind + b"\0" + sql, kind + sql + b"\0" + b"1\ta\n", kind + sql[:at] + b"\0" + sql[at:])
    for head in [b"INSERT INTO t VALUES", b"INSERT INTO t FORMAT CSV", b"INSERT INTO db.t (a) FORMAT JSONEachRow "]:
        for data in [b"", b" ", b"(1, 'x')", b"1,2\n3,4\n", b"SETTINGS a = 1 (1)", b"\xff\xfe\x00", b'{"a": 1}\n\n{"a": 2}', b"-- x\n1", b"/* x */ set"]:
            yield from (bytes([kind, 9]) + head + b"\0" + data for kind in range(16))
            yield from (bytes([kind, 9]) + b"\0" + head + b"\n" + data for kind in range(16))


def forms():
    """How the body is cut, and fields and tables in forms."""
    field = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    table = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: text/csv\r\n\r\n%s\r\n'
    one = field % (b"a_structure", b"id UInt64, `n m` Array(String)") + table % (b"a", b"a.tsv", b"1\t[]\n")
    two = field % (b"b_format", b"CSV") + field % (b"b_types", b"UInt8, Enum8('x' = 1)") + table % (b"b", b"", b"1,x\r\n")
    for sql in [b"SELECT * FROM a, b WHERE n = {n:String}", *(text.encode() for text in few(300))]:
        query = field % (b"query", sql)
        for parts in [query, query + one, two + query + field % (b"param_n", b"x\ty") + one]:
            yield b"\5\0" + parts + b"--x--\r\n"
        yield b"\7" + sql + b"\0" + one + two + b"--x--"
    yield b"\7SELECT 1\0--x--"


def addresses():
    yield from ["", "query=SELECT+1", "qu%65ry=SELECT+%27a%2Bb%27&database=sales&default_format=JSON", "query=%zz", "a=b;c=d"]
    yield from ["session_id=a&query_id=b&wait_end_of_query=1&date_time_input_format=best_effort", "param_a=1&param_b=&param_a_b=%c3%a4"]
    yield from ["decompress=1&query=", "decompress=false", "a_structure=x+Int8&a_format=CSV&b_types=Int8", "cast_string_to_dynamic_use_inference=1"]


def data():
    yield from ["", " ", "1,2\n", "(1, 'x')", '{"a": 1}', "SETTINGS a = 1 (1)", "settings", "set", "Settingsx", "/* x */ SETTINGS a", "-- x\nSETTINGS a"]
    yield from ["#!x\n 1", "# x\n", "\u00a0SETTINGS", "\ufeffsettings a", "$a$ x $a$", "'", "1.", "--", "/", "<", "\0SETTINGS", b"\xffSETTINGS", b" \xe2\x80"]


SEEDS = {
    "lexer": statements,
    "decoders": coded_bodies,
    "gather": requests,
    "form": forms,
    "address": addresses,
    "data_begins": data,
}


def main():
    target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS.get(target, with_parameters)()):
        (folder / f"{number:04}").write_bytes(seed if isinstance(seed, bytes) else seed.encode())


main()
