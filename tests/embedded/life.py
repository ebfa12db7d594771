"""How the embedded ClickHouse begins and ends: it leaves nothing behind, and says why it does not start.

    python tests/embedded/life.py            # the Python that has chdb-core
"""
import contextlib
import http.client
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "embedded-clickhouse"
SAMPLE = ["--init", str(FOLDER / "sample.sql")]


def start(*arguments):
    return subprocess.Popen([sys.executable, FOLDER / "embedded_clickhouse.py", *arguments],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ready(process):
    line = process.stdout.readline()
    assert line.startswith("ready http://127.0.0.1:"), line + process.stderr.read()
    return line.split()[1]


def engines(process):
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1, children
    return [int(child) for child in children]


def gone(pids):
    for _ in range(100):
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def alive(pid):
    with contextlib.suppress(OSError):
        return ") Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text()
    return False


def ask(url, sql):
    headers = {"X-ClickHouse-User": "kh_analyst", "X-ClickHouse-Key": "analyst-pw-1"}
    return urllib.request.urlopen(urllib.request.Request(url, sql.encode(), headers), timeout=5).read().decode()


@contextlib.contextmanager
def busy(url, statements):
    """Statements that would take longer than anybody waits for them."""
    def forever():
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(url, "SELECT count() FROM numbers(1000000) WHERE NOT sleepEachRow(1)")
    threads = [threading.Thread(target=forever) for _ in range(statements)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    yield
    for thread in threads:
        thread.join(5)


def ends(process, how, code):
    pids = engines(process)
    folders = [os.readlink(f"/proc/{pid}/cwd") for pid in pids]
    how(process)
    assert process.wait(5) == code, process.returncode
    assert gone(pids), "the engine is still there"
    assert not any(map(os.path.exists, folders)), "its folder is still there"


def it_ends_when_its_standard_input_closes():
    process = start(*SAMPLE)
    assert ask(ready(process), "SELECT count() FROM sales.orders") == "1000\n"
    ends(process, lambda process: process.stdin.close(), 0)


def it_ends_on_sigterm_while_statements_run():
    process = start()
    with busy(ready(process), 3):
        ends(process, lambda process: process.terminate(), 0)


def nothing_outlives_it_even_when_it_is_killed():
    for statements in (0, 3):
        process = start()
        with busy(ready(process), statements):
            ends(process, lambda process: process.kill(), -signal.SIGKILL)


def two_live_side_by_side():
    one, two = start(*SAMPLE), start()
    first, second = ready(one), ready(two)
    assert first != second
    assert "sales" in ask(first, "SHOW DATABASES")
    assert "sales" not in ask(second, "SHOW DATABASES")
    for process in (one, two):
        ends(process, lambda process: process.stdin.close(), 0)


def refused(*arguments):
    process = start(*arguments)
    said = process.communicate(timeout=10)[1]
    assert process.returncode == 2, said
    return said


def it_says_why_it_does_not_start():
    with tempfile.TemporaryDirectory() as folder:
        write = lambda name, text: str(pathlib.Path(folder, name).write_text(text) and pathlib.Path(folder, name))
        default = write("users.xml", "<clickhouse><users><default><password>x</password></default></users></clickhouse>")
        assert "`default` is the engine's own" in refused("--users", default)
        assert "Table default.nosuch does not exist" in refused("--init", write("bad.sql", "INSERT INTO default.nosuch VALUES (1);"))
        assert "nobody stands under" in refused("--users", write("empty.xml", "<clickhouse/>"))
        nosuch = "<clickhouse><users><a><password>x</password><profile>nosuch</profile></a></users></clickhouse>"
        assert "Profile nosuch was not found" in refused("--users", write("other.xml", nosuch))
    assert "No such file" in refused("--init", "/nosuch.sql")
    assert "needs --certificate" in refused("--https", "127.0.0.1:0")
    assert "is no address" in refused("--http", "nonsense")


def main():
    for promise in (it_ends_when_its_standard_input_closes, it_ends_on_sigterm_while_statements_run,
                    nothing_outlives_it_even_when_it_is_killed, two_live_side_by_side, it_says_why_it_does_not_start):
        started = time.monotonic()
        promise()
        print(f"ok {promise.__name__} ({time.monotonic() - started:.1f} s)", flush=True)


main()
