"""Runs real clients against ClickHouse itself and through Keyhouse, and tells what differs. Started by `run`."""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import jwt
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
EMBEDDED = ROOT / "deploy/embedded-clickhouse"

# In this order; those of `--quick` need little and run in deploy/check.
CLIENTS = ["curl", "connect", "connect-async", "pandas", "sqlalchemy", "dbt", "mcp", "js", "js-web", "rust", "go", "grafana", "java", "jdbc"]
QUICK = ["curl", "connect", "js", "js-web", "rust"]

# What `install` says by its exit code: a runtime is not there.
NO_RUNTIME = 77

# Each way of each client, in seconds.
TIME = 300

# What the client's user must read where Keyhouse refuses; ClickHouse alone has no such cases.
SENTENCES = {"refusal.table": "Rule `clients`", "refusal.effect": "Rule `clients`", "token.expired": "expired"}

ISSUER, AUDIENCE = "https://idp.example.com/", "clickhouse"

TABLES = """
CREATE TABLE {prefix}rows (id UInt64, name String, amount Decimal(12, 2), at DateTime('UTC'), tags Array(String)) ENGINE = MergeTree ORDER BY id;
CREATE TABLE {prefix}stream (id UInt64, name String) ENGINE = MergeTree ORDER BY id;
"""


def prefix(client, way):
    return f"clients.{client.replace('-', '_')}_{way}_"


def certificates(folder):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, cwd=folder, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-days", "30", "-subj", "/CN=clients", "-keyout", "ca.key", "-out", "ca.pem",
            "-addext", "basicConstraints=critical,CA:true", "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", *key, "-subj", "/CN=localhost", "-keyout", "tls.key", "-out", "tls.csr")
    (folder / "ext").write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:false\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", "tls.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-extfile", "ext", "-out", "tls.crt")


def tokens(folder):
    """Writes the provider's keys; returns a token of alice, one of hers that has expired, and one of bob."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    (folder / "jwks.json").write_text(json.dumps({"keys": [public | {"kid": "1", "use": "sig", "alg": "ES256"}]}))
    now = int(time.time())

    def token(who, group, begins, ends):
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": who, "groups": [group], "iat": begins, "exp": ends}
        return jwt.encode(claims, key, "ES256", headers={"kid": "1", "typ": "at+jwt"})

    return token("alice", "analysts", now, now + 36000), token("alice", "analysts", now - 7200, now - 3600), token("bob", "engineers", now, now + 36000)


class House:
    """ClickHouse and Keyhouse, until `end`."""

    def __init__(self, folder, gate):
        self.folder, self.started = folder, []
        certificates(folder)
        alice, expired, bob = tokens(folder)
        sample = (EMBEDDED / "sample.sql").read_text() + "CREATE DATABASE clients;\n"
        ways = [TABLES.format(prefix=prefix(client, way)) for client in CLIENTS for way in ("direct", "gate")]
        (folder / "init.sql").write_text(sample + "".join(ways))
        clickhouse = self.start(
            [sys.executable, EMBEDDED / "embedded_clickhouse.py", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--certificate", "tls.crt",
             "--key", "tls.key", "--users", HERE / "gate/users.xml", "--init", "init.sql"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        _, self.http, https = clickhouse.stdout.readline().split()
        self.environment = {"direct": self.of_way(https, CLIENT_USER="direct", CLIENT_PASSWORD="direct-pw")}
        if gate:
            # For clients that have to name somebody: the caller's own name, as the token has it.
            tokens_of_it = {"CLIENT_USER": "alice", "CLIENT_TOKEN": alice, "CLIENT_EXPIRED_TOKEN": expired, "CLIENT_OTHER_TOKEN": bob}
            self.environment["gate"] = self.of_way(self.keyhouse(), **tokens_of_it)

    def start(self, command, **more):
        started = subprocess.Popen([str(part) for part in command], cwd=self.folder, **more)
        self.started.append(started)
        return started

    def keyhouse(self):
        named = os.environ.get("KEYHOUSE_BIN")
        built = [named and os.path.abspath(named), ROOT / "target/release/keyhouse", ROOT / "target/debug/keyhouse"]
        binary = next((path for path in built if path and os.access(path, os.X_OK)), None)
        if binary is None:
            sys.exit("there is no Keyhouse to try: cargo build --release, or say KEYHOUSE_BIN=FILE")
        shutil.copytree(HERE / "gate/policies", self.folder / "policies")
        config = (HERE / "gate/keyhouse.yaml").read_text().replace("@clickhouse@", self.http)
        for name, text in {"keyhouse.yaml": config, "clients.password": "gate-pw", "admin.password": "admin-pw"}.items():
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o600)
        log = self.folder / "keyhouse.log"
        with log.open("w") as sink:
            started = self.start([binary, "serve", "--config", "keyhouse.yaml"], stdout=sink, stderr=sink)
        for _ in range(200):
            time.sleep(0.05)
            said = log.read_text()
            listens, admin = (re.search(text, said) for text in (r"listening on (https://[\d.:]+)", r"admin on (http://[\d.:]+)"))
            if listens and admin:
                with contextlib.suppress(OSError), urllib.request.urlopen(f"{admin[1]}/-/ready") as ready:
                    if ready.status == 200:
                        return listens[1]
            if started.poll() is not None:
                break
        sys.exit(f"Keyhouse did not start:\n{log.read_text()}")

    def of_way(self, url, **more):
        port = url.rsplit(":", 1)[1]
        return {"CLIENT_URL": f"https://localhost:{port}", "CLIENT_HOST": "localhost", "CLIENT_PORT": port, "CLIENT_CA": str(self.folder / "ca.pem"), **more}

    def admin(self, sql):
        request = urllib.request.Request(f"{self.http}/?user=admin&password=admin-pw", data=sql.encode())
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    def still_runs(self):
        """Statements of clients that are there although their client is not; one that ends has a moment for that."""
        for _ in range(40):
            left = self.admin("SELECT query FROM system.processes WHERE user IN ('direct', 'kh_clients') FORMAT TSV").splitlines()
            if not left:
                break
            time.sleep(0.1)
        return left

    def end(self):
        for started in reversed(self.started):
            if started.stdin:
                started.stdin.close()
            started.send_signal(signal.SIGTERM)
        for started in self.started:
            started.wait(20)


def run_one(house, client, way):
    """The lines of one way, by case, and what is wrong with it as a whole."""
    environment = os.environ | house.environment[way] | {"CLIENT_WAY": way, "CLIENT_TABLE_PREFIX": prefix(client, way)}
    # A session of its own: what the program started ends with it.
    with subprocess.Popen([HERE / client / "program"], cwd=HERE / client, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, start_new_session=True) as program:
        try:
            output, errors = program.communicate(timeout=TIME)
            wrong = [] if program.returncode == 0 else [f"{way}: exit code {program.returncode}: {errors[-2000:]}"]
        except BaseException as error:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            output, _ = program.communicate()
            wrong = [f"{way}: not done within {TIME} s"]
    lines = {}
    for line in output.splitlines():
        try:
            said = json.loads(line)
            lines[said.pop("case")] = said
        except (ValueError, KeyError):
            wrong.append(f"{way}: this is no line of a case: {line[:200]}")
    wrong += [f"{way}: still runs: {query}" for query in house.still_runs()]
    return lines, wrong


def compare(direct, gate, listed):
    """What is not equal, as sentences, and how many cases were equal, differ as listed, were not run."""
    wrong, counts = [], {"equal": 0, "listed": 0, "not_run": 0}
    for case in [*direct, *(case for case in gate if case not in direct)]:
        one, other = direct.get(case), gate.get(case)
        of_gate_alone = one is not None and one.get("not_run") == "gate only"
        if of_gate_alone and other is not None and "not_run" not in other:
            sentence = SENTENCES.get(case)
            good = "value" in other if sentence is None else sentence in other.get("error", {}).get("says", "")
            counts["equal"] += good
            if not good:
                wrong.append(f"{case}: through Keyhouse its user does not see why: {json.dumps(other)[:1000]}")
        elif one == other:
            counts["not_run" if "not_run" in one else "equal"] += 1
            if "error" in one and not case.startswith("error."):
                wrong.append(f"{case}: fails both ways, so it says nothing: {json.dumps(one)[:1000]}")
            if case in listed:
                wrong.append(f"{case}: is equal, and differences.yaml says otherwise; take it out")
        elif case in listed and one is not None and other is not None and not ("error" in one and "error" not in other):
            # Keyhouse may refuse more, with a sentence why; what ClickHouse refuses and Keyhouse lets through is no difference to get used to.
            counts["listed"] += 1
        else:
            wrong.append(f"{case}:\n      direct   {json.dumps(one)[:1000]}\n      Keyhouse {json.dumps(other)[:1000]}")
    wrong += [f"{case}: differences.yaml names a case that there is not" for case in listed if case not in direct and case not in gate]
    return wrong, counts


def one_client(house, client, ways):
    folder = HERE / client
    if not (folder / "program").exists():
        return "not there", {}, []
    installed = subprocess.run([folder / "install"], cwd=folder, capture_output=True, text=True) if (folder / "install").exists() else None
    if installed and installed.returncode == NO_RUNTIME:
        return f"NOT RUN: {installed.stderr.strip().splitlines()[-1]}", {}, []
    if installed and installed.returncode:
        return "failed", {}, [f"install: exit code {installed.returncode}: {installed.stderr[-2000:]}"]
    lines, wrong = {}, []
    for way in ways:
        lines[way], of_way = run_one(house, client, way)
        wrong += of_way
    if ways == ["direct"]:
        return "failed" if wrong else "good", {"equal": len(lines["direct"]), "listed": 0, "not_run": 0}, wrong
    listed = folder / "differences.yaml"
    listed = (yaml.safe_load(listed.read_text()) if listed.exists() else None) or {}
    differs, counts = compare(lines["direct"], lines["gate"], listed)
    wrong += differs
    with (ROOT / "target/clients/results.jsonl").open("a") as results:
        results.write(json.dumps({"client": client, **lines}) + "\n")
    return "failed" if wrong else "good", counts, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(CLIENTS)}")
    parser.add_argument("--quick", action="store_true", help=f"those that deploy/check runs: {', '.join(QUICK)}")
    parser.add_argument("--direct", action="store_true", help="against ClickHouse alone, to see what a program prints")
    parser.add_argument("--keep", action="store_true", help="print the environment of both ways and leave all running until Ctrl-C")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in CLIENTS]:
        parser.error(f"there is no client {', '.join(unknown)}; there are {', '.join(CLIENTS)}")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="keyhouse-clients-"))
    house = None
    try:
        house = House(folder, gate=not given.direct)
        if given.keep:
            for way, environment in house.environment.items():
                # The tables of the first client stand for those of the one that is tried.
                of_way = {"CLIENT_WAY": way, "CLIENT_TABLE_PREFIX": prefix(CLIENTS[0], way)} | environment
                print("".join(f"export {name}='{value}'\n" for name, value in of_way.items()))
            print("ClickHouse's admin:", f"{house.http}/?user=admin&password=admin-pw", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
            return 0
        failed = False
        (ROOT / "target/clients/results.jsonl").unlink(missing_ok=True)
        print(f"{'client':14} {'':12} {'equal':>6} {'listed':>7} {'not run':>8}", flush=True)
        for client in given.names or (QUICK if given.quick else CLIENTS):
            began = time.monotonic()
            how, counts, wrong = one_client(house, client, ["direct"] if given.direct else ["direct", "gate"])
            figures = "".join(f"{counts[name]:>{width}} " for name, width in (("equal", 6), ("listed", 7), ("not_run", 8))) if counts else ""
            print(f"{client:14} {how:12} {figures}  {time.monotonic() - began:.0f} s", flush=True)
            for sentence in wrong:
                print(f"    {sentence}", flush=True)
            # One that was asked for by its name, or is one of the quick ones, has to be there.
            failed |= bool(wrong) or how == "failed" or (how == "not there" and (given.quick or bool(given.names)))
        return 1 if failed else 0
    finally:
        if house:
            house.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
