"""mcp-clickhouse, started as agents start it and spoken to over its standard streams."""
import asyncio
import os
import sys
from pathlib import Path

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
from cases import DIRECT, ENV, PREFIX, NotRun, gate_alone, shown, steady, tell  # noqa: E402

SERVER = Path(sys.executable).parent / "mcp-clickhouse"


class Refused(Exception):
    """What the tool told the agent."""


def server(token=None, **more):
    """Its settings name a user: the caller's own, as its token has it."""
    secret = ENV["CLIENT_PASSWORD"] if DIRECT else token or ENV["CLIENT_TOKEN"]
    about = {"CLICKHOUSE_HOST": ENV["CLIENT_HOST"], "CLICKHOUSE_PORT": ENV["CLIENT_PORT"], "CLICKHOUSE_USER": ENV["CLIENT_USER"],
             "CLICKHOUSE_PASSWORD": secret, "CLICKHOUSE_CA_CERT": ENV["CLIENT_CA"], "CLICKHOUSE_SECURE": "true"}
    return StdioServerParameters(command=str(SERVER), env=os.environ | about | more)


async def call(tool, arguments, **more):
    with open(os.devnull, "w") as silent:
        async with stdio_client(server(**more), errlog=silent) as streams, ClientSession(*streams) as session:
            await session.initialize()
            answer = await session.call_tool(tool, arguments)
    text = "\n".join(part.text for part in answer.content)
    if getattr(answer, "is_error", getattr(answer, "isError", False)):
        raise Refused(text)
    return steady(text)


async def ask(sql, **more):
    return await call("run_query", {"query": sql}, **more)


async def refused(sql, **more):
    gate_alone()
    return await ask(sql, **more)


CASES = {
    "connect": lambda: call("list_databases", {}),
    "read.types": lambda: call("list_tables", {"database": "sales", "like": "orders"}),
    "read.table": lambda: ask("SELECT id, region, toString(amount) FROM sales.orders ORDER BY id LIMIT 20"),
    "read.empty": lambda: ask("SELECT id FROM sales.orders WHERE id < 0"),
    "parameters": lambda: call("run_query", {"query": "SELECT {n:UInt64} AS n, {s:String} AS s", "params": {"n": 7, "s": "quotes ' \\ ü"}}),
    "insert.rows": lambda: ask(f"INSERT INTO {PREFIX}stream VALUES (1, 'a')", CLICKHOUSE_ALLOW_WRITE_ACCESS="true"),
    "error.table": lambda: ask("SELECT * FROM sales.nothing"),
    "error.syntax": lambda: ask("SELEC 1"),
    "refusal.table": lambda: refused("SELECT name, amount FROM hr.salaries"),
    "refusal.effect": lambda: refused("DROP TABLE sales.orders", CLICKHOUSE_ALLOW_WRITE_ACCESS="true", CLICKHOUSE_ALLOW_DROP="true"),
    "token.expired": lambda: refused("SELECT 1", token=ENV.get("CLIENT_EXPIRED_TOKEN")),
}


async def main():
    for case, does in CASES.items():
        try:
            told = {"value": await does()}
        except NotRun as why:
            told = {"not_run": str(why)}
        except Refused as error:
            told = shown(error)
        tell(case, told)


asyncio.run(main())
