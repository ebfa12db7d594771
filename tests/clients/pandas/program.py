"""Data frames and Arrow tables by clickhouse-connect."""
import hashlib
import sys
from pathlib import Path

import clickhouse_connect
import pandas
import pyarrow
from clickhouse_connect.driver.exceptions import ClickHouseError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
from cases import ENV, PREFIX, gate_alone, lacks, run, who  # noqa: E402

OF_CONNECT = lacks("the same as clickhouse-connect's")


def make(token=None):
    return clickhouse_connect.get_client(host=ENV["CLIENT_HOST"], port=int(ENV["CLIENT_PORT"]), secure=True, ca_cert=ENV["CLIENT_CA"], **who(token))


TYPES = """SELECT toUInt8(255) AS u8, toInt64('-9223372036854775808') AS i64, 0.1 AS f, 'Grüße' AS s, toDate('2026-02-28') AS day,
    toDateTime64('2026-02-28 12:34:56.789', 3, 'UTC') AS at, [1, 2, 3] AS a, CAST(NULL, 'Nullable(Int32)') AS n, toLowCardinality('low') AS lc, true AS b"""


def types(client):
    frame, table = client.query_df(TYPES), client.query_arrow(TYPES, use_strings=True)
    return {"pandas": [str(kind) for kind in frame.dtypes], "values": [str(value) for value in frame.iloc[0]],
            "arrow": [str(field) for field in table.schema], "rows": [str(value) for value in table.to_pylist()]}


def formats(client):
    sql = "SELECT id, region, amount, placed FROM sales.orders ORDER BY id LIMIT 100"
    return [client.query_df(sql).to_csv(), client.query_arrow(sql).to_pandas().to_csv(), client.query_df_arrow(sql).to_csv()]


def large(client):
    total, count = 0, 0
    with client.query_arrow_stream("SELECT number, toString(number) AS text FROM numbers(2000000)") as stream:
        for table in stream:
            total, count = total + pyarrow.compute.sum(table.column("number")).as_py(), count + table.num_rows
    frame = client.query_df("SELECT number, toString(number) AS text FROM numbers(200000)")
    return [count, total, hashlib.sha256(frame.to_csv().encode()).hexdigest()[:16]]


def insert_rows(client):
    at = pandas.Timestamp("2026-02-28 12:00:00", tz="UTC")
    frame = pandas.DataFrame({"id": range(100), "name": [f"name {n} 'ü'" for n in range(100)], "at": [at] * 100, "tags": [["a", str(n)] for n in range(100)]})
    client.insert_df(f"{PREFIX}rows", frame)
    return client.query_df(f"SELECT count() AS c, sum(id) AS s, max(name) AS n FROM {PREFIX}rows").to_csv()


def insert_stream(client):
    table = pyarrow.table({"id": pyarrow.array(range(100000), pyarrow.uint64()), "name": [f"name {n}" for n in range(100000)]})
    client.insert_arrow(f"{PREFIX}stream", table)
    return client.query_df(f"SELECT count() AS c, sum(id) AS s, max(name) AS n FROM {PREFIX}stream").to_csv()


def mid_stream(client):
    count = 0
    with client.query_df_stream("SELECT number, throwIf(number = 3000000, 'stop here') FROM numbers(4000000)") as stream:
        for frame in stream:
            count += len(frame)
    return count


def refused(client, sql):
    gate_alone()
    return client.query_df(sql).to_csv()


def expired(_):
    gate_alone()
    return make(ENV["CLIENT_EXPIRED_TOKEN"]).query_df("SELECT 1").to_csv()


run({
    "connect": lambda client: client.server_version,
    "read.types": types,
    "read.table": lambda client: client.query_df("SELECT id, region, toString(amount) FROM sales.orders ORDER BY id LIMIT 20").to_csv(),
    "read.formats": formats,
    "read.large": large,
    "read.compressed": OF_CONNECT,
    "read.empty": lambda client: [list(client.query_df("SELECT id FROM sales.orders WHERE id < 0").columns), client.query_arrow("SELECT id FROM sales.orders WHERE id < 0").num_rows],
    "headers": OF_CONNECT,
    "parameters": lambda client: client.query_df("SELECT {n:UInt64} AS n, {s:String} AS s", parameters={"n": 7, "s": "quotes ' \\ ü"}).to_csv(),
    "settings": lambda client: client.query_df("SELECT getSetting('max_block_size') AS s", settings={"max_block_size": 1000}).to_csv(),
    "insert.rows": insert_rows,
    "insert.stream": insert_stream,
    "insert.compressed": OF_CONNECT,
    "external": OF_CONNECT,
    "error.table": lambda client: client.query_df("SELECT * FROM sales.nothing").to_csv(),
    "error.syntax": lambda client: client.query_arrow("SELEC 1").num_rows,
    "error.mid_stream": mid_stream,
    "refusal.table": lambda client: refused(client, "SELECT name, amount FROM hr.salaries"),
    "refusal.effect": lambda client: refused(client, "DROP TABLE sales.orders"),
    "token.expired": expired,
    "token.refresh": OF_CONNECT,
    "cancel": OF_CONNECT,
    "session": OF_CONNECT,
    "concurrency": OF_CONNECT,
}, make(), ClickHouseError)
