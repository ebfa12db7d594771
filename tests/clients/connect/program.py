"""clickhouse-connect, as its documentation shows it."""
import decimal
import hashlib
import re
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
from cases import ENV, PREFIX, TYPES, gate_alone, run, who  # noqa: E402


def make(token=None, token_provider=None, **more):
    return clickhouse_connect.get_client(host=ENV["CLIENT_HOST"], port=int(ENV["CLIENT_PORT"]), secure=True, ca_cert=ENV["CLIENT_CA"], **who(token, token_provider), **more)


def rows(answer):
    return [[str(value) for value in row] for row in answer.result_rows]


def types(client):
    answer = client.query(TYPES)
    return {"names": answer.column_names, "types": [kind.name for kind in answer.column_types], "values": rows(answer)[0]}


def formats(client):
    sql = "SELECT id, region, amount, placed FROM sales.orders ORDER BY id LIMIT 3"
    text = {name: client.raw_query(sql, fmt=name).decode() for name in ("TabSeparated", "CSVWithNames", "JSONEachRow", "JSONCompactEachRow")}
    return text | {name: hashlib.sha256(client.raw_query(sql, fmt=name)).hexdigest()[:16] for name in ("Parquet", "Arrow", "Native")}


def summed(client, sql):
    count, digest = 0, hashlib.sha256()
    with client.query_row_block_stream(sql) as stream:
        for block in stream:
            count += len(block)
            digest.update(repr(block).encode())
    return count, digest.hexdigest()[:16]


def streamed(client, sql):
    """As bytes, for blocks are cut by what arrives together."""
    digest = hashlib.sha256()
    with client.raw_stream(sql, fmt="TabSeparated") as stream:
        while piece := stream.read(65536):
            digest.update(piece)
    return digest.hexdigest()[:16]


def compressed(_):
    sql, found = "SELECT number, toString(number) FROM numbers(200000)", {}
    for coding in (False, "lz4", "zstd", "gzip", "deflate"):
        client = make(compress=coding)
        found[str(coding)] = sum(len(row[1]) + row[0] for row in client.query(sql).result_rows)
    return found


def headers(client):
    name = str(uuid.uuid4())
    answer = client.query("SELECT count() FROM sales.orders", settings={"query_id": name})
    return {"query_id": answer.query_id == name, "summary": sorted(answer.summary), "read_rows": answer.summary.get("read_rows"), "timezone": client.server_tz.key if hasattr(client.server_tz, "key") else str(client.server_tz)}


def parameters(client):
    special = "quotes ' \" backslash \\ tab \t newline \n unicode ü"
    sql = "SELECT {n:UInt64}, {s:String}, length({long:String}), {a:Array(String)}, {d:DateTime('UTC')}"
    given = {"n": 18446744073709551615, "s": special, "long": "x" * 10000, "a": ["a", "b'"], "d": datetime(2026, 2, 28, 12, tzinfo=timezone.utc)}
    return [rows(client.query(sql, parameters=given)), rows(client.query("SELECT {s:String}", parameters={"s": special}))]


def insert_rows(client):
    at = datetime(2026, 2, 28, 12, tzinfo=timezone.utc)
    data = [[n, f"name {n} 'ü'\t\\", decimal.Decimal(n) * decimal.Decimal("1.25"), at, ["a", str(n)]] for n in range(100)]
    summary = client.insert(f"{PREFIX}rows", data, column_names=["id", "name", "amount", "at", "tags"])
    return [summary.written_rows, rows(client.query(f"SELECT count(), sum(id), sum(amount) FROM {PREFIX}rows")), rows(client.query(f"SELECT * FROM {PREFIX}rows WHERE id = 42"))]


def insert_stream(client):
    def lines():
        for n in range(100000):
            yield f"{n}\tname {n}\n".encode()

    client.raw_insert(f"{PREFIX}stream", ["id", "name"], insert_block=lines(), fmt="TSV")
    return rows(client.query(f"SELECT count(), sum(id), max(name) FROM {PREFIX}stream"))


def insert_compressed(_):
    for first, coding in zip(range(200000, 500000, 100000), ("lz4", "zstd", "gzip")):
        make(compress=coding).insert(f"{PREFIX}stream", [[n, f"name {n}"] for n in range(first, first + 10000)], column_names=["id", "name"])
    return rows(make().query(f"SELECT count(), sum(id) FROM {PREFIX}stream WHERE id >= 200000"))


def external(client):
    mine = ExternalData(file_name="numbers_of_mine", data=b"1\n2\n39\n", fmt="TSV", structure="x UInt32")
    return rows(client.query("SELECT sum(x) FROM numbers_of_mine", external_data=mine))


def refused(client, sql):
    gate_alone()
    return client.command(sql)


def expired(_):
    gate_alone()
    return rows(make(ENV["CLIENT_EXPIRED_TOKEN"]).query("SELECT 1"))


def refreshed(_):
    gate_alone()
    tokens = [ENV["CLIENT_EXPIRED_TOKEN"], ENV["CLIENT_TOKEN"]]
    client = make(token_provider=lambda: tokens.pop(0) if len(tokens) > 1 else tokens[0])
    return rows(client.query("SELECT 1"))


def cancel(_):
    """This client ends a statement by its id, from another connection."""
    name, began, seen = str(uuid.uuid4()), time.monotonic(), []
    running = make(autogenerate_session_id=False)

    def ask():
        try:
            running.query("SELECT sum(sleepEachRow(0.1)) FROM numbers(100000)",
                          settings={"query_id": name, "max_block_size": 1, "function_sleep_max_microseconds_per_block": 0})
        except ClickHouseError as error:
            seen.append(re.search(r"Code: (\d+)", str(error))[1])

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.5)
    make(autogenerate_session_id=False).command(f"KILL QUERY WHERE query_id = '{name}' SYNC")
    thread.join(30)
    return [seen, time.monotonic() - began < 10]


def session(_):
    client = make(session_id=str(uuid.uuid4()))
    client.command("CREATE TEMPORARY TABLE mine (x UInt8)")
    client.command("INSERT INTO mine VALUES (1), (2)")
    client.command("SET max_threads = 3")
    return [rows(client.query("SELECT sum(x) FROM mine")), rows(client.query("SELECT getSetting('max_threads')"))]


def concurrency(_):
    client = make(autogenerate_session_id=False)
    with ThreadPoolExecutor(20) as threads:
        return sorted(threads.map(lambda n: client.query(f"SELECT {n}, sleep(0.1)").result_rows[0][0], range(20)))


CASES = {
    "connect": lambda client: client.server_version,
    "read.types": types,
    "read.table": lambda client: rows(client.query("SELECT id, region, toString(amount) FROM sales.orders ORDER BY id LIMIT 20")),
    "read.formats": formats,
    "read.large": lambda client: [summed(client, "SELECT number FROM numbers(2000000)")[0], streamed(client, "SELECT number, toString(number) FROM numbers(2000000)")],
    "read.compressed": compressed,
    "read.empty": lambda client: rows(client.query("SELECT id FROM sales.orders WHERE id < 0")),
    "headers": headers,
    "parameters": parameters,
    "settings": lambda client: rows(client.query("SELECT getSetting('max_block_size')", settings={"max_block_size": 1000})),
    "insert.rows": insert_rows,
    "insert.stream": insert_stream,
    "insert.compressed": insert_compressed,
    "external": external,
    "error.table": lambda client: rows(client.query("SELECT * FROM sales.nothing")),
    "error.syntax": lambda client: client.command("SELEC 1"),
    "error.mid_stream": lambda client: summed(client, "SELECT number, throwIf(number = 3000000, 'stop here') FROM numbers(4000000)"),
    "refusal.table": lambda client: refused(client, "SELECT name, amount FROM hr.salaries"),
    "refusal.effect": lambda client: refused(client, "DROP TABLE sales.orders"),
    "token.expired": expired,
    "token.refresh": refreshed,
    "cancel": cancel,
    "session": session,
    "concurrency": concurrency,
}

run(CASES, make(), ClickHouseError)
