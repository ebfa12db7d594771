"""clickhouse-connect's asynchronous client: what it does otherwise than the other one."""
import asyncio
import hashlib
import re
import sys
import time
import uuid
from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
from cases import ENV, NotRun, PREFIX, TYPES, gate_alone, shown, tell, who  # noqa: E402


async def make(token=None, token_provider=None, **more):
    return await clickhouse_connect.get_async_client(host=ENV["CLIENT_HOST"], port=int(ENV["CLIENT_PORT"]), secure=True, ca_cert=ENV["CLIENT_CA"], **who(token, token_provider), **more)


def rows(answer):
    return [[str(value) for value in row] for row in answer.result_rows]


async def connect(client):
    return client.server_version


async def types(client):
    answer = await client.query(TYPES)
    return {"names": answer.column_names, "types": [kind.name for kind in answer.column_types], "values": rows(answer)[0]}


async def table(client):
    return rows(await client.query("SELECT id, region, toString(amount) FROM sales.orders ORDER BY id LIMIT 20"))


async def large(client):
    count, digest = 0, hashlib.sha256()
    async with await client.query_rows_stream("SELECT number, toString(number) FROM numbers(500000)") as stream:
        async for row in stream:
            count, _ = count + 1, digest.update(repr(tuple(row)).encode())
    return [count, digest.hexdigest()[:16]]


async def formats(client):
    sql = "SELECT id, region, amount, placed FROM sales.orders ORDER BY id LIMIT 3"
    text = {name: (await client.raw_query(sql, fmt=name)).decode() for name in ("TabSeparated", "CSVWithNames", "JSONEachRow")}
    return text | {name: hashlib.sha256(await client.raw_query(sql, fmt=name)).hexdigest()[:16] for name in ("Parquet", "Arrow", "Native")}


async def of_coding(coding, does):
    """What one with another coding answers."""
    client = await make(compress=coding)
    try:
        return await does(client)
    finally:
        await client.close()


async def compressed(_):
    async def asked(client):
        return sum(len(row[1]) + row[0] for row in (await client.query("SELECT number, toString(number) FROM numbers(200000)")).result_rows)

    return {str(coding): await of_coding(coding, asked) for coding in (False, "lz4", "zstd", "gzip", "deflate")}


async def empty(client):
    return rows(await client.query("SELECT id FROM sales.orders WHERE id < 0"))


async def headers(client):
    name = str(uuid.uuid4())
    answer = await client.query("SELECT count() FROM sales.orders", settings={"query_id": name})
    return {"query_id": answer.query_id == name, "summary": sorted(answer.summary), "read_rows": answer.summary.get("read_rows")}


async def parameters(client):
    return rows(await client.query("SELECT {s:String}, length({long:String})", parameters={"s": "quotes ' \\ ü", "long": "x" * 10000}))


async def settings(client):
    return rows(await client.query("SELECT getSetting('max_block_size')", settings={"max_block_size": 1000}))


async def insert(client):
    await client.insert(f"{PREFIX}stream", [[n, f"name {n}"] for n in range(10000)], column_names=["id", "name"])
    return rows(await client.query(f"SELECT count(), sum(id), max(name) FROM {PREFIX}stream"))


async def insert_stream(client):
    async def lines():
        for n in range(100000, 200000):
            yield f"{n}\tname {n}\n".encode()

    await client.raw_insert(f"{PREFIX}stream", ["id", "name"], insert_block=lines(), fmt="TSV")
    return rows(await client.query(f"SELECT count(), sum(id), max(name) FROM {PREFIX}stream"))


async def insert_compressed(client):
    for first, coding in zip(range(200000, 500000, 100000), ("lz4", "zstd", "gzip")):
        await of_coding(coding, lambda other: other.insert(f"{PREFIX}stream", [[n, f"name {n}"] for n in range(first, first + 10000)], column_names=["id", "name"]))
    return rows(await client.query(f"SELECT count(), sum(id) FROM {PREFIX}stream WHERE id >= 200000"))


async def external(client):
    mine = ExternalData(file_name="numbers_of_mine", data=b"1\n2\n39\n", fmt="TSV", structure="x UInt32")
    return rows(await client.query("SELECT sum(x) FROM numbers_of_mine", external_data=mine))


async def unknown(client):
    return rows(await client.query("SELECT * FROM sales.nothing"))


async def syntax(client):
    return await client.command("SELEC 1")


async def mid_stream(client):
    """Which of two sentences this client shows depends on what has come when the connection ends, directly too: that it is one counts."""
    count = 0
    try:
        async with await client.query_rows_stream("SELECT number, throwIf(number = 3000000, 'stop here') FROM numbers(4000000)") as stream:
            async for _ in stream:
                count += 1
    except ClickHouseError as error:
        return type(error).__name__
    raise AssertionError(f"{count} rows and no error")


async def refused_table(client):
    gate_alone()
    return await client.command("SELECT name, amount FROM hr.salaries")


async def refused_effect(client):
    gate_alone()
    return await client.command("DROP TABLE sales.orders")


async def expired(_):
    gate_alone()
    return rows(await (await make(ENV["CLIENT_EXPIRED_TOKEN"])).query("SELECT 1"))


async def refreshed(_):
    gate_alone()
    tokens = [ENV["CLIENT_EXPIRED_TOKEN"], ENV["CLIENT_TOKEN"]]
    client = await make(token_provider=lambda: tokens.pop(0) if len(tokens) > 1 else tokens[0])
    try:
        return rows(await client.query("SELECT 1"))
    finally:
        await client.close()


async def cancel(client):
    """A task that is cancelled lets go of its connection alone; the statement is ended by its id."""
    name, began, seen = str(uuid.uuid4()), time.monotonic(), []

    async def ask():
        try:
            await client.query("SELECT sum(sleepEachRow(0.1)) FROM numbers(100000)",
                               settings={"query_id": name, "max_block_size": 1, "function_sleep_max_microseconds_per_block": 0})
        except ClickHouseError as error:
            seen.append(re.search(r"Code: (\d+)", str(error))[1])

    running = asyncio.create_task(ask())
    await asyncio.sleep(0.5)
    await client.command(f"KILL QUERY WHERE query_id = '{name}' SYNC")
    await asyncio.wait_for(running, 30)
    return [seen, time.monotonic() - began < 10]


async def session(_):
    client = await make(session_id=str(uuid.uuid4()))
    try:
        await client.command("CREATE TEMPORARY TABLE mine (x UInt8)")
        await client.command("INSERT INTO mine VALUES (1), (2)")
        return rows(await client.query("SELECT sum(x) FROM mine"))
    finally:
        await client.close()


async def concurrency(client):
    answers = await asyncio.gather(*(client.query(f"SELECT {n}, sleep(0.1)") for n in range(20)))
    return sorted(answer.result_rows[0][0] for answer in answers)


CASES = {
    "connect": connect, "read.types": types, "read.table": table, "read.formats": formats, "read.large": large, "read.compressed": compressed,
    "read.empty": empty, "headers": headers, "parameters": parameters, "settings": settings, "insert.rows": insert, "insert.stream": insert_stream,
    "insert.compressed": insert_compressed, "external": external, "error.table": unknown, "error.syntax": syntax, "error.mid_stream": mid_stream, "refusal.table": refused_table,
    "refusal.effect": refused_effect, "token.expired": expired, "token.refresh": refreshed, "cancel": cancel, "session": session, "concurrency": concurrency,
}


async def main():
    client = await make(autogenerate_session_id=False)
    for case, does in CASES.items():
        try:
            told = {"value": await does(client)}
        except NotRun as why:
            told = {"not_run": str(why)}
        except ClickHouseError as error:
            told = shown(error)
        tell(case, told)
    await client.close()


asyncio.run(main())
