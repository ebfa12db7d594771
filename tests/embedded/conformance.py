"""Sends the same requests to the embedded ClickHouse, to Debian's 18.16 and to the `clickhouse` on PATH, where there are
such, and lists every difference.

    python tests/embedded/conformance.py            # the Python that has chdb-core

The code is 1 if the embedded one breaks a promise (column `promise` below), 0 otherwise: a difference between versions
is no failure, but it is listed. Everything that it starts it ends, by its own id.
"""
import bz2
import contextlib
import gzip
import hashlib
import json
import pathlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from urllib.parse import quote

ROOT = pathlib.Path(__file__).resolve().parents[2]
EMBEDDED = ROOT / "deploy" / "embedded-clickhouse" / "embedded_clickhouse.py"
SECONDS = 20
OWNER, READER, GRANTED = ("owner", "owner-pw-3"), ("kh_reader", "reader-pw-4"), ("kh_granted", "granted-pw-5")
MANAGER, WRONG = ("kh_manager", "manager-pw-6"), ("owner", "wrong")

USERS = """<yandex><profiles><default><max_threads>2</max_threads></default><reader><readonly>1</readonly></reader></profiles>
<users>
<owner><password>owner-pw-3</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></owner>
<kh_reader><password>reader-pw-4</password><networks><ip>127.0.0.1</ip></networks><profile>reader</profile><quota>default</quota></kh_reader>
<kh_granted><password>granted-pw-5</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
<grants><query>GRANT SELECT ON default.numbers5</query><query>GRANT auditor</query></grants>
<databases><default><numbers5><filter>n &lt; 3</filter></numbers5></default></databases></kh_granted>
<kh_manager><password>manager-pw-6</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
<access_management>1</access_management></kh_manager>
</users><roles><auditor><grants><query>GRANT SELECT ON default.taken</query></grants></auditor></roles>
<quotas><default/></quotas></yandex>"""
CONFIG = """<yandex><logger><level>fatal</level><console>1</console></logger><listen_host>127.0.0.1</listen_host>
<http_port>{port}</http_port><path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path>
<user_files_path>{folder}/user_files/</user_files_path><format_schema_path>{folder}/schemas/</format_schema_path>
<mark_cache_size>67108864</mark_cache_size><users_config>users.xml</users_config>
<default_profile>default</default_profile><default_database>default</default_database></yandex>"""
PREPARED = [
    "CREATE TABLE numbers5 (n UInt64, s String) ENGINE = Memory",
    "INSERT INTO numbers5 SELECT number, concat('row ', toString(number)) FROM system.numbers LIMIT 5",
    "CREATE TABLE taken (n UInt64, s String) ENGINE = Memory",
]


# ---- the wire ----

class Reply:
    """One answer as it came: nothing is decoded that the test did not ask for."""

    def __init__(self, raw, seconds):
        head, _, rest = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1]) if first.startswith("HTTP/") else None
        pairs = [line.partition(":") for line in lines]
        self.headers = {}
        for name, _, value in pairs:
            self.headers.setdefault(name.strip().lower(), []).append(value.strip())
        self.seconds = seconds
        self.body, self.end = unframed(self, rest)

    def header(self, name):
        return ", ".join(self.headers.get(name, []))

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def code(self):
        found = self.header("x-clickhouse-exception-code") or "".join(re.findall(r"Code: (\d+)", self.text)[:1])
        return int(found) if found else 0


def unframed(reply, rest):
    """The body without its framing, and how it ended: `whole`, or `broken` where the last chunk never came."""
    if "content-length" in reply.headers:
        wanted = int(reply.header("content-length"))
        return rest[:wanted], "whole" if len(rest) >= wanted else "broken"
    if reply.header("transfer-encoding") != "chunked":
        return rest, "whole"
    body = b""
    while True:
        size, found, rest = rest.partition(b"\r\n")
        if not found:
            return body, "broken"
        length = int(size, 16)
        if not length:
            return body, "whole"
        body += rest[:length]
        if len(rest) < length:
            return body, "broken"
        rest = rest[length + 2:]


class Port(int):
    """Where a server listens; `tls` where it does so with TLS."""

    tls = None


def connect(port):
    plain = socket.create_connection(("127.0.0.1", int(port)), timeout=SECONDS)
    return port.tls.wrap_socket(plain, server_hostname="localhost") if port.tls else plain


def send(port, raw):
    started = time.monotonic()
    with connect(port) as connection:
        connection.sendall(raw)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(1 << 16):
                answer += data
    return Reply(answer, time.monotonic() - started)


def request(port, sql=None, who=OWNER, method="POST", body=None, headers=(), path="/", **parameters):
    return send(port, written(sql, who, method, body, headers, path, **parameters))


def written(sql=None, who=OWNER, method="POST", body=None, headers=(), path="/", **parameters):
    if method == "POST" and sql is not None and body is None:
        body, sql = sql.encode(), None
    pairs = ([("query", sql)] if sql is not None else []) + [(k, v) for k, vs in parameters.items() for v in (vs if isinstance(vs, list) else [vs])]
    target = path + ("?" if pairs else "") + "&".join(f"{quote(k)}={quote(str(v))}" for k, v in pairs)
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    if who:
        lines += [f"X-ClickHouse-User: {who[0]}", f"X-ClickHouse-Key: {who[1]}"]
    if body is not None or method == "POST":
        lines.append(f"Content-Length: {len(body or b'')}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def multipart(fields, files):
    """Content-Type header and body; a file is (name, content)."""
    out = b""
    for name, value in fields:
        out += f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for name, value in files:
        out += f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n\r\n'.encode() + value + b"\r\n"
    return ["Content-Type: multipart/form-data; boundary=x"], out + b"--x--\r\n"


def chunked(sql, pieces, who=OWNER, **parameters):
    head = written(sql, who, headers=["Transfer-Encoding: chunked"], body=b"", **parameters).replace(b"Content-Length: 0\r\n", b"")
    return head + b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in pieces) + b"0\r\n\r\n"


# ---- the requests; each promise is what clickhouse-http.md, or ClickHouse's source, says of a server of 26.9 ----

CASES = []


ALL = "status code type body end headers"


def case(name, promise=None, compare=ALL):
    def add(ask):
        CASES.append((name, ask, promise, compare.split()))
        return ask
    return add


def simple(name, promise, *args, compare=ALL, **kwargs):
    case(name, promise, compare)(lambda port: request(port, *args, **kwargs))


def says(body, status=200):
    return lambda r: r.status == status and r.text == body and r.end == "whole"


def refuses(code, status):
    return lambda r: r.status == status and r.code == code and r.header("x-clickhouse-exception-code") == str(code)


def tagged(r):
    tag = r.header("x-clickhouse-exception-tag")
    return r.status == 200 and r.end == "broken" and f"\r\n__exception__\r\n{tag}\r\nCode: " in r.text and r.text.endswith(f" {tag}\r\n__exception__\r\n")


LONG = "SELECT throwIf(number = 900000, 'late') FROM numbers(1000000)"
simple("ping", says("Ok.\n"), who=None, method="GET", path="/ping")
simple("no query", None, method="GET")
simple("body is the query", says("1\n"), "SELECT 1")
simple("address and body are joined by a line feed", says("1\n2\n"), "SELECT arrayJoin([1,", body=b"2])")
simple("a word cut in two is no word", refuses(62, 400), "SEL", body=b"ECT 1", compare="status code end")
simple("comment across address and body", says("3\n"), "SELECT /* ", body=b" */ 3")
simple("form type is ignored", says("1\n"), "SELECT 1", headers=["Content-Type: application/x-www-form-urlencoded"])
simple("semicolon at the end", says("1\n"), "SELECT 1;")
simple("two statements", lambda r: refuses(62, 400)(r) and "Multi-statements are not allowed" in r.text, "SELECT 1; SELECT 2", compare="status code end")
simple("an expression is no statement", refuses(62, 400), "1 + 1", compare="status code end")
simple("GET reads", says("1\n"), "SELECT 1", method="GET")
simple("GET does not write", refuses(164, 500), "INSERT INTO taken VALUES (1, 'x')", method="GET", compare="status code end")
simple("GET may set", says("3\n"), "SELECT getSetting('max_threads')", method="GET", max_threads=3)
simple("HEAD has no body", lambda r: r.status == 200 and not r.body, "SELECT 1", method="HEAD", compare="status code type end")
simple("PUT does not write", lambda r: r.status != 200, "INSERT INTO taken VALUES (1, 'x')", method="PUT", body=b"", compare="status code end")


@case("POST without a length", refuses(381, 411), "status code end")
def _(port):
    return send(port, written("SELECT 1").replace(b"Content-Length: 8\r\n", b""))


simple("unknown path", lambda r: r.status == 404, "SELECT 1", path="/nosuch", compare="status code end")
simple("no credentials", lambda r: r.status in (401, 403, 500) and r.code in (194, 516, 700), "SELECT 1", who=None, compare="status code end")
simple("wrong password", refuses(516, 403), "SELECT 1", who=WRONG, compare="status code end")
simple("unknown user", refuses(516, 403), "SELECT 1", who=("nobody", "x"), compare="status code end")
simple("Basic", says("owner\n"), "SELECT currentUser()", who=None, headers=["Authorization: Basic b3duZXI6b3duZXItcHctMw=="])
simple("Bearer is not known", lambda r: r.status in (401, 403) and r.code == 516, "SELECT 1", who=None, headers=["Authorization: Bearer x.y.z"], compare="status code end")
simple("credentials in the address", says("owner\n"), "SELECT currentUser()", who=None, **{"user": "owner", "password": "owner-pw-3"})
simple("headers and address together", refuses(516, 403), "SELECT 1", who=None, headers=["X-ClickHouse-User: owner", "X-ClickHouse-Key: owner-pw-3", "Authorization: Basic b3duZXI6b3duZXItcHctMw=="], compare="status code end")
simple("syntax error", refuses(62, 400), "SELEC 1", compare="status code end")
simple("unknown table", refuses(60, 404), "SELECT * FROM nosuch", compare="status code end")
simple("unknown database", refuses(81, 404), "SELECT * FROM nosuch.t", compare="status code end")
simple("unknown function", refuses(46, 404), "SELECT nosuch(1)", compare="status code end")
simple("unknown setting", refuses(115, 404), "SELECT 1", nosuch=1, compare="status code end")
simple("unknown format", refuses(73, 404), "SELECT 1 FORMAT Nosuch", compare="status code end")
simple("readonly=1 does not write", refuses(164, 500), "INSERT INTO taken VALUES (1, 'x')", who=READER, compare="status code end")
simple("readonly=1 does not set", refuses(164, 500), "SELECT 1", who=READER, max_threads=1, compare="status code end")
simple("time is bounded", refuses(159, 408), "SELECT count() FROM system.numbers", max_execution_time=1, compare="status code end")
simple("format in the statement", says('"1"\n'), "SELECT '1' AS x FORMAT CSV")
simple("default_format", says('["x"]\n["UInt8"]\n[1]\n'), "SELECT 1 AS x", default_format="JSONCompactEachRowWithNamesAndTypes")
simple("X-ClickHouse-Format wins", lambda r: says("1\n")(r) and r.header("x-clickhouse-format") == "CSV", "SELECT 1 AS x", default_format="JSONEachRow", headers=["X-ClickHouse-Format: CSV"])
simple("database", says("system\n"), "SELECT currentDatabase()", database="system")
simple("X-ClickHouse-Database wins", says("system\n"), "SELECT currentDatabase()", database="default", headers=["X-ClickHouse-Database: system"])
simple("parameter", says("7\n"), "SELECT {x:UInt8}", param_x=7)
simple("identifier parameter", says("5\n"), "SELECT count() FROM {t:Identifier}", param_t="numbers5")
simple("query id is kept", lambda r: r.header("x-clickhouse-query-id") == "mine-1", "SELECT 1", query_id="mine-1")
simple("query id in a header", lambda r: r.header("x-clickhouse-query-id") == "mine-2", "SELECT 1", headers=["X-ClickHouse-Query-Id: mine-2"])
simple("headers of an answer", lambda r: all(r.header("x-clickhouse-" + h) for h in ("query-id", "format", "timezone", "summary", "server-display-name", "exception-tag")), "SELECT 1")
simple("settings and whether they may change", says("max_threads\t1\n"), "SELECT name, readonly FROM system.settings WHERE name = 'max_threads'", who=READER)
simple("log_comment", says("why\n"), "SELECT getSetting('log_comment')", log_comment="why")
simple("grants", refuses(497, 403), "INSERT INTO numbers5 VALUES (9, 'x')", who=GRANTED, compare="status code end")
simple("grants hold for system tables", refuses(497, 403), "SELECT count() FROM system.processes", who=GRANTED, compare="status code end")
simple("grants hold for files", refuses(497, 403), "SELECT * FROM file('/etc/hostname', 'LineAsString')", who=GRANTED, compare="status code end")
simple("row policy", says("3\n"), "SELECT count() FROM numbers5", who=GRANTED)
simple("role", says("['auditor']\n"), "SELECT currentRoles()", who=GRANTED, role="auditor")
simple("role of nobody", refuses(511, 404), "SELECT 1", role="nosuch", compare="status code end")
simple("mid-stream error is tagged and breaks the chunks", tagged, LONG, compare="status code end")
simple("wait_end_of_query makes it an error", refuses(395, 500), LONG, wait_end_of_query=1, compare="status code end")
simple("summary at the end", lambda r: json.loads(r.header("x-clickhouse-summary"))["read_rows"] == "5", "SELECT count() FROM numbers5 WHERE NOT ignore(n)", wait_end_of_query=1)
simple("progress headers", lambda r: len(r.headers.get("x-clickhouse-progress", [])) >= 2, "SELECT count() FROM numbers(8) WHERE NOT sleepEachRow(0.2)", send_progress_in_http_headers=1, http_headers_progress_interval_ms=100, max_block_size=1, compare="status code end")
simple("extremes, totals in JSON", lambda r: '"totals"' in r.text, "SELECT n % 2 AS k, count() FROM numbers5 GROUP BY k WITH TOTALS ORDER BY k FORMAT JSON", compare="status code type end")
simple("RFC 2047 word in a header", None, "SELECT currentUser()", who=None, headers=["X-ClickHouse-User: =?utf-8?q?owner?=", "X-ClickHouse-Key: owner-pw-3"])
simple("name of a parameter in capitals", None, None, who=None, method="GET", **{"QUERY": "SELECT 1", "user": "owner", "password": "owner-pw-3"})
simple("unknown Content-Encoding", refuses(48, 501), "SELECT 1", headers=["Content-Encoding: nosuch"], compare="status code end")
simple("gzip body", says("1\n"), body=gzip.compress(b"SELECT 1"), headers=["Content-Encoding: gzip"])
simple("bz2 is not built in", refuses(48, 501), body=bz2.compress(b"SELECT 1"), headers=["Content-Encoding: bz2"])
simple("deflate body", says("1\n"), body=zlib.compress(b"SELECT 1"), headers=["Content-Encoding: deflate"])
simple("CORS preflight", None, who=None, method="OPTIONS", compare="status code end")
simple("INTO OUTFILE", lambda r: r.status != 200, "SELECT 1 INTO OUTFILE '/tmp/x'", compare="status code end")
simple("a long query is too long", lambda r: r.status == 400 and r.code == 62, "SELECT 1" + " " * 300000, compare="status code end")


@case("insert body in chunks", says("3\n"))
def _(port):
    request(port, "TRUNCATE TABLE taken")
    send(port, chunked("INSERT INTO taken FORMAT TSV", [b"1\ta\n2", b"\tb\n", b"3\tc\n"]))
    return request(port, "SELECT count() FROM taken")


@case("insert refused half way leaves an error", lambda r: r.status == 400 and r.code in (27, 26, 33), "status code end")
def _(port):
    return request(port, "INSERT INTO taken FORMAT TSV", body=b"1\ta\nx\tb\n")


@case("query_log", says("why\towner\tHTTP\n"))
def _(port):
    request(port, "SELECT 1", query_id="logged", log_comment="why")
    for _ in range(20):
        answer = request(port, "SELECT log_comment, user, interface FROM system.query_log WHERE query_id = 'logged' AND type = 'QueryFinish'")
        if answer.body:
            break
        time.sleep(0.2)
    return answer


# bz2 is not among them: chdb-core is built without it.
for CODEC in ("gzip", "deflate", "br", "zstd", "lz4", "xz", "snappy"):
    @case(f"{CODEC} out and in again", says("5\t10\n"), "status code body end")
    def _(port, codec=CODEC):
        out = request(port, "SELECT n, s FROM numbers5 FORMAT Native", enable_http_compression=1, headers=[f"Accept-Encoding: {codec}"])
        if out.header("content-encoding") != codec:
            return out
        request(port, "TRUNCATE TABLE taken")
        back = request(port, "INSERT INTO taken FORMAT Native", body=out.body, headers=[f"Content-Encoding: {codec}"])
        return back if back.status != 200 else request(port, "SELECT count(), sum(n) FROM taken")


@case("native blocks out and in again", says("5\t10\n"), "status code body end")
def _(port):
    out = request(port, "SELECT n, s FROM numbers5 FORMAT Native", compress=1)
    if out.body[16:17] not in (b"\x82", b"\x90"):
        return out
    request(port, "TRUNCATE TABLE taken")
    back = request(port, "INSERT INTO taken FORMAT Native", body=out.body, decompress=1)
    return back if back.status != 200 else request(port, "SELECT count(), sum(n) FROM taken")


@case("native blocks with a wrong checksum", lambda r: r.status != 200 and r.code in (40, 271, 228), "status code end")
def _(port):
    out = request(port, "SELECT n, s FROM numbers5 FORMAT Native", compress=1)
    return request(port, "INSERT INTO taken FORMAT Native", body=b"\0" + out.body[1:], decompress=1)


@case("query in a form", says("9\n"))
def _(port):
    headers, body = multipart([("query", "SELECT {x:UInt8}"), ("param_x", "9")], [])
    return request(port, body=body, headers=headers)


@case("external table", says("2\tb\n"))
def _(port):
    headers, body = multipart([], [("ext", b"1\ta\n2\tb\n")])
    return request(port, "SELECT * FROM ext WHERE id = 2", body=body, headers=headers, ext_structure="id UInt8, s String")


@case("session keeps a temporary table and settings", says("4\t7\n"))
def _(port):
    request(port, "DROP TEMPORARY TABLE IF EXISTS mine", session_id="s1")
    request(port, "CREATE TEMPORARY TABLE mine (n UInt8)", session_id="s1")
    request(port, "INSERT INTO mine VALUES (4)", session_id="s1")
    request(port, "SET max_threads = 7", session_id="s1")
    return request(port, "SELECT n, getSetting('max_threads') FROM mine", session_id="s1")


@case("another session does not see it", refuses(60, 404), "status code end")
def _(port):
    return request(port, "SELECT * FROM mine", session_id="s2")


@case("session of another user is another", refuses(60, 404), "status code end")
def _(port):
    return request(port, "SELECT * FROM mine", who=READER, session_id="s1")


@case("session_check", refuses(372, 500), "status code end")
def _(port):
    return request(port, "SELECT 1", session_id="never", session_check=1)


@case("session in use is locked", refuses(373, 500), "status code end")
def _(port):
    with beside(port, "SELECT sleepEachRow(1) FROM numbers(3)", session_id="busy", max_block_size=1):
        return request(port, "SELECT 1", session_id="busy")


@case("KILL QUERY ends it", lambda r: r.code == 394, "status code")
def _(port):
    with beside(port, "SELECT count() FROM system.numbers", query_id="victim") as answers:
        request(port, "KILL QUERY WHERE query_id = 'victim' SYNC")
    return answers[0]


@case("a reader who leaves stops the statement", says("0\n"))
def _(port):
    connection = connect(port)
    connection.sendall(written("SELECT number, sleepEachRow(0.001) FROM system.numbers", query_id="left", max_block_size=10, cancel_http_readonly_queries_on_client_close=1, readonly=2))
    connection.recv(100)
    connection.close()
    for _ in range(30):
        answer = request(port, "SELECT count() FROM system.processes WHERE query_id = 'left'")
        if answer.text == "0\n":
            break
        time.sleep(0.2)
    return answer


@case("rows are taken while the body still comes", says("some before the end, 50000 after it\n"), "status body")
def _(port):
    """A part of the body goes; rows of it must be seen before the rest is sent."""
    request(port, "DROP TABLE IF EXISTS streamed")
    request(port, "CREATE TABLE streamed (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    row = b"%d\t" + b"x" * 100 + b"\n"
    first, second = (b"".join(row % n for n in range(start, start + 25000)) for start in (0, 25000))
    count = lambda: int(request(port, "SELECT count() FROM streamed").text)
    head, _, _ = chunked("INSERT INTO streamed FORMAT TSV", [], max_insert_block_size=1000, min_insert_block_size_rows=1000, min_insert_block_size_bytes=0).partition(b"0\r\n\r\n")
    with connect(port) as connection:
        connection.sendall(head + b"%x\r\n" % len(first) + first + b"\r\n")
        early, deadline = 0, time.monotonic() + SECONDS
        while not early and time.monotonic() < deadline:
            early = count()
        connection.sendall(b"%x\r\n" % len(second) + second + b"\r\n0\r\n\r\n")
        answer = b""
        while data := connection.recv(1 << 16):
            answer += data
    reply = Reply(answer, 0)
    reply.body = f"{'some' if early else 'none'} before the end, {count()} after it\n".encode()
    return reply


@case("an answer begins long before it ends", says("early\n"), "status body")
def _(port):
    """20 MB over four seconds or more, however fast the machine is."""
    started = time.monotonic()
    with connect(port) as connection:
        connection.sendall(written("SELECT arrayStringConcat(arrayMap(x -> 'x', range(100000))), sleepEachRow(0.02) FROM numbers(200)", max_block_size=1))
        answer = connection.recv(1 << 16)
        first = time.monotonic() - started
        while data := connection.recv(1 << 20):
            answer += data
    reply = Reply(answer, time.monotonic() - started)
    whole = reply.end == "whole" and len(reply.body) == 200 * 100003
    reply.body = b"early\n" if whole and first < reply.seconds / 2 else f"after {first:.1f} of {reply.seconds:.1f} s, {len(reply.body)} bytes\n".encode()
    return reply


@case("a large answer flows while it is made", lambda r: r.status == 200, "status")
def _(port):
    """400 MB go through; what the server holds meanwhile must stay far below."""
    total, started = 0, time.monotonic()
    with connect(port) as connection:
        connection.sendall(written("SELECT repeat('x', 999) FROM numbers(400000)", max_memory_usage=100_000_000, max_block_size=1000))
        first = connection.recv(1 << 16)
        while data := connection.recv(1 << 20):
            total += len(data)
    reply = Reply(first, time.monotonic() - started)
    reply.status = 200 if total > 399_000_000 else 500
    return reply


@case("garbage and broken connections do no harm", says("1\n"))
def _(port):
    for junk in (b"\0\1\2\n\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"POST /?query=SELECT HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"\x16\x03\x01\x02\x00"):
        with contextlib.suppress(OSError):
            leave(port, junk)
    for _ in range(20):
        leave(port, written("SELECT * FROM system.numbers"))
        leave(port, written("INSERT INTO taken FORMAT TSV", body=b"1\ta\n" * 1000)[:-500])
    return request(port, "SELECT 1")


def leave(port, raw):
    """Sends, and is gone with a reset."""
    connection = connect(port)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.sendall(raw)
    time.sleep(0.02)
    connection.close()


@contextlib.contextmanager
def beside(port, sql, **parameters):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(request(port, sql, **parameters)))
    thread.start()
    time.sleep(0.5)
    yield answers
    thread.join(SECONDS)


# ---- where a proxy and ClickHouse could read a request differently (clickhouse-http.md, 1.3 to 1.6) ----

simple("query twice: the first", says("1\n"), method="GET", query=["SELECT 1", "SELECT 2"])
simple("query twice in a form: both, joined", says("7\n"), method="GET", query=["SEL", "ECT 7"], headers=["Content-Type: multipart/form-data; boundary=x"])
simple("a setting twice: the last", says("2\n"), "SELECT value FROM system.settings WHERE name = 'max_block_size'", max_block_size=[1, 2])
simple("capitals of a form: no form", refuses(62, 400), "SELECT 1", headers=["Content-Type: Multipart/Form-Data; boundary=x"], body=b"(", compare="status code end")
simple("almost a form: decoded as an address", says("8\n"), body=b"query=SELECT 8", headers=["Content-Type: multipart/form-dataZZ"])
simple("an encoded word is decoded: Content-Type", says("9\n"), body=multipart([("query", "SELECT 9")], [])[1], headers=["Content-Type: =?utf-8?q?multipart/form-data?=; boundary=x"])
simple("an encoded word is decoded: format", says('{"x":1}\n'), "SELECT 1 AS x", headers=["X-ClickHouse-Format: =?utf-8?q?JSONEachRow?="])
simple("the format of the header wins over the statement's", says('{"x":1}\n'), "SELECT 1 AS x FORMAT CSV", headers=["X-ClickHouse-Format: JSONEachRow"])
simple("the statement's format wins over default_format", says('1\n'), "SELECT 1 AS x FORMAT CSV", default_format="JSONEachRow")
simple("lower-case post reads only", lambda r: r.status != 200, "INSERT INTO taken VALUES (1, 'x')", method="post", body=b"", compare="status code end")
simple("GET with a body", says("4\n"), "SELECT", method="GET", body=b" 4")
simple("two formats in headers: the first", says("1\n"), "SELECT 1 AS x", headers=["X-ClickHouse-Format: CSV", "X-ClickHouse-Format: JSON"])
simple("semicolon separates no parameters", None, method="GET", path="/?query=SELECT%201;max_threads=1", who=OWNER)
simple("an upload shadows a table", says("9\tupload\n"), "SELECT * FROM numbers5", body=multipart([], [("numbers5", b"9\tupload\n")])[1], headers=multipart([], [])[0], numbers5_structure="n UInt64, s String")
simple("values are code", says("5\n"), "SELECT n FROM ext", body=multipart([], [("ext", b"((SELECT count() FROM numbers5))")])[1], headers=multipart([], [])[0], ext_structure="n UInt64", ext_format="Values")
simple("a setting that is SQL", says("5\n"), "SELECT 1", select="(SELECT count() FROM numbers5)")
simple("a setting that is SQL, under readonly=1", says("5\n"), "SELECT 1", select="(SELECT count() FROM numbers5)", who=READER)
simple("gzip twice is refused", refuses(48, 501), "SELECT 1", headers=["Content-Encoding: gzip, gzip"], compare="status code end")
simple("stacktrace", lambda r: r.status == 404 and "Stack trace" in r.text, "SELECT * FROM nosuch", stacktrace=1, compare="status code end")
simple("a header that a statement sets", lambda r: r.header("x-mine") == "1", "SELECT 1", http_response_headers="{'X-Mine': '1'}", compare="status code end")
simple("error inside a format", lambda r: r.status == 200 and r.end == "whole" and '"exception"' in r.text, LONG + " FORMAT JSON", http_write_exception_in_output_format=1, compare="status code end")
simple("error inside an encoding", lambda r: r.status == 200 and r.end == "broken", LONG.replace("SELECT", "SELECT rand64(number),"), enable_http_compression=1, headers=["Accept-Encoding: gzip"], compare="status end")


@case("target with a fragment", says("1\n"))
def _(port):
    return send(port, written("SELECT 1", method="GET").replace(b" HTTP/1.1", b"#;DROP HTTP/1.1", 1))


@case("absolute target", lambda r: r.status == 404, "status code end")
def _(port):
    return send(port, written("SELECT 1", method="GET").replace(b"GET /", b"GET http://elsewhere/", 1))


@case("length and chunks: the chunks", says("6\n"))
def _(port):
    return send(port, chunked("SELECT", [b" 6"]).replace(b"Transfer-Encoding", b"Content-Length: 2\r\nTransfer-Encoding"))


@case("gzip, chunked is not chunked", lambda r: r.status != 200, "status code end")
def _(port):
    return send(port, chunked("SELECT", [b" 6"]).replace(b"Encoding: chunked", b"Encoding: gzip, chunked"))


@case("the body of a ping is no request", lambda r: r.text == "Ok.\n", "status end")
def _(port):
    hidden = written("SELECT 'smuggled'", method="GET")
    raw = f"GET /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(hidden)}\r\n\r\n".encode() + hidden
    with connect(port) as connection:
        connection.settimeout(2)
        connection.sendall(raw)
        answer = b""
        with contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                answer += data
    reply = Reply(answer, 0)
    reply.end = "smuggled" if b"smuggled" in answer else "alone"
    return reply


@case("insert body kept for later", says("1\n"))
def _(port):
    request(port, "TRUNCATE TABLE taken")
    request(port, "INSERT INTO taken FORMAT TSV", body=b"1\ta\n", async_insert=1, wait_for_async_insert=1)
    return request(port, "SELECT count() FROM taken")


# ---- what the embedded one refuses: the table "Refused" of deploy/embedded-clickhouse/README.md, row by row ----

for SQL in ("CREATE USER u", "ALTER USER kh_reader SETTINGS max_threads = 1", "DROP USER kh_reader", "CREATE ROLE r", "GRANT SELECT ON default.* TO kh_reader", "REVOKE SELECT ON default.* FROM kh_granted", "CREATE ROW POLICY p ON numbers5 USING 1", "CREATE QUOTA q", "CREATE SETTINGS PROFILE p", "SET DEFAULT ROLE auditor TO kh_granted", "CREATE NAMED COLLECTION c AS a = 1"):
    simple(f"not here: {SQL}", refuses(497, 403), SQL, compare="status code end")
simple("not here: CREATE USER, also for who may", refuses(514, 500), "CREATE USER u", who=MANAGER, compare="status code end")
simple("not here: GRANT, also for who may", refuses(495, 500), "GRANT SELECT ON default.* TO kh_reader", who=MANAGER, compare="status code end")
simple("not here: SYSTEM RELOAD USERS", refuses(497, 403), "SYSTEM RELOAD USERS", compare="status code end")
simple("not here: SYSTEM RELOAD USERS, also for who may", refuses(497, 403), "SYSTEM RELOAD USERS", who=MANAGER, compare="status code end")
simple("not here: SYSTEM RELOAD CONFIG", refuses(1, 500), "SYSTEM RELOAD CONFIG", compare="status code end")
simple("not here: custom settings", refuses(115, 404), "SELECT 1", SQL_x=1, compare="status code end")
simple("not here: the user `default`", refuses(700, 500), "SELECT 1", who=("default", ""), compare="status code end")
simple("not here: nobody", refuses(700, 500), "SELECT 1", who=None, compare="status code end")
simple("not here: a certificate instead of a password", refuses(516, 403), "SELECT 1", who=None, headers=["X-ClickHouse-User: owner", "X-ClickHouse-SSL-Certificate-Auth: on"], compare="status code end")
simple("not here: bz2 as the answer's encoding", lambda r: says("1\n")(r) and not r.header("content-encoding"), "SELECT 1", enable_http_compression=1, headers=["Accept-Encoding: bz2"])
simple("the rest of SYSTEM is there", says(""), "SYSTEM FLUSH LOGS", compare="status code end")


# ---- the servers ----

@contextlib.contextmanager
def embedded(folder):
    (folder / "users.xml").write_text(USERS)
    more, tls = certificate(folder)
    with running([sys.executable, str(EMBEDDED), "--users", str(folder / "users.xml"), *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline().decode()
        if not line.startswith("ready "):
            sys.exit("the embedded ClickHouse did not start")
        ports = [Port(url.rpartition(":")[2]) for url in line.split()[1:]]
        for port in ports[1:]:
            port.tls = tls
        yield ports


def certificate(folder):
    """What --https needs and what a client then trusts; nothing where there is no openssl."""
    if not shutil.which("openssl"):
        return [], None
    key, chain = folder / "tls.key", folder / "tls.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", chain, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return ["--https", "127.0.0.1:0", "--certificate", str(chain), "--key", str(key)], ssl.create_default_context(cafile=chain)


@contextlib.contextmanager
def server(folder, *program):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = Port(free.getsockname()[1])
    (folder / "users.xml").write_text(USERS)
    (folder / "config.xml").write_text(CONFIG.format(port=port, folder=folder))
    with running([*program, f"--config-file={folder}/config.xml"], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", int(port))).close()
                break
            time.sleep(0.1)
        yield [port]


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def left_out(what, why):
    """Said where it is read: a column that is missing must not look like one without differences."""
    for stream in (sys.stdout, sys.stderr):
        print(f"LEFT OUT: {what}: {why}", file=stream, flush=True)


def servers(stack):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="conformance-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    found = {"embedded 26.9": embedded}
    if modern := shutil.which("clickhouse"):
        found["clickhouse on PATH"] = lambda place: server(place, modern, "server")
    else:
        left_out("clickhouse on PATH", "there is none")
    if debian := shutil.which("clickhouse-server") or shutil.which("/usr/sbin/clickhouse-server"):
        found["Debian 18.16"] = lambda place: server(place, debian)
    else:
        left_out("Debian 18.16", "there is no clickhouse-server; apt-get install clickhouse-server")
    if not shutil.which("openssl"):
        left_out("embedded 26.9 TLS", "there is no openssl to make a certificate with")
    ports = {}
    for number, (name, start) in enumerate(found.items()):
        (place := folder / str(number)).mkdir()
        for port in stack.enter_context(start(place)):
            ports[f"{name} TLS" if port.tls else name] = port
        for statement in PREPARED:
            answer = request(ports[name], statement)
            if answer.status != 200:
                sys.exit(f"{name}: {statement}: {answer.text}")
    return ports


# ---- the verdict ----

def seen(reply, fields):
    if isinstance(reply, Exception):
        return {"answer": repr(reply)}
    digest = hashlib.sha256(reply.body).hexdigest()[:16]
    all_fields = {
        "status": reply.status, "code": reply.code, "type": reply.header("content-type"), "end": reply.end, "headers": told(reply),
        "body": f"Code: {reply.code}" if reply.code else reply.text if len(reply.body) < 200 else f"{len(reply.body)} bytes, sha256 {digest}",
    }
    return {field: all_fields[field] for field in fields}


def told(reply):
    """ClickHouse's own headers: their value where it is the same each time, else that they are there."""
    same = {name: reply.header(f"x-clickhouse-{name}") for name in ("format", "timezone", "exception-code")}
    query_id = reply.header("x-clickhouse-query-id")
    same["query-id"] = "(generated)" if re.fullmatch(r"[0-9a-f-]{36}", query_id) else query_id
    there = [name for name in ("summary", "exception-tag") if reply.header(f"x-clickhouse-{name}")]
    return ", ".join([f"{name} {value}" for name, value in same.items() if value] + there)


def asked(ask, port):
    try:
        return ask(port)
    except (OSError, ValueError, IndexError, KeyError) as error:
        return error


def main():
    broken, differences = [], 0
    with contextlib.ExitStack() as stack:
        ports = servers(stack)
        print(f"{len(CASES)} requests to: {', '.join(ports)}\n\n| request | what | {' | '.join(ports)} |\n| --- | --- |{' --- |' * len(ports)}")
        for name, ask, promise, fields in CASES:
            replies = {server: asked(ask, port) for server, port in ports.items()}
            views = {server: seen(reply, fields) for server, reply in replies.items()}
            for field in dict.fromkeys(field for view in views.values() for field in view):
                values = [view.get(field, "") for view in views.values()]
                if len(set(map(str, values))) > 1:
                    differences += 1
                    print(f"| {name} | {field} | {' | '.join(repr(value) for value in values)} |", flush=True)
            for server in (server for server in ports if promise and server.startswith("embedded")):
                reply = replies[server]
                if isinstance(reply, Exception) or not promise(reply):
                    broken.append(f"{name} ({server}): {repr(reply) if isinstance(reply, Exception) else f'{reply.status} {reply.headers} {reply.text[-300:]!r} {reply.end}'}")
    promises = sum(1 for one in CASES if one[2])
    print(f"\n{differences} differences; {promises} promises a way in, {len(broken)} broken")
    for line in broken:
        print(f"BROKEN {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
