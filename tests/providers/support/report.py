"""What a person reads while providers are proven, and the table at the end."""
import contextlib
import time


class Report:
    """One provider's promises, as they are kept or not."""

    def __init__(self, name):
        self.name, self.kept, self.broken, self.not_run, self.version = name, 0, 0, None, ""
        self.seconds, self._started = 0, time.monotonic()

    def step(self, text):
        print(f"  {text} ({self.so_far():.0f} s)", flush=True)

    def so_far(self):
        self.seconds = time.monotonic() - self._started
        return self.seconds

    @contextlib.contextmanager
    def promise(self, text):
        """Kept where the block comes to its end. What it says else is shown, and the next promise is tried."""
        try:
            yield
        # Whatever keeps a promise from being tried to its end breaks it.
        except Exception as error:
            self.broken += 1
            print(f"  FAIL  {text}\n        {type(error).__name__}: {error}", flush=True)
        else:
            self.kept += 1
            print(f"  PASS  {text}", flush=True)


def table(reports):
    print("\nprovider             version     kept  broken  seconds")
    for report in reports:
        if report.not_run:
            print(f"NOT RUN: {report.name} ({report.not_run})")
        else:
            print(f"{report.name:<20} {report.version:<10} {report.kept:>5} {report.broken:>7} {report.seconds:>8.0f}")
