"""How the suites that are lists of checks report."""


class Checks:
    """Collects named checks and ends in the closing line that CI counts."""

    def __init__(self, suite):
        self.suite = suite
        self.passed = 0
        self.failed = []
        self.skipped = []

    def check(self, name, problem=None):
        """Passes when `problem` is empty; else the text says what was wrong."""
        if problem:
            self.failed.append(name)
            print(f"FAIL {self.suite} / {name}: {problem}", flush=True)
        else:
            self.passed += 1

    def skip(self, name, why):
        self.skipped.append(name)
        print(f"skipped {self.suite} / {name}: {why}", flush=True)

    def close(self):
        """The exit code; a suite that checked nothing has failed."""
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        print(f"\n{self.passed} passed, {len(self.failed)} failed{skipped}", flush=True)
        return 1 if self.failed or not self.passed else 0
