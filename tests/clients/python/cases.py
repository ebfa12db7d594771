"""What the programs in Python do alike: who they are, what does not count as a difference, and a line for each case."""
import json
import os
import re

ENV = os.environ
DIRECT, PREFIX = ENV["CLIENT_WAY"] == "direct", ENV["CLIENT_TABLE_PREFIX"]


def who(token=None, token_provider=None):
    """By whom a client of clickhouse-connect is made."""
    if DIRECT:
        return {"username": ENV["CLIENT_USER"], "password": ENV["CLIENT_PASSWORD"]}
    return {"token_provider": token_provider} if token_provider else {"access_token": token or ENV["CLIENT_TOKEN"]}


TYPES = """SELECT toUInt8(255) AS u8, toUInt64('18446744073709551615') AS u64, toUInt256(7) AS u256, toInt64('-9223372036854775808') AS i64, 0.1 AS f,
    toDecimal128('12345678901234567890.0123456789', 10) AS d, 'Grüße \\t\\n "\\'' AS s, toFixedString('abc', 4) AS fs, toDate('2026-02-28') AS day,
    toDateTime64('2026-02-28 12:34:56.789012', 6, 'UTC') AS at, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS u,
    CAST('b', 'Enum8(\\'a\\' = 1, \\'b\\' = 2)') AS e, toIPv4('192.0.2.1') AS ip4, toIPv6('2001:db8::1') AS ip6, [1, 2, 3] AS a, tuple(1, 'x') AS t,
    map('k', 1) AS m, CAST(NULL, 'Nullable(Int32)') AS n, toLowCardinality('low') AS lc, true AS b"""


class NotRun(Exception):
    """This client has no such thing."""


def gate_alone():
    if DIRECT:
        raise NotRun("gate only")


def lacks(why):
    def case(*_):
        raise NotRun(why)

    return case


def steady(text):
    """Without what differs from run to run by itself: ids, addresses, times."""
    text = re.sub(r"\b[0-9a-f]{32}\b", "<id>", text).replace(PREFIX, "<prefix>")
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z, \d+s ago", "<time>", text)
    return re.sub(r"(localhost|127\.0\.0\.1):\d+", "<host>", text)


def shown(error):
    """An error as its user sees it. Behind the version stands the tag of this answer."""
    says = steady(str(error))
    code = re.search(r"[Cc]ode:? (\d+)", says)
    return {"error": {"code": int(code[1]) if code else None, "says": says.split("(version")[0]}}


def tell(case, told):
    print(json.dumps({"case": case, **told}), flush=True)


def run(cases, client, errors):
    for case, does in cases.items():
        try:
            told = {"value": does(client)}
        except NotRun as why:
            told = {"not_run": str(why)}
        except errors as error:
            told = shown(error)
        tell(case, told)
