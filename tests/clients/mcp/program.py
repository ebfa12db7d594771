"""mcp-clickhouse, started as agents start it and spoken to over its standard streams."""
import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
from cases import DIRECT, ENV, PREFIX, NotRun, gate_alone, lacks, shown, steady, tell  # noqa: E402

NONE = lacks("its tools have no such thing")
SERVER = Path(sys.executable).parent / "mcp-clickhouse"


class Refused(Exception):
    """What the tool told the agent."""


def server(token=None, **more):
    """Its settings name a user: the caller's own, as its token has it."""
    secret = ENV["CLIENT_PASSWORD"] if DIRECT else token or ENV["CLIENT_TOKEN"]
    about = {"CLICKHOUSE_HOST": ENV["CLIENT_HOST"], "CLICKHOUSE_PORT": ENV["CLIENT_PORT"], "CLICKHOUSE_USER": ENV["CLIENT_USER"],
             "CLICKHOUSE_PASSWORD": secret, "CLICKHOUSE_CA_CERT": ENV["CLIENT_CA"], "CLICKHOUSE_SECURE": "true"}
    return StdioServerParameters(command=str(SERVER), env=os.environ | about | more)


@contextlib.asynccontextmanager
async def session_with(**more):
    with open(os.devnull, "w") as silent:
        async with stdio_client(server(**more), errlog=silent) as streams, ClientSession(*streams) as session:
            await session.initialize()
            yield session


def of_tool(answer):
    text = "\n".join(part.text for part in answer.content)
    if answer.is_error:
        raise Refused(text)
    return steady(text)


async def call(session, tool, arguments):
    return of_tool(await session.call_tool(tool, arguments))


async def ask(session, sql):
    return await call(session, "run_query", {"query": sql})


async def ask_one(sql, **more):
    """By a server of its own, which is started otherwise."""
    async with session_with(**more) as session:
        answer = await session.call_tool("run_query", {"query": sql})
    return of_tool(answer)


async def insert(session):
    await ask_one(f"INSERT INTO {PREFIX}stream VALUES (1, 'a'), (2, 'b')", CLICKHOUSE_ALLOW_WRITE_ACCESS="true")
    return await ask(session, f"SELECT count(), sum(id), max(name) FROM {PREFIX}stream")


async def settings(session):
    """It sends one of its own."""
    return await ask(session, "SELECT getSetting('readonly') > 0")


async def written(session):
    """An agent that writes without being allowed to."""
    return await ask(session, f"INSERT INTO {PREFIX}stream VALUES (3, 'c')")


async def refused(session, sql):
    gate_alone()
    return await ask(session, sql)


async def dropped(_):
    gate_alone()
    return await ask_one("DROP TABLE sales.orders", CLICKHOUSE_ALLOW_WRITE_ACCESS="true", CLICKHOUSE_ALLOW_DROP="true")


async def expired(_):
    gate_alone()
    return await ask_one("SELECT 1", token=ENV["CLIENT_EXPIRED_TOKEN"])


async def cancel(_):
    """What takes longer than the server's own limit it ends by its id."""
    began = time.monotonic()
    try:
        return await ask_one("SELECT sum(sleep(1) + number) FROM numbers(100000000)", CLICKHOUSE_MCP_QUERY_TIMEOUT="1")
    except Refused as told:
        return [str(told), time.monotonic() - began < 15]


async def concurrency(session):
    return sorted(await asyncio.gather(*(ask(session, f"SELECT {n} AS n, sleep(0.1)") for n in range(20))))


CASES = {
    "connect": lambda session: call(session, "list_databases", {}),
    "read.types": lambda session: call(session, "list_tables", {"database": "sales", "like": "orders"}),
    "read.table": lambda session: ask(session, "SELECT id, region, toString(amount) FROM sales.orders ORDER BY id LIMIT 20"),
    "read.formats": NONE,
    "read.large": NONE,
    "read.compressed": NONE,
    "read.empty": lambda session: ask(session, "SELECT id FROM sales.orders WHERE id < 0"),
    "headers": NONE,
    "parameters": lambda session: call(session, "run_query", {"query": "SELECT {n:UInt64} AS n, {s:String} AS s", "params": {"n": 7, "s": "quotes ' \\ ü"}}),
    "settings": settings,
    "insert.rows": insert,
    "insert.stream": NONE,
    "insert.compressed": NONE,
    "external": NONE,
    "error.table": lambda session: ask(session, "SELECT * FROM sales.nothing"),
    "error.syntax": lambda session: ask(session, "SELEC 1"),
    "error.mid_stream": lambda session: ask(session, "SELECT number, throwIf(number = 300000, 'stop here') FROM numbers(400000)"),
    "error.readonly": written,
    "refusal.table": lambda session: refused(session, "SELECT name, amount FROM hr.salaries"),
    "refusal.effect": dropped,
    "token.expired": expired,
    "token.refresh": NONE,
    "cancel": cancel,
    "session": NONE,
    "concurrency": concurrency,
}


async def main():
    async with session_with() as session:
        for case, does in CASES.items():
            try:
                told = {"value": await does(session)}
            except NotRun as why:
                told = {"not_run": str(why)}
            except Refused as error:
                told = shown(error)
            tell(case, told)


asyncio.run(main())
