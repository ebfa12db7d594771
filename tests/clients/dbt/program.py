"""dbt with its ClickHouse adapter: a small project, built, tested, built again. Each command as dbt's own Python interface gives it."""
import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
from cases import DIRECT, gate_alone, lacks, run  # noqa: E402

# A database of its own, which dbt makes.
os.environ["DBT_SCHEMA"] = SCHEMA = "dbt_direct" if DIRECT else "dbt_gate"

from dbt.cli.main import dbtRunner  # noqa: E402

PROJECT = str(Path(__file__).resolve().parent / "project")
OF_CONNECT = lacks("dbt has no such thing")


class Failed(Exception):
    """What dbt told its user."""


def dbt(*arguments, target="good"):
    """What dbt returns; its console goes nowhere, but for what it says when it fails."""
    said = []
    with contextlib.redirect_stdout(io.StringIO()):
        done = dbtRunner(callbacks=[lambda event: said.append(event.info.msg) if event.info.level == "error" else None]).invoke(
            [*arguments, "--project-dir", PROJECT, "--profiles-dir", PROJECT, "--target", target])
    if not done.success:
        raise Failed(plain("\n".join(said) or str(done.exception)))
    return done.result


def plain(text):
    """Without colours, the name of the database, and the lines that say where dbt keeps what it wrote."""
    text = re.sub(r"\x1b\[\d+m", "", text).replace(SCRATCH, "<scratch>").replace(SCHEMA, "<schema>")
    return "\n".join(line.strip() for line in text.splitlines() if line.strip() and not re.match(r"\s*(Runtime Error|Database Error|compiled code at)", line))


def built(*arguments, **more):
    return sorted([result.node.name, str(result.status), result.failures or 0] for result in dbt(*arguments, **more).results)


def ask(sql, limit=20, **more):
    table = dbt("show", "--inline", sql, "--limit", str(limit), **more).results[0].agate_table
    return [list(table.column_names), [[str(value) for value in row] for row in table.rows]]


def of_tables(*names):
    return [ask(f"select count() as rows, sum(id) as ids, sum(toFloat64(amount)) as amounts from {{{{ ref('{name}') }}}}")[1][0] for name in names]


def connect(_):
    dbt("debug")
    return ask("select version() as version")[1]


TYPES = """select toUInt8(255) as u8, toUInt256(7) as u256, toInt64('-9223372036854775808') as i64, 0.1 as f, toDecimal128('1.5', 10) as d, 'Grüße \\t' as s,
    toDate('2026-02-28') as day, toDateTime64('2026-02-28 12:34:56.789012', 6, 'UTC') as at, [1, 2] as a, tuple(1, 'x') as t, map('k', 1) as m,
    cast(null, 'Nullable(Int32)') as n, true as b"""


def docs(_):
    """What dbt's catalog tells of tables and columns."""
    nodes = dbt("docs", "generate").nodes
    return {name: [node.metadata.type, node.metadata.comment, [[column.name, column.type, column.comment] for column in node.columns.values()]]
            for name, node in sorted(nodes.items())}


def refused(sql):
    gate_alone()
    return ask(sql)


def dropped(_):
    gate_alone()
    return dbt("run-operation", "drop_orders")


def expired(_):
    gate_alone()
    return ask("select 1", target="expired")


with tempfile.TemporaryDirectory() as SCRATCH:
    os.environ |= {"DBT_TARGET_PATH": f"{SCRATCH}/target", "DBT_LOG_PATH": f"{SCRATCH}/logs"}
    run({
        "connect": connect,
        "read.types": lambda _: ask(TYPES),
        "read.table": lambda _: ask("select id, region, toString(amount) as amount from {{ source('sales', 'orders') }} order by id"),
        "read.formats": OF_CONNECT,
        "read.large": OF_CONNECT,
        "read.compressed": lambda _: ask("select count() as c, max(number) as m from numbers(200000)", target="compressed"),
        "read.empty": lambda _: ask("select id from {{ source('sales', 'orders') }} where id < 0"),
        "headers": OF_CONNECT,
        "parameters": OF_CONNECT,
        "settings": lambda _: ask("select getSetting('max_block_size') as s")[1],
        "insert.rows": lambda _: [built("seed"), ask("select * from {{ ref('regions') }} order by region")],
        "insert.stream": OF_CONNECT,
        "insert.compressed": lambda _: built("seed", "--full-refresh", target="compressed"),
        "external": OF_CONNECT,
        "error.table": lambda _: ask("select * from sales.nothing"),
        "error.syntax": lambda _: ask("selec 1"),
        "error.mid_stream": OF_CONNECT,
        "refusal.table": lambda _: refused("select name, amount from hr.salaries"),
        "refusal.effect": dropped,
        "token.expired": expired,
        "token.refresh": OF_CONNECT,
        "cancel": OF_CONNECT,
        "session": OF_CONNECT,
        "concurrency": lambda _: built("run", "--threads", "8"),
        # What dbt is for.
        "dbt.built": lambda _: [ask("select * from {{ ref('totals') }} order by region"), of_tables("large", "growing", "appended", "swapped")],
        "dbt.test": lambda _: built("test"),
        "dbt.again": lambda _: [built("run"), of_tables("large", "growing", "appended", "swapped")],
        "dbt.full_refresh": lambda _: [built("run", "--full-refresh"), of_tables("large", "growing", "appended", "swapped")],
        "dbt.snapshot": lambda _: [built("snapshot"), built("snapshot"), ask("select region, people from {{ ref('history') }} order by region")[1]],
        "dbt.docs": docs,
    }, None, Failed)
