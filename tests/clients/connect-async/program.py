"""clickhouse-connect's asynchronous client: what it does otherwise than the other one."""
import asyncio
import hashlib
import sys
import uuid
from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
from cases import ENV, NotRun, PREFIX, gate_alone, shown, tell, who  # noqa: E402


async def make(token=None, token_provider=None, **more):
    return await clickhouse_connect.get_async_client(host=ENV["CLIENT_HOST"], port=int(ENV["CLIENT_PORT"]), secure=True, ca_cert=ENV["CLIENT_CA"], **who(token, token_provider), **more)


def rows(answer):
    return [[str(value) for value in row] for row in answer.result_rows]


async def connect(client):
    return client.server_version


async def table(client):
    return rows(await client.query("SELECT id, region, toString(amount) FROM sales.orders ORDER BY id LIMIT 20"))


async def large(client):
    count, digest = 0, hashlib.sha256()
    async with await client.query_rows_stream("SELECT number, toString(number) FROM numbers(500000)") as stream:
        async for row in stream:
            count, _ = count + 1, digest.update(repr(tuple(row)).encode())
    return [count, digest.hexdigest()[:16]]


async def empty(client):
    return rows(await client.query("SELECT id FROM sales.orders WHERE id < 0"))


async def parameters(client):
    return rows(await client.query("SELECT {s:String}, length({long:String})", parameters={"s": "quotes ' \\ ü", "long": "x" * 10000}))


async def settings(client):
    return rows(await client.query("SELECT getSetting('max_block_size')", settings={"max_block_size": 1000}))


async def insert(client):
    await client.insert(f"{PREFIX}stream", [[n, f"name {n}"] for n in range(10000)], column_names=["id", "name"])
    return rows(await client.query(f"SELECT count(), sum(id), max(name) FROM {PREFIX}stream"))


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
    "connect": connect, "read.table": table, "read.large": large, "read.empty": empty, "parameters": parameters, "settings": settings,
    "insert.rows": insert, "error.table": unknown, "error.syntax": syntax, "error.mid_stream": mid_stream, "refusal.table": refused_table,
    "refusal.effect": refused_effect, "token.expired": expired, "token.refresh": refreshed, "session": session, "concurrency": concurrency,
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
