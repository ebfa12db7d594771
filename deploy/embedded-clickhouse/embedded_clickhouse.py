"""A ClickHouse 26.9 for tests and demonstrations, without a `clickhouse` binary: the engine of PyPI's `chdb-core`.

It is: ClickHouse's own code from the socket on. chdb-core carries clickhouse-local, and clickhouse-local knows
`SYSTEM START LISTEN HTTP`, so what answers here is ClickHouse's HTTPHandler, with ClickHouse's users, grants,
sessions, formats and compression. This file only writes its configuration, adds TLS, and ends it in time.

It is not: a server to keep data in, nor a whole one. What differs from clickhouse-server stands in README.md.

    python embedded_clickhouse.py --https 127.0.0.1:0 --certificate tls.crt --key tls.key --users users.xml --init sample.sql

prints `ready http://127.0.0.1:PORT https://127.0.0.1:PORT`, and ends on SIGTERM or when standard input closes.
"""
import argparse
import asyncio
import contextlib
import pathlib
import shutil
import signal
import ssl
import sys
import tempfile
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET

HERE = pathlib.Path(__file__).resolve().parent
CHUNK = 64 * 1024

# What clickhouse-local sets differently from a server, set back; `default_profile` is the base of every user's profile.
SERVER_PROFILE = """
<implicit_select>0</implicit_select>
<allow_introspection_functions>0</allow_introspection_functions>
<storage_file_read_method>pread</storage_file_read_method>
<default_format/>
<profile>default</profile>
"""

# clickhouse-local logs in as `default` with an empty password, whatever is configured. Its one session stays open as
# long as the engine runs, so a limit of one refuses `default` to everybody else.
OVERLAY = f"""<clickhouse>
<profiles>
<default/>
<embedded_server>{SERVER_PROFILE}</embedded_server>
<embedded_own><max_sessions_for_user>1</max_sessions_for_user></embedded_own>
</profiles>
<quotas><embedded_own/></quotas>
<users><default replace="replace">
<password/><networks><ip>127.0.0.1</ip></networks><profile>embedded_own</profile><quota>embedded_own</quota>
<access_management>1</access_management><named_collection_control>1</named_collection_control>
</default></users>
</clickhouse>
"""

CONFIG = """<clickhouse>
<listen_host>{host}</listen_host>
<http_port>{port}</http_port>
<default_profile>embedded_server</default_profile>
<user_directories><users_xml><path>{folder}/users.xml</path></users_xml></user_directories>
<query_log><database>system</database><table>query_log</table>
<flush_interval_milliseconds>500</flush_interval_milliseconds></query_log>
</clickhouse>
"""

# clickhouse-local takes an unknown table of its database for the name of a file; a server does not.
DEFAULT_DATABASE = "DROP DATABASE default SYNC; CREATE DATABASE default"

# The last statement holds the engine: it reads standard input, which we keep open.
LISTEN = """SYSTEM START LISTEN HTTP
;INSERT INTO FUNCTION file('{folder}/port', 'TSV', 'port UInt16') SELECT getServerPort('http_port')
;SELECT count() FROM file('/dev/stdin', 'LineAsString', 'line String') SETTINGS max_execution_time = 0, log_queries = 0
"""


class Refused(Exception):
    """Something is asked for that cannot be given: said in one line, exit code 2."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="See README.md beside this file.")
    parser.add_argument("--http", default="127.0.0.1:0", metavar="HOST:PORT", help="default 127.0.0.1:0, any free port")
    parser.add_argument("--https", metavar="HOST:PORT", help="TLS in front of the same engine")
    parser.add_argument("--certificate", metavar="PEM", help="for --https: certificate chain")
    parser.add_argument("--key", metavar="PEM", help="for --https: private key")
    parser.add_argument("--users", default=HERE / "users.xml", metavar="XML", help="ClickHouse's users.xml")
    parser.add_argument("--init", action="append", default=[], metavar="SQL", help="file of statements to run first; repeatable")
    parser.add_argument("--config", action="append", default=[], metavar="XML", help="more of ClickHouse's config.xml; repeatable")
    parser.add_argument("--stay", action="store_true", help="do not end when standard input closes")
    given = parser.parse_args()
    if given.https and not (given.certificate and given.key):
        raise Refused("--https needs --certificate and --key")
    return given


def address(text):
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise Refused(f"{text!r} is no address; write HOST:PORT, with port 0 for any free one")
    return host.strip("[]"), int(port)


def read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error


def users(path):
    """The users as they are given, but for one grant: the engine would answer SYSTEM RELOAD USERS and do nothing."""
    text = read(path)
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise Refused(f"{path}: {error}") from error
    if root.find("users/*") is None:
        raise Refused(f"{path}: nobody stands under <users>")
    if root.find("users/default") is not None:
        raise Refused(f"{path}: the user `default` is the engine's own here; name this user something else")
    for user in root.findall("users/*"):
        if user.find("grants") is None:
            grant(user, *everything(user))
    for holder in root.findall("*/*[grants]"):
        grant(holder, "REVOKE SYSTEM RELOAD USERS ON *.*")
    return ET.tostring(root, encoding="unicode")


def everything(user):
    """What ClickHouse gives to a user who has no <grants>; these two switches may not stand beside <grants>."""
    manages, names = (taken(user, switch) in ("1", "true") for switch in ("access_management", "named_collection_control"))
    yield f"GRANT ALL ON *.*{' WITH GRANT OPTION' if manages else ''}"
    if not manages:
        yield "REVOKE ACCESS MANAGEMENT ON *.*"
    if not names:
        yield "REVOKE NAMED COLLECTION ADMIN ON *"


def taken(user, switch):
    element = user.find(switch)
    if element is None:
        return ""
    user.remove(element)
    return (element.text or "").strip().lower()


def grant(holder, *queries):
    grants = holder.find("grants")
    grants = ET.SubElement(holder, "grants") if grants is None else grants
    for query in queries:
        ET.SubElement(grants, "query").text = query


def furnish(folder, given):
    """Writes what the engine finds in its folder; returns the statements that it is to run."""
    host, port = address(given.http)
    for name in ("users.d", "config.d"):
        (folder / name).mkdir()
    (folder / "config.xml").write_text(CONFIG.format(host=host, port=port, folder=folder))
    (folder / "users.xml").write_text(users(given.users))
    (folder / "users.d" / "embedded.xml").write_text(OVERLAY)
    for number, path in enumerate(given.config):
        (folder / "config.d" / f"{number}.xml").write_text(read(path))
    return "\n;".join([DEFAULT_DATABASE, *map(read, given.init), LISTEN.format(folder=folder)])


async def listening(folder, engine):
    """The port, once the engine has one and answers."""
    written = folder / "port"
    while True:
        if engine.returncode is not None:
            raise Refused("the engine did not start")
        with contextlib.suppress(OSError):
            if (text := written.read_text()).endswith("\n"):
                return int(text)
        await asyncio.sleep(0.02)


async def pump(source, sink):
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
    # Both directions end together: whoever leaves, the other side must see it at once.
    sink.close()


async def tls(given, http):
    """TLS is ours: clickhouse-local listens for plain HTTP only. Bytes pass as they are."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(given.certificate, given.key)
    except (OSError, ssl.SSLError) as error:
        raise Refused(f"{given.certificate}, {given.key}: {error}") from error

    async def connection(reader, writer):
        try:
            engine_reader, engine_writer = await asyncio.open_connection(*http)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, engine_writer), pump(engine_reader, writer))

    return await asyncio.start_server(connection, *address(given.https), ssl=context)


def url(scheme, host, port):
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


async def told_to_end(given, engine):
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)

    def input_waits():
        if not sys.stdin.buffer.raw.read(CHUNK):
            loop.remove_reader(sys.stdin)
            told.set()

    if not given.stay:
        try:
            loop.add_reader(sys.stdin, input_waits)
        except (PermissionError, ValueError) as error:
            raise Refused("standard input is a file: nothing would say when to end; give a pipe, or --stay") from error
    ended = asyncio.ensure_future(engine.wait())
    await asyncio.wait({ended, asyncio.ensure_future(told.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        raise Refused(f"the engine ended by itself (code {engine.returncode})")


async def run(given, folder):
    statements = furnish(folder, given)
    engine = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "engine.py"), statements, cwd=folder,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        host, _ = address(given.http)
        port = await listening(folder, engine)
        urls = [url("http", host, port)]
        if given.https:
            front = await tls(given, (host, port))
            urls.append(url("https", *front.sockets[0].getsockname()[:2]))
        print("ready", *urls, flush=True)
        await told_to_end(given, engine)
    finally:
        await end(engine)


async def end(engine):
    """A word first, so that the engine can tidy up; then the end."""
    engine.stdin.close()
    try:
        await asyncio.wait_for(engine.wait(), 3)
    except asyncio.TimeoutError:
        engine.kill()
        await engine.wait()


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="embedded-clickhouse-"))
    try:
        asyncio.run(run(arguments(), folder))
    except Refused as refusal:
        print(f"embedded-clickhouse: {refusal}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
