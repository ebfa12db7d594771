"""SQLAlchemy over clickhouse-connect's dialect: the token stands where the password does."""
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import MetaData, Table, URL, create_engine, func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
from cases import DIRECT, ENV, PREFIX, gate_alone, lacks, run  # noqa: E402

OF_CONNECT = lacks("the same as clickhouse-connect's")


def make(token=None):
    name, secret = (ENV["CLIENT_USER"], ENV["CLIENT_PASSWORD"]) if DIRECT else (ENV["CLIENT_USER"], token or ENV["CLIENT_TOKEN"])
    url = URL.create("clickhousedb", name, secret, ENV["CLIENT_HOST"], int(ENV["CLIENT_PORT"]), "sales", {"secure": "true", "ca_cert": ENV["CLIENT_CA"]})
    return create_engine(url)


def ask(engine, sql, **parameters):
    with engine.connect() as connection:
        return [[str(value) for value in row] for row in connection.execute(text(sql), parameters)]


def described(engine):
    looked = inspect(engine)
    orders = Table("orders", MetaData(), schema="sales", autoload_with=engine)
    with engine.connect() as connection:
        found = connection.execute(select(orders.c.region, func.count()).where(orders.c.id < 100).group_by(orders.c.region).order_by(orders.c.region))
        return [sorted(looked.get_table_names("sales")), [[column["name"], str(column["type"])] for column in looked.get_columns("orders", "sales")],
                [list(row) for row in found]]


def large(engine):
    count, digest = 0, hashlib.sha256()
    with engine.connect().execution_options(stream_results=True) as connection:
        for row in connection.execute(text("SELECT number, toString(number) FROM numbers(200000)")):
            count, _ = count + 1, digest.update(repr(tuple(row)).encode())
    return [count, digest.hexdigest()[:16]]


def insert_rows(engine):
    database, name = f"{PREFIX}stream".split(".")
    table = Table(name, MetaData(), schema=database, autoload_with=engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"id": n, "name": f"name {n} 'ü'"} for n in range(100)])
    return ask(engine, f"SELECT count(), sum(id), max(name) FROM {PREFIX}stream")


def refused(engine, sql):
    gate_alone()
    return ask(engine, sql)


def expired(_):
    gate_alone()
    return ask(make(ENV["CLIENT_EXPIRED_TOKEN"]), "SELECT 1")


def concurrency(engine):
    with ThreadPoolExecutor(5) as threads:
        return sorted(threads.map(lambda n: int(ask(engine, f"SELECT {n}, sleep(0.1)")[0][0]), range(20)))


run({
    "connect": lambda engine: ask(engine, "SELECT version()"),
    "read.types": described,
    "read.table": lambda engine: ask(engine, "SELECT id, region, toString(amount) FROM sales.orders ORDER BY id LIMIT 20"),
    "read.formats": OF_CONNECT,
    "read.large": large,
    "read.compressed": OF_CONNECT,
    "read.empty": lambda engine: ask(engine, "SELECT id FROM sales.orders WHERE id < 0"),
    "headers": OF_CONNECT,
    "parameters": lambda engine: ask(engine, "SELECT :n, :s", n=7, s="quotes ' \\ ü"),
    "settings": OF_CONNECT,
    "insert.rows": insert_rows,
    "insert.stream": OF_CONNECT,
    "insert.compressed": OF_CONNECT,
    "external": OF_CONNECT,
    "error.table": lambda engine: ask(engine, "SELECT * FROM sales.nothing"),
    "error.syntax": lambda engine: ask(engine, "SELEC 1"),
    "error.mid_stream": lambda engine: ask(engine, "SELECT number, throwIf(number = 3000000, 'stop here') FROM numbers(4000000)"),
    "refusal.table": lambda engine: refused(engine, "SELECT name, amount FROM hr.salaries"),
    "refusal.effect": lambda engine: refused(engine, "DROP TABLE sales.orders"),
    "token.expired": expired,
    "token.refresh": OF_CONNECT,
    "cancel": OF_CONNECT,
    "session": OF_CONNECT,
    "concurrency": concurrency,
}, make(), (SQLAlchemyError, ClickHouseError))
