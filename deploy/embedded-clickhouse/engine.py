"""The process that is ClickHouse: runs clickhouse-local inside chdb-core's shared library until standard input closes.

Started by embedded_clickhouse.py in a folder that holds config.xml, with the text to run as its only argument.
"""
import ctypes
import importlib.machinery
import importlib.util
import os
import pathlib
import shutil
import sys
import threading
import time

WHEEL = "chdb-core 26.9.0"


def library():
    """`import chdb` would start a second engine first, and wants numpy and pandas: this loads its library alone."""
    package = importlib.util.find_spec("chdb")
    if package is None:
        sys.exit(f"{WHEEL} is not installed; write: pip install --no-deps -r requirements.txt")
    folder = pathlib.Path(package.submodule_search_locations[0])
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    ctypes.CDLL(str(folder / f"libpybind11nonlimitedapi_chdb_{python}.so"), mode=ctypes.RTLD_GLOBAL)
    loader = importlib.machinery.ExtensionFileLoader("_chdb", str(folder / "_chdb.abi3.so"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("_chdb", loader))
    loader.exec_module(module)
    return module


def end_when_orphaned(parent):
    """Whatever happens to the process that started this one, neither the engine nor its folder is left behind."""
    while os.getppid() == parent:
        time.sleep(0.1)
    leave()
    os._exit(1)


def leave():
    """The engine may still write while its folder goes, and a folder with a new file in it cannot be removed: again, then."""
    folder = os.getcwd()
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return
        time.sleep(0.02)


def main():
    threading.Thread(target=end_when_orphaned, args=[os.getppid()], daemon=True).start()
    # A format must be named; this is the one that a server answers with when nobody names any.
    error = library().query(sys.argv[1], "TabSeparated", path="data").error_message()
    leave()
    if error:
        sys.exit(error)


main()
