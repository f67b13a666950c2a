"""`python -m differential [--left KIND] [--right KIND] [--group G] [--only WORDS] [--keep FOLDER] [--jobs N] [-v]`"""

import argparse
import asyncio
import importlib
import json
import pathlib
import pkgutil
import sys
import tempfile
import time

from harness.certs import Certs

from differential import cases
from differential.runner import run_group


def all_groups():
    """Every group of every file under `cases/`."""
    groups = []
    for module in sorted(pkgutil.iter_modules(cases.__path__), key=lambda one: one.name):
        groups += importlib.import_module(f"differential.cases.{module.name}").GROUPS
    names = [group.name for group in groups]
    assert len(names) == len(set(names)), "two groups of one name"
    for group in groups:
        inner = [case.name for case in group.cases]
        doubled = {name for name in inner if inner.count(name) > 1}
        assert not doubled, f"{group.name}: two cases of one name: {doubled}"
    return groups


async def main(options):
    only = None
    if options.only:
        def only(group, case):
            return options.only in f"{group.name} / {case.name}"
    groups = [group for group in all_groups() if not options.group or group.name in options.group.split(",")]
    skipped = [group for group in groups if group.skipped and not options.group]
    groups = [group for group in groups if group not in skipped]
    if only:
        skipped = [group for group in skipped if any(only(group, case) for case in group.cases)]
    gate = asyncio.Semaphore(options.jobs)
    with tempfile.TemporaryDirectory(prefix="interop-certs-") as folder:
        certs = Certs(pathlib.Path(folder))

        async def guarded(group, choose):
            async with gate:
                return await run_group(group, options.left, options.right, certs, options.keep, choose)

        verdicts = [one for some in await asyncio.gather(*(guarded(group, only) for group in groups)) for one in some]
        # A machine that was busy elsewhere can make a timing case differ once; only what differs twice counts.
        doubtful = {(one.group, one.case) for one in verdicts if not one.ok and not any("did not start" in text for text in one.problems)}
        recovered = []
        if doubtful and not options.once:
            again = [one for group in groups for one in await guarded(group, lambda group, case: (group.name, case.name) in doubtful)]
            second = {(one.group, one.case): one for one in again}
            verdicts = [second.get((one.group, one.case), one) for one in verdicts]
            recovered = [one for one in again if one.ok]
    return verdicts, recovered, skipped


def report(verdicts, recovered, skipped, options):
    broken = {}
    for one in verdicts:
        if options.verbose:
            print(f"{'ok  ' if one.ok else 'FAIL'} {one.group} / {one.case}")
        if options.show:
            print(json.dumps({"left": one.left, "right": one.right} if options.show == "both" else one.left, indent=1))
        if one.ok:
            continue
        start = [text for text in one.problems if "did not start" in text]
        if start:
            broken.setdefault((one.group, "\n".join(start)), []).append(one.case)
            continue
        print(f"\nFAIL {one.group} / {one.case}   ({options.left} | {options.right})")
        for line in one.problems[:options.lines]:
            print(f"    {line}")
        if len(one.problems) > options.lines:
            print(f"    ... and {len(one.problems) - options.lines} more")
    for (group, text), names in broken.items():
        print(f"\nFAIL {group}: {len(names)} cases: {text}")
    for one in recovered:
        print(f"differed once, then agreed: {one.group} / {one.case}")
    failed = sum(not one.ok for one in verdicts)
    for group in skipped:
        print(f"skipped {group.name}: {len(group.cases)} cases: {group.skipped}")
    left_out = sum(len(group.cases) for group in skipped)
    print(f"\n{len(verdicts) - failed} passed, {failed} failed" + (f", {left_out} skipped" if left_out else ""))
    return 1 if failed or not verdicts else 0


def options():
    parser = argparse.ArgumentParser(prog="differential", description=__doc__)
    parser.add_argument("--left", default="envoy", choices=["envoy", "palanquin"])
    parser.add_argument("--right", default="palanquin", choices=["envoy", "palanquin"])
    parser.add_argument("--group", help="group names, separated by commas")
    parser.add_argument("--only", help="words in `group / case`")
    parser.add_argument("--keep", help="keep configurations and logs in this folder")
    parser.add_argument("--jobs", type=int, default=4, help="groups at once")
    parser.add_argument("--lines", type=int, default=14, help="lines printed of one difference")
    parser.add_argument("--once", action="store_true", help="do not run differing cases a second time")
    parser.add_argument("--show", nargs="?", const="left", choices=["left", "both"], help="print what was observed")
    parser.add_argument("-v", "--verbose", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    chosen = options()
    began = time.monotonic()
    outcome = asyncio.run(main(chosen))
    code = report(*outcome, chosen)
    print(f"({time.monotonic() - began:.0f} s)", file=sys.stderr)
    sys.exit(code)
