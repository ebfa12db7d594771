"""What providers need to run: found on this machine or installed below the checkout, once for each lock file."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
INSTALLED = ROOT / "target/providers"


class CannotRun(Exception):
    """This machine lacks something; the sentence says what."""


def keyhouse():
    """The program that is tried: the one that KEYHOUSE names, or one that is built now."""
    if named := os.environ.get("KEYHOUSE"):
        if not Path(named).is_file():
            raise CannotRun(f"KEYHOUSE names {named}, where no program is")
        return Path(named).resolve()
    print("== building keyhouse", flush=True)
    _run("keyhouse", ["cargo", "build", "--locked", "--bin", "keyhouse"], ROOT, 3600)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "debug/keyhouse"


def node():
    """A Node that oidc-provider runs on: the one on PATH, or a newer from npm."""
    _need("node", "Node 20 or later")
    _need("npm", "npm")
    if _fits("node"):
        return "node"
    npm_ci(ROOT / "tests/node")
    newer = [path for path in (ROOT / "tests/node/node_modules").glob("node-linux-*/bin/node") if _fits(path)]
    if not newer:
        raise CannotRun("no Node that knows URL.parse: put Node 22 on PATH")
    return str(newer[0])


def _fits(node):
    asked = "process.exit(parseInt(process.versions.node) >= 20 && typeof URL.parse === 'function' ? 0 : 1)"
    return subprocess.run([node, "-e", asked], timeout=60, check=False).returncode == 0


def npm_ci(folder):
    """Installs what a folder's lock file names, beside it."""
    _need("npm", "npm")
    mark = folder / "node_modules/.installed"
    _once(mark, folder / "package-lock.json", f"npm packages of {folder.name}",
          lambda: [["npm", "ci", "--no-audit", "--no-fund"]], folder)


def venv(folder):
    """The Python of a virtual environment with what the folder's requirements name."""
    home = INSTALLED / folder.name / "venv"
    requirements = folder / "requirements.txt"
    python = home / "bin/python"
    _once(home / "installed", requirements, f"Python packages of {folder.name}", lambda: [
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "-r", str(requirements)],
    ])
    return str(python)


def pinned(folder, package):
    """The version of a package that the folder's requirements name."""
    lines = (folder / "requirements.txt").read_text().splitlines()
    return next(line.split("==")[1] for line in lines if line.startswith(f"{package}=="))


def maven(folder):
    """The folder into which the `pom.xml` of this one unpacks."""
    _need("mvn", "Maven")
    home = INSTALLED / folder.name
    _once(home / "installed", folder / "pom.xml", f"Maven's package of {folder.name} (170 MB the first time)",
          lambda: [["mvn", "-B", "-q", "-f", str(folder / "pom.xml"), f"-Dhome={home}", "generate-resources"]])
    return home


def java(least):
    """Makes sure of a Java of this version or later."""
    command = str(Path(os.environ["JAVA_HOME"]) / "bin/java") if "JAVA_HOME" in os.environ else "java"
    if not shutil.which(command):
        raise CannotRun(f"no Java {least}")
    said = subprocess.run([command, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if not found or int(found[1]) < least:
        raise CannotRun(f"no Java {least}, only {found[1] if found else 'an unknown one'}")


def _need(command, what):
    if not shutil.which(command):
        raise CannotRun(f"no {what}")


def _once(mark, wanted, what, commands, folder=None):
    """Installs unless the mark says that it is done. The mark is written last: what broke off is done again."""
    if mark.is_file() and mark.read_bytes() == wanted.read_bytes():
        return
    print(f"  installing {what}", flush=True)
    mark.parent.mkdir(parents=True, exist_ok=True)
    for command in commands():
        _run(what, command, folder, 1200)
    mark.write_bytes(wanted.read_bytes())


def _run(what, command, folder, seconds):
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
    except FileNotFoundError:
        raise CannotRun(f"no {command[0]} for {what}") from None
    except subprocess.TimeoutExpired:
        raise CannotRun(f"{what}: not there after {seconds} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"{command[0]} ended with {done.returncode}"]
        raise CannotRun(f"{what} cannot be had: {said[-1][:300]}")
