"""The ground that `run` and `instructions` stand on: the folders, Keyhouse's binary, and a copy of the rig with Keyhouse in it.

The rig is read-only and has an empty slot for the product, so it is copied, and Keyhouse's configs are written into the copy.
"""
import base64, contextlib, fcntl, hashlib, importlib.machinery, importlib.util, os, pathlib, shlex, shutil, subprocess, sys, tempfile, time
from types import ModuleType
from typing import IO, Iterator, NoReturn

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or REPO / "target").absolute()
STATE = TARGET / "peers"
RIG = pathlib.Path(os.environ.get("KEYHOUSE_RIG") or REPO / "../shared/rig")
BASE = pathlib.Path(os.environ.get("RIG_BASE") or os.path.join(tempfile.gettempdir(), "rig"))
COPY = STATE / "rig"

# Appended to the rig's peers.toml, in this order: the order gives the ports.
VARIANTS = {
    "keyhouse-nokeep": ("$PRODUCT_CMD", "nokeep.conf", "jwt"),
    "keyhouse-10k-rules": ("$PRODUCT_CMD", "rules10k.conf", "jwt"),
    "keyhouse-kept": ("$PRODUCT_CMD", "kept.conf", "jwt"),
    "keyhouse-idle": ("$PRODUCT_CMD", "idle.conf", "jwt"),
    "nginx-idle": ("nginx -e stderr -c @CONF@", "nginx-idle.conf", "none"),
}


class Lacking(Exception):
    """Something that is not there, in one sentence with what to do about it."""


def die(name: str, sentence: str) -> NoReturn:
    sys.exit(f"{name}: {sentence}")


_started = time.time()


def step(what: str) -> None:
    """Progress: what begins now, the time of day and the seconds since the start."""
    print(f"\n== {what} ({time.strftime('%H:%M:%S')}, {time.time() - _started:.0f} s)", flush=True)


def check_needs() -> None:
    if sys.platform != "linux":
        raise Lacking("the rig reads /proc and pins to cores, so it needs Linux; run it on Debian 12.")
    if sys.version_info < (3, 11):
        raise Lacking("Python 3.11 or later is needed; Debian 12 has it as python3.")
    if (os.cpu_count() or 1) < 2:
        raise Lacking("two cores are needed, one for the proxy and one for the load; take a larger machine.")
    if not (RIG / "rig").is_file():
        raise Lacking(f"no rig in {RIG}; name its folder in KEYHOUSE_RIG.")
    if not shutil.which("cargo"):
        raise Lacking("cargo is missing; install Rust 1.95 or later with rustup.")
    if not shutil.which("cc"):
        raise Lacking("a C compiler is missing; install gcc and libc6-dev.")
    # Debian leaves /usr/sbin out of a user's PATH, and nginx and haproxy are there.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    absent = [p for p in ("nginx", "haproxy", "wrk", "curl", "clickhouse-server", "strace", "valgrind") if not shutil.which(p)]
    if absent and os.geteuid() != 0:
        raise Lacking(f"{', '.join(absent)} missing and only root may install them; run this once as root, or apt-get install them.")


def keyhouse() -> pathlib.Path:
    """The binary that KEYHOUSE_BIN names, or one that is built now."""
    named = os.environ.get("KEYHOUSE_BIN")
    if named:
        path = pathlib.Path(named).absolute()
        if not os.access(path, os.X_OK):
            raise Lacking(f"KEYHOUSE_BIN names {named}, which is no program; name another or leave it out.")
        return path
    step("building Keyhouse")
    done = subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "keyhouse"], cwd=REPO)
    if done.returncode:
        raise Lacking("Keyhouse did not build; mend what cargo says above.")
    return TARGET / "release" / "keyhouse"


def chproxy() -> tuple[pathlib.Path | None, str]:
    """chproxy, built at the version that chproxy/go.mod pins; or None and why not."""
    named = os.environ.get("CHPROXY_BIN")
    if named:
        return pathlib.Path(named).absolute(), ""
    if not shutil.which("go"):
        return None, "Go 1.24 or later is not installed"
    out = STATE / "chproxy"
    step("building chproxy")
    done = subprocess.run(["go", "build", "-mod=readonly", "-o", str(out), "github.com/contentsquare/chproxy"], cwd=HERE / "chproxy",
                          capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return None, f"its build failed: {last}"
    return out, ""


def copy_rig(binary: pathlib.Path) -> None:
    """A fresh copy of the rig with Keyhouse's configs in it, and the command of Keyhouse where the rig looks for it."""
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(RIG, COPY, symlinks=False)
    for path in [COPY, *COPY.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    mend_copy()
    write_rules(STATE / "rules10k")
    write_keeping(STATE / "keeping")
    policies = {"@POLICIES@": str(HERE / "policies")}
    configs = {
        "product.conf": {"@KEPT@": "64MiB", **policies},
        "nokeep.conf": {"@KEPT@": "0B", **policies},
        "rules10k.conf": {"@KEPT@": "64MiB", "@POLICIES@": str(STATE / "rules10k")},
        "kept.conf": {"@KEPT@": "64MiB", "@POLICIES@": str(STATE / "keeping")},
        # The default allows fewer connections than are opened there, and closes them before all are.
        "idle.conf": {"@KEPT@": "64MiB, connections: 20000, idle_timeout: 10m", **policies},
    }
    template = (HERE / "keyhouse.yaml").read_text().replace("@PEERS@/@POLICIES@", "@POLICIES@")
    for name, values in configs.items():
        text = template
        for key, value in {**values, "@PEERS@": str(HERE)}.items():
            text = text.replace(key, value)
        (COPY / "configs" / name).write_text(text)
    nginx = (COPY / "configs/nginx.conf").read_text()
    (COPY / "configs/nginx-idle.conf").write_text(nginx.replace("worker_connections 8192", "worker_connections 30000"))
    with open(COPY / "peers.toml", "a") as peers:
        for name, (command, conf, auth) in VARIANTS.items():
            peers.write(f'\n[{name}]\nauth = "{auth}"\ncmd = "{command}"\nconf = "{conf}"\n')
    os.environ["PRODUCT_CMD"] = f"{shlex.quote(str(binary))} serve --config @CONF@"


# chproxy signs in at ClickHouse by HTTP Basic and strikes X-ClickHouse-User and -Key, as ClickHouse allows; the rig's upstream knows
# the two headers alone and would refuse it. So the copy's upstream takes either, for all peers, and the check looks for either.
# And it serves / alone, where curl adds the name of an uploaded file to a path that ends so: the copy says which path it means.
MENDED = (
    ("stub/src/main.rs", "let (mut cl, mut ch, mut user,", "let mut basic: Option<&[u8]> = None;\n        let (mut cl, mut ch, mut user,"),
    ("stub/src/main.rs", '6 if h.name.eq_ignore_ascii_case("expect") => expect = true,',
     '6 if h.name.eq_ignore_ascii_case("expect") => expect = true,\n                13 if h.name.eq_ignore_ascii_case("authorization") => basic = h.value.strip_prefix(b"Basic "),'),
    ("stub/src/main.rs", "            _ => false,\n        };\n        if !ok {",
     '            (None, None) => basic.and_then(|b| self.users.get(b)).is_some_and(|p| p == b"basic"),\n            _ => false,\n        };\n        if !ok {'),
    ("rig", '[f"{BASE}/bin/chstub", f"{HOST}:{STUB}", f"{KEYS}/users.txt"]', '[f"{HERE}/chstub", f"{HOST}:{STUB}", f"{HERE}/users.txt"]'),
    ("rig", '"x-clickhouse-key: analyst-pw-1" in h)', '"x-clickhouse-key: analyst-pw-1" in h or "authorization: basic yw5hbhlzddphbmfsexn0lxb3lte=" in h)'),
    ("rig", '"-T", big, "-H", "Expect:"]', '"-T", big, "-H", "Expect:", "--request-target", "/?query=INSERT%20INTO%20t%20FORMAT%20TSV"]'),
)


def mend_copy() -> None:
    for name, old, new in MENDED:
        path = COPY / name
        text = path.read_text()
        if text.count(old) != 1:
            raise Lacking(f"the rig's {name} is another than the one that was mended for chproxy; bring MENDED in ground.py up to date.")
        path.write_text(text.replace(old, new))


def build_upstream() -> None:
    """The copy's upstream, and the users that it takes: each by the two headers and by Basic."""
    done = subprocess.run(["cargo", "build", "--quiet", "--release", "--manifest-path", str(COPY / "stub/Cargo.toml")],
                          env={**os.environ, "CARGO_TARGET_DIR": str(STATE / "stub-target")})
    if done.returncode:
        raise Lacking("the rig's upstream did not build; mend what cargo says above.")
    shutil.copy(STATE / "stub-target/release/chstub", COPY / "chstub")
    users = (BASE / "run/keys/users.txt").read_text()
    basic = (base64.b64encode(line.replace(" ", ":", 1).encode()).decode() for line in users.splitlines())
    (COPY / "users.txt").write_text(users + "".join(f"{b} basic\n" for b in basic))


def write_rules(folder: pathlib.Path, count: int = 10_000) -> None:
    """`count` rules, of which the last are those that the others are measured with: all before them are meant for somebody else."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mine = (HERE / "policies/rig.yaml").read_text()
    # An indented name is a rule's; the three of them count.
    others = count - sum(1 for line in mine.splitlines() if "name: " in line)
    whom = ("groups: [team-{0}]", "claims: {{ch_role: role-{0}}}", "claims: {{department: department-{0}}}")
    rules = (f'  - {{name: other-{i}, whom: {{{whom[i % 3].format(i)}}}, act_as: {("analyst", "reader", "etl")[i % 3]}, allow: [{{tables: ["space{i}.*"]}}]}}\n'
             for i in range(others))
    (folder / "10-others.yaml").write_text("rules:\n" + "".join(rules))
    (folder / "20-rig.yaml").write_text(mine)


def write_keeping(folder: pathlib.Path) -> None:
    """The rules that the others are measured with, which keep answers."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mine = (HERE / "policies/rig.yaml").read_text()
    (folder / "10-rig.yaml").write_text(mine.replace("    system: all\n", "    system: all\n    answers: {ttl: 1h}\n"))


@contextlib.contextmanager
def only_rig() -> Iterator[IO[str]]:
    """Holds the rig's lock: two rigs at once would measure each other."""
    (BASE / "run").mkdir(parents=True, exist_ok=True)
    with open(BASE / "run/lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Lacking(f"another rig is running here (it holds {BASE / 'run/lock'}); wait for it and start again.") from None
        yield lock


def setup_rig() -> None:
    """`rig setup`, with the lock held by the caller, since it makes new keys."""
    if subprocess.run([str(COPY / "rig"), "setup"]).returncode:
        raise Lacking("the rig's setup failed; mend what it says above.")
    build_upstream()


def load_rig() -> ModuleType:
    """The copy as a module. Only after the setup: it looks for its programs when it is loaded."""
    loader = importlib.machinery.SourceFileLoader("rig", str(COPY / "rig"))
    spec = importlib.util.spec_from_loader("rig", loader)
    assert spec
    rig = importlib.util.module_from_spec(spec)
    loader.exec_module(rig)
    os.makedirs(rig.RUN, exist_ok=True)
    return rig


def remove_records() -> None:
    """What Keyhouse recorded of the load: large, and of no use afterwards."""
    for name in ["product", "product-2", *VARIANTS]:
        (BASE / "run" / f"{name}.records").unlink(missing_ok=True)


def tokens(count: int) -> pathlib.Path:
    """A file of `count` tokens signed with the rig's key of today, one a line. Minted once a key, on all cores."""
    key = (BASE / "run/keys/jwt.key.pem").read_bytes()
    path = STATE / f"tokens-{count}-{hashlib.sha256(key).hexdigest()[:12]}.txt"
    if not path.exists():
        # Those of an older key are refused by everybody.
        for old in STATE.glob(f"tokens-{count}-*"):
            old.unlink()
        step(f"minting {count:,} tokens")
        subprocess.run([BASE / "venv/bin/python", HERE / "mint_many.py", BASE / "run/keys", str(count), path], check=True)
    return path
