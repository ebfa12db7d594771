"""clickhouse-connect with a bearer token: one JSON line for each statement, read by tests/it/clients.rs.

usage: connect.py HOST PORT CA_FILE TOKEN STATEMENT...; without a token where that is empty
"""
import json
import sys

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError

host, port, ca_file, token, *statements = sys.argv[1:]
try:
    client = clickhouse_connect.get_client(host=host, port=int(port), secure=True, ca_cert=ca_file, access_token=token or None)
except ClickHouseError as error:
    print(json.dumps({"refused": str(error)}))
    sys.exit()
print(json.dumps({"server": client.server_version}))
for statement in statements:
    try:
        if statement.startswith("SELECT"):
            print(json.dumps({"rows": [[str(value) for value in row] for row in client.query(statement).result_rows]}))
        else:
            print(json.dumps({"done": str(client.command(statement))}))
    except ClickHouseError as error:
        print(json.dumps({"refused": str(error)}))
