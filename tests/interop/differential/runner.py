"""Runs groups on both sides at once and judges each case."""

import asyncio
import dataclasses
import pathlib
import tempfile
import traceback

from harness.origin_h1 import Origin
from harness.origin_h2 import Origin2
from harness.proxy import Proxy, StartError

from differential.case import Env
from differential.normal import difference, normal


@dataclasses.dataclass
class Verdict:
    group: str
    case: str
    problems: list
    left: object = None
    right: object = None

    @property
    def ok(self):
        return not self.problems


async def run_group(group, left, right, certs, keep=None, only=None):
    """Both sides of one group; a verdict per case."""
    cases = [case for case in group.cases if only is None or only(group, case)]
    if not cases:
        return []
    sides = await asyncio.gather(run_side(group, cases, left, "left", certs, keep), run_side(group, cases, right, "right", certs, keep))
    return [judge(group, case, left, right, sides[0][case.name], sides[1][case.name]) for case in cases]


async def run_side(group, cases, kind, side, certs, keep):
    """Observation per case name. A side that cannot start observes its own error in every case."""
    with tempfile.TemporaryDirectory(prefix=f"{group.name}-{side}-") as scratch:
        folder = pathlib.Path(keep) / f"{group.name}-{side}" if keep else pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        env = Env(kind, folder, certs)
        try:
            for name, sort in group.origins.items():
                env.origins[name] = await make_origin(name, sort, certs).start()
            env.proxy = Proxy(kind, group.bootstrap(env), folder, env.port("admin"), flags=group.flags)
            try:
                await env.proxy.start()
            except StartError as error:
                return {case.name: {"start": str(error)} for case in cases}
            return {case.name: await observe(group, case, env) for case in cases}
        finally:
            if env.proxy:
                await env.proxy.stop(seconds=0)
            for origin in env.origins.values():
                await origin.stop()
            env.dead.close()


def make_origin(name, sort, certs):
    if callable(sort):
        return sort()
    secure = None
    protocol = "h2" if sort.startswith("h2") else "http/1.1"
    if "tls" in sort:
        secure = certs.server(alpn=(protocol,), mutual="mtls" in sort)
    return Origin2(name, secure) if sort.startswith("h2") else Origin(name, secure)


async def observe(group, case, env):
    """Runs one case on one side."""
    for name, origin in env.origins.items():
        origin.script = [answer for answer in case.script.get(name, [])]
        origin.seen = []
    try:
        seen = await asyncio.wait_for(case.action(env), 40)
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever happens is an observation of this side
        seen = {"exception": repr(error), "trace": traceback.format_exc().splitlines()[-3:]}
    # The origin's side of an exchange may end a moment after the client's.
    await asyncio.sleep(0.03)
    seen["origins"] = [record for name in sorted(env.origins) for record in env.origins[name].seen]
    if group.has_log:
        seen["log"] = await new_log_lines(env, case.log_lines)
    for origin in env.origins.values():
        origin.script = []
        origin.settle()
    # The proxy must have seen those connections go before the next case.
    await asyncio.sleep(0.03)
    if env.proxy.process.returncode is not None:
        seen["process"] = f"ended with {env.proxy.process.returncode}: {env.proxy.tail()}"
    return normal(seen, env.names())


async def new_log_lines(env, wanted):
    """What the access log gained; waits until `wanted` lines are there."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 3
    while True:
        data = env.log_path.read_bytes() if env.log_path.exists() else b""
        fresh = data[env.log_read:]
        if fresh.count(b"\n") >= wanted or loop.time() > end:
            if wanted == 0 or loop.time() > end:
                await asyncio.sleep(0)
            env.log_read = len(data)
            return fresh.decode("utf-8", "replace").splitlines()
        await asyncio.sleep(0.02)


def judge(group, case, left, right, one, two):
    """Compares, or checks the wanted answer where Palanquin deviates on purpose."""
    problems = []
    for side, seen in (("left", one), ("right", two)):
        if "start" in seen:
            problems.append(f"{side} did not start: {seen['start']}")
    if problems:
        return Verdict(group.name, case.name, problems, one, two)
    if case.status is not None:
        for kind, seen in ((left, one), (right, two)):
            if kind == "envoy" and first_status(seen) != case.status:
                problems.append(f"the case expects Envoy to answer {case.status}, it answered {first_status(seen)}")
                break
    if case.wanted is not None and right != "envoy":
        problems += [f"wanted ({case.why}): {text}" for text in unmet(case.wanted, two)]
    else:
        problems += difference(one, two, case.ignore)
    return Verdict(group.name, case.name, problems, one, two)


def first_status(seen):
    responses = [one for one in seen.get("responses", []) if one["status"] >= 200 or one["status"] == 101]
    return responses[0]["status"] if responses else seen.get("status", 0)


def unmet(wanted, seen):
    """What of `wanted` an observation does not have. A function returns its own list."""
    if callable(wanted):
        return wanted(seen)
    out = []
    for key, value in wanted.items():
        if key == "status":
            accepted = value if isinstance(value, (tuple, list)) else (value,)
            if first_status(seen) not in accepted:
                out.append(f"status {first_status(seen)}, wanted one of {accepted}")
        elif key == "origin_requests":
            if len(seen["origins"]) != value:
                out.append(f"{len(seen['origins'])} requests reached the origin, wanted {value}")
        elif key == "absent_at_origin":
            for record in seen["origins"]:
                out += [f"origin saw {name}: {inner}" for name, inner in record["headers"] if name.lower() in value]
        elif seen.get(key) != value:
            out.append(f"{key} is {seen.get(key)}, wanted {value}")
    return out
