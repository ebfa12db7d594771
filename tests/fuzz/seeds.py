"""Writes what a target begins with: python3 tests/fuzz/seeds.py TARGET FOLDER

Statements of ClickHouse's own tests (the corpus of the README), of every kind some, the shorter ones; where there is no
corpus, a few of our own. A target that takes anything but a statement gets its seeds here too, by its name.
"""
import base64
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


NOW = 1_800_000_000
CLAIMS = {
    "https://corp": {"aud": ["clickhouse"], "sub": "alice", "groups": ["analysts"], "iat": NOW, "nbf": NOW - 0.5, "exp": NOW + 300},
    "https://pool": {"client_id": "app", "token_use": "access", "email": "a@example.com", "name": "A", "cognito:groups": "a,b", "exp": NOW + 300},
    "https://ids": {"aud": "org:1", "azp": "grafana", "sub": "b", "a": {"roles": {"admin": {}}}, "at_hash": "x", "exp": NOW + 300},
    "https://ci": {"aud": "clickhouse", "sub": "repo:a/b", "owner": "1", "protected": True, "attempt": 2, "ref": {"name": "main"}, "scope": "a b", "exp": NOW + 300},
}
HEADERS = [{"alg": "EdDSA", "kid": "a", "typ": "JWT"}, {"alg": "Ed25519", "typ": "at+jwt"}, {"alg": "RS256", "kid": "b", "cty": "x"}]
# What is laid over good claims, header or not.
ODD = [
    {"aud": "account", "azp": "web"}, {"aud": []}, {"aud": ["CLICKHOUSE/"]}, {"aud": 1}, {"aud": "https://github.com/x"}, {"aud": "00000003-0000-0000-c000-1"},
    {"aud": ["https://kubernetes.default.svc"]}, {"aud": "other\n\u202e"}, {"iss": "https://CORP/"}, {"iss": 1}, {"exp": NOW - 61}, {"exp": "1"}, {"exp": 9e15},
    {"exp": 253402300799.99999}, {"nbf": NOW + 3600, "iat": NOW + 3600}, {"iat": 0.1}, {"typ": "Refresh"}, {"token_use": "id"}, {"events": {}}, {"cnf": {}},
    {"sub": ""}, {"sub": "\u202e"}, {"groups": {"a": 1}}, {"groups": [["a"]]}, {"groups": "a"}, {"_claim_names": {}, "groups": 1}, {"email_verified": False},
    {"crit": ["b64"]}, {"b64": False}, {"zip": "DEF"}, {"cty": "JWT"}, {"kid": 7}, {"kid": "k" * 300}, {"typ": 7}, {"alg": "none"}, {"alg": "HS256"},
]


def tokens():
    """Header, claims and signature, to be encoded; and some texts that are no tokens."""
    write = lambda value: json.dumps(value).encode()
    for issuer, claims in CLAIMS.items():
        for header in HEADERS:
            yield b"\0".join([write(header), write({"iss": issuer, **claims}), b"s" * 64])
        for odd in ODD:
            yield b"\0".join([write(HEADERS[0] | odd), write({"iss": issuer, **claims}), b"s"])
            yield b"\0".join([write(HEADERS[0]), write({"iss": issuer, **claims} | odd), b"s"])
    twice = b'{"iss":"https://corp","groups":["a"],"gr\\u006fups":["b"]}'
    long = b'{"' + b"n" * 1500 + b'":1,"' + b"n" * 1500 + b'":1}'
    yield b"{}\0" + long + b"\0s"
    yield from [b"{}\0" + twice + b"\0s", b'{"a":1,"a":2}\0{}\0s', b"[]\0{}\0s", b"{}\0" + b'{"a":' + b"[" * 20 + b"]" * 20 + b"}\0s"]
    yield from ["eyJhbGciOiJFUzI1NiJ9.e30.c2ln", "e30.e30.c2lnA", "e30.e30.c2ln=", "e30.e30.YWJ", "a.b.c.d.e", "a.b", "ya29.a0", "ghp_x", "a.é.c", " ", ""]


def jwks():
    """Keys of every type that is known, and of some that are not. The RSA key is no key of anybody: its modulus is odd, that is all."""
    number = base64.urlsafe_b64encode(b"\xc3" + bytes(random.Random(1).randrange(256) for _ in range(254)) + b"\x01").decode().rstrip("=")
    rsa = {"kty": "RSA", "n": number, "e": "AQAB"}
    p256 = {"kty": "EC", "crv": "P-256", "x": "9VmyINq4AM8sKuxFn1cMbZgKWQxFb47kBV6qOWWHPqE", "y": "5WklqiaqL2RUssAjmJ-LDvsT9eJhiWKHp2rwCkVBhw4"}
    p384 = {
        "kty": "EC", "crv": "P-384",
        "x": "PX883kd_tOC5NLD1ETR3lCdv40cdpURBwXCMZ4VjEW09vv7TKh4YcA0rx-ztSZKr",
        "y": "3jVRpRxKrPS5iRII1Em_xI469KSV2TUhTxkotRW4OZKrUUDjUINqf996mHx964Z9",
    }
    ed = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    others = [{"kty": "oct", "k": "c2VjcmV0"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {"kty": "OKP", "crv": "X25519", "x": "AA"}, {"kty": "AKP"}, {}, "x", 7]
    more = [{}, {"use": "sig", "alg": "RS256", "kid": "a"}, {"use": "enc"}, {"kid": 7}, {"alg": "RSA-OAEP"}, {"key_ops": ["verify"]}, {"key_ops": []}, {"alg": "EdDSA"}]
    keys = [rsa, p256, p384, ed, *others]
    yield from (json.dumps({"keys": [key | extra if isinstance(key, dict) else key]}) for key in keys for extra in more)
    yield from map(json.dumps, [{"keys": keys}, {"keys": [ed] * 70}, {"keys": []}, {"keys": {}}, [], {}])
    yield from ["<html>", "", json.dumps({"keys": [ed]})[:-1], '{"keys":[],"keys":[' + json.dumps(ed) + "]}"]


def discoveries():
    issuers = ["https://idp.example.com", "https://idp.example.com/", "http://idp.example.com", "https://IDP.example.com", "", "idp", 7]
    addresses = ["https://idp.example.com/keys", "http://127.0.0.1:1/k", "http://[::1]/", "http://localhost/a?b#c", "http://a/", "https://u:p@a/", "ftp://a/", "/keys", "https://é/", 7]
    yield from (json.dumps({"issuer": issuer, "jwks_uri": address}) for issuer in issuers for address in addresses)
    yield from ["", "[]", "{}", "null", '{"issuer":"https://idp.example.com"}', '{"issuer":"https://idp.example.com","issuer":"b","jwks_uri":"https://a"}']


def proxies():
    """PROXY headers over both families, with and without a field of a load balancer, and lines of X-Forwarded-For."""
    start = b"\r\n\r\n\0\r\nQUIT\n"
    fours, sixes = bytes([203, 0, 113, 9, 192, 0, 2, 1, 1, 2, 3, 4]), bytes(range(36))
    for command in (0x20, 0x21):
        for family, addresses in ((0x11, fours), (0x21, sixes), (0x31, bytes(216)), (0, b"")):
            for field in (b"", bytes([0xEA, 0, 3, 1]) + b"vp"):
                yield start + bytes([command, family]) + (len(addresses) + len(field)).to_bytes(2, "big") + addresses + field + b"GET /"
    yield from (b"203.0.113.9, 10.1.1.1\n10.2.2.2", b"[2001:db8::1]:80", b"1.2.3.4:5, fd00::2", b"unknown, 10.1.1.1")


def challenges():
    """The number of a reason, what is said, the realm and where its metadata is."""
    texts = ["Send a token.", 'Token audience is ["x"].', "a\r\nset-cookie: x", "\\\"", "é\u202e", "x" * 400, ""]
    for number in range(80):
        yield from (bytes([number]) + f"{text}\0{other}".encode() for text in texts for other in ["clickhouse", "https://ch\0https://ch/m", 'a"b\0"'])


SEEDS = {
    "lexer": statements,
    "decoders": coded_bodies,
    "gather": requests,
    "form": forms,
    "address": addresses,
    "data_begins": data,
    "token": tokens,
    "jwks": jwks,
    "discovery": discoveries,
    "challenge": challenges,
    "origin": proxies,
}


def main():
    target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS.get(target, with_parameters)()):
        (folder / f"{number:04}").write_bytes(seed if isinstance(seed, bytes) else seed.encode())


main()
