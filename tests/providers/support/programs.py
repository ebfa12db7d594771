"""Programs beside the proof: started on loopback, waited for with a limit, ended with all that they started."""
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time


class Unmet(Exception):
    """Something that was promised or waited for did not come about."""


def wait_for(what, seconds, look):
    """What `look` gives once it gives something; it is asked again and again until the time is over."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise Unmet(f"no {what} within {seconds} s")
        time.sleep(0.1)


def free_port():
    """A port that was free a moment ago, for programs that cannot take any free one and say which."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A program that runs until the `with` block is over. What it says is kept, and shown where it fails."""

    def __init__(self, name, command, folder=None, environment=None):
        self.name = name
        self._lines = []
        # A session of its own: its helpers end with it, and nobody else does.
        self._process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **(environment or {})}, text=True, errors="replace",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    def _listen(self):
        for line in self._process.stdout:
            self._lines.append(line.rstrip("\n"))

    def log(self):
        """Everything that it said until now."""
        return "\n".join(list(self._lines))

    def wait_line(self, text, seconds=30):
        """The first line with this text."""
        return self.wait(f"line with {text!r}", seconds, lambda: next((line for line in list(self._lines) if text in line), None))

    def wait(self, what, seconds, look):
        """Waits as `wait_for` does, and no longer than the program lives."""
        def look_while_it_lives():
            alive = self._process.poll() is None
            found = look()
            if not found and not alive:
                raise Unmet(f"it ended with {self._process.returncode} before there was a {what}")
            return found
        try:
            return wait_for(what, seconds, look_while_it_lives)
        except Unmet as unmet:
            raise Unmet(f"{self.name}: {unmet}; the last that it said:\n{self.log()[-4000:]}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for signal_, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
            # The number of one that has ended may be another's by now.
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal_)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(seconds)
        self._process.stdin.close()
        self._ear.join(5)
