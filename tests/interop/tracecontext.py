"""What a proxy makes of `traceparent` and `tracestate` (W3C Trace Context, levels 1 and 2).

The cases cover what the recommendation's own test suite covers, in our words: 41 of them. A case sends headers through the
proxy, which traces every request, and looks at what the origin got: the trace goes on (same trace id, new parent id) or a new one
begins, and which members of `tracestate` are passed on. Envoy 1.40 fails many of them; the reference here is the recommendation.
"""

import argparse
import asyncio
import pathlib
import re
import sys
import tempfile

from harness import client_h1, config
from harness.certs import Certs
from harness.config import any_of, to, vhost
from harness.verdicts import Checks

from differential.case import Env, request
from differential.runner import make_origin
from harness.proxy import Proxy

TRACE = "12345678901234567890123456789012"
PARENT = "1234567890123456"
GOOD = f"00-{TRACE}-{PARENT}-01"
FORM = re.compile(r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")


def parent(value, name="traceparent"):
    return (name, value)


def state(*values, name="tracestate"):
    return [(name, value) for value in values]


# --- what may be wrong with what the origin got; "" when nothing is

def got(seen, name):
    return [value for field, value in seen if field.lower() == name]


def form(seen):
    values = got(seen, "traceparent")
    if len(values) != 1:
        return f"{len(values)} traceparent headers"
    return "" if FORM.match(values[0]) else f"traceparent is {values[0]}"


def goes_on(seen):
    problem = form(seen)
    if problem:
        return problem
    _, trace, span, _ = got(seen, "traceparent")[0].split("-")
    if trace != TRACE:
        return f"trace id became {trace}"
    return "parent id was not replaced" if span == PARENT else ""


def begins(seen):
    problem = form(seen)
    if problem:
        return problem
    return "an invalid trace id was kept" if got(seen, "traceparent")[0].split("-")[1] == TRACE else ""


def members(seen):
    """Members of all tracestate lines, without the proxy's own; whitespace around them does not count."""
    return [one.strip() for value in got(seen, "tracestate") for one in value.split(",") if one.strip()]


def carries(*wanted):
    """The trace goes on, and these members are passed on in this order (the proxy may put its own before them)."""
    def judge(seen):
        return goes_on(seen) or ("" if members(seen)[-len(wanted):] == list(wanted) else f"tracestate is {members(seen)}")
    return judge


def drops_state(seen):
    """The trace goes on, but an invalid tracestate is not passed on."""
    return goes_on(seen) or (f"tracestate is {members(seen)}" if members(seen) else "")


def begins_without_state(seen):
    return begins(seen) or (f"tracestate is {members(seen)}" if members(seen) else "")


def each(judge, *variants):
    """Several header lists under one name; each must be judged well."""
    return [(headers, judge) for headers in variants]


def parents(judge, *values):
    return each(judge, *[[parent(value)] for value in values])


def with_state(judge, *values):
    return each(judge, *[[parent(GOOD), *state(value)] for value in values])


LONG_KEY, TENANT_KEY = "z" * 256, "t" + "v" * 240 + "@" + "v" + "t" * 13
ALL_KEY = "".join(chr(c) for c in range(ord("a"), ord("z") + 1)) + "0123456789_-*/"
ALL_VALUE = "".join(chr(c) for c in range(0x20, 0x7f) if chr(c) not in ",=").strip()
MANY = [f"bar{n:02}={n}" for n in range(1, 34)]

CASES = {
    "neither header: a trace begins": each(begins, []),
    "traceparent alone: the trace goes on": parents(goes_on, GOOD),
    "two traceparents: a trace begins": each(begins, [parent(GOOD), parent(GOOD.replace("9012-", "9011-"))]),
    "another header's name is no traceparent": each(begins, [("trace-parent", GOOD)], [("trace.parent", GOOD)]),
    "the name in any letter case": each(goes_on, [("TraceParent", GOOD)], [("TrAcEpArEnT", GOOD)], [("TRACEPARENT", GOOD)]),
    "version 00 has nothing after the flags": parents(begins, f"{GOOD}.", f"{GOOD}-what-the-future-will-be-like"),
    "a later version is read as far as it is known": parents(goes_on, f"cc-{TRACE}-{PARENT}-01", f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like"),
    "a later version's rest begins with a dash": parents(begins, f"cc-{TRACE}-{PARENT}-01.what-the-future-will-not-be-like"),
    "version ff is invalid": parents(begins, f"ff-{TRACE}-{PARENT}-01"),
    "a version of other characters": parents(begins, f".0-{TRACE}-{PARENT}-01", f"0.-{TRACE}-{PARENT}-01"),
    "a version too long": parents(begins, f"000-{TRACE}-{PARENT}-01", f"0000-{TRACE}-{PARENT}-01"),
    "a version too short": parents(begins, f"0-{TRACE}-{PARENT}-01"),
    "a version in capitals": parents(begins, f"CC-{TRACE}-{PARENT}-01"),
    "a trace id of zeros": parents(begins, f"00-{'0' * 32}-{PARENT}-01"),
    "a trace id of other characters": parents(begins, f"00-.{TRACE[1:]}-{PARENT}-01", f"00-{TRACE[:-1]}.-{PARENT}-01"),
    "a trace id in capitals": parents(begins, f"00-{'ABCDEF' + TRACE[6:]}-{PARENT}-01"),
    "a trace id too long": parents(begins, f"00-{TRACE}3-{PARENT}-01"),
    "a trace id too short": parents(begins, f"00-{TRACE[:-1]}-{PARENT}-01"),
    "a parent id of zeros": parents(begins, f"00-{TRACE}-{'0' * 16}-01"),
    "a parent id of other characters": parents(begins, f"00-{TRACE}-.{PARENT[1:]}-01", f"00-{TRACE}-{PARENT[:-1]}.-01"),
    "a parent id too long": parents(begins, f"00-{TRACE}-{PARENT}7-01"),
    "a parent id too short": parents(begins, f"00-{TRACE}-{PARENT[:-1]}-01"),
    "flags of other characters": parents(begins, f"00-{TRACE}-{PARENT}-.0", f"00-{TRACE}-{PARENT}-0."),
    "flags too long": parents(begins, f"00-{TRACE}-{PARENT}-001"),
    "flags too short": parents(begins, f"00-{TRACE}-{PARENT}-1"),
    "whitespace around traceparent": parents(goes_on, f" {GOOD}", f"\t{GOOD}", f"{GOOD} ", f"{GOOD}\t", f"\t {GOOD} \t"),
    "tracestate without traceparent": each(begins_without_state, state("foo=1"), state("foo=1,bar=2")),
    "tracestate with traceparent": [([parent(GOOD), *state("foo=1,bar=2")], carries("foo=1", "bar=2"))],
    "another header's name is no tracestate": each(drops_state, [parent(GOOD), ("trace-state", "foo=1")], [parent(GOOD), ("trace.state", "foo=1")]),
    "tracestate in any letter case": each(carries("foo=1"), *[[parent(GOOD), (name, "foo=1")] for name in ("TraceState", "TrAcEsTaTe", "TRACESTATE")]),
    "an empty tracestate": each(goes_on, [parent(GOOD), *state("")]) + each(carries("foo=1"), [parent(GOOD), *state("foo=1", "")], [parent(GOOD), *state("", "foo=1")]),
    "several tracestate lines are one list": [([parent(GOOD), *state("foo=1,bar=2", "rojo=1,congo=2", "baz=3")], carries("foo=1", "bar=2", "rojo=1", "congo=2", "baz=3"))],
    "a key twice": each(lambda seen: goes_on(seen) or ("" if members(seen) in ([], ["foo=1"], ["foo=1", "foo=1"], ["foo=1", "foo=2"], ["foo=2"], ["foo=2", "foo=1"]) else f"tracestate is {members(seen)}"),
                        [parent(GOOD), *state("foo=1,foo=1")], [parent(GOOD), *state("foo=1,foo=2")], [parent(GOOD), *state("foo=1", "foo=2")]),
    "all characters a key and a value may have": with_state(carries(f"{ALL_KEY}={ALL_VALUE}"), f"{ALL_KEY}={ALL_VALUE}"),
    "whitespace around members": with_state(carries("foo=1", "bar=2"), "foo=1 , bar=2", "foo=1\t,bar=2", " foo=1,\tbar=2 "),
    "a key of other characters": with_state(drops_state, "foo =1", "FOO=1", "foo.bar=1"),
    "a key of a wrong tenant form": with_state(drops_state, "foo@=1,bar=2", "@foo=1,bar=2", "foo@@bar=1,bar=2", "foo@bar@baz=1,bar=2"),
    "32 members and not one more": each(carries(*MANY[:32]), [parent(GOOD), *state(",".join(MANY[:32]))]) + with_state(drops_state, ",".join(MANY)),
    "a key of 256 characters and not one more": with_state(carries("foo=1", f"{LONG_KEY}=1"), f"foo=1,{LONG_KEY}=1")
                                                + with_state(carries("foo=1", f"{TENANT_KEY}=1"), f"foo=1,{TENANT_KEY}=1") + with_state(drops_state, f"foo=1,{LONG_KEY}z=1"),
    "a value of other characters": with_state(drops_state, "foo=bar=baz", "foo=,bar=3", "foo=b\xe9r"),
    "a second request with the same parent gets an id of its own": "twice",
}


def bootstrap(env):
    """Traces everything; the spans themselves go nowhere."""
    tracing = {"random_sampling": {"value": 100}, "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": any_of(
        "envoy.config.trace.v3.OpenTelemetryConfig", grpc_service={"envoy_grpc": {"cluster_name": "dead"}, "timeout": "0.25s"}, service_name="interop")}}
    main = config.listener("main", env.port("main"), [config.chain([config.hcm([vhost("v", ["*"], [to({"prefix": "/"}, "a")])], tracing=tracing)])])
    return config.bootstrap(env.port("admin"), [main], [config.cluster("a", env.origin("a").port), config.cluster("dead", env.dead_port, h2=True)])


async def send(env, headers):
    """What the origin got, or an error text."""
    env.origin("a").seen = []
    seen = await client_h1.exchange(env.port("main"), [request(headers=headers)], ["GET"], settle=0)
    records = env.origin("a").seen
    if len(records) != 1 or not seen["responses"] or seen["responses"][0]["status"] != 200:
        return None, f"{len(records)} requests reached the origin; answered {[one['status'] for one in seen['responses']]}"
    return records[0]["headers"], ""


async def run(kind):
    checks = Checks("tracecontext")
    with tempfile.TemporaryDirectory(prefix="tracecontext-") as folder:
        certs = Certs(pathlib.Path(folder) / "certs")
        env = Env(kind, folder, certs)
        env.origins["a"] = await make_origin("a", "h1", certs).start()
        env.proxy = Proxy(kind, bootstrap(env), folder, env.port("admin"))
        await env.proxy.start()
        try:
            for name, variants in CASES.items():
                if variants == "twice":
                    checks.check(name, await twice(env))
                    continue
                problems = []
                for headers, judge in variants:
                    seen, problem = await send(env, headers)
                    problem = problem or judge(seen)
                    if problem:
                        problems.append(f"{headers}: {problem}")
                checks.check(name, "; ".join(problems))
        finally:
            await env.proxy.stop(seconds=0)
            await env.origin("a").stop()
            env.dead.close()
    return checks.close()


async def twice(env):
    spans = []
    for _ in range(2):
        seen, problem = await send(env, [parent(GOOD)])
        problem = problem or goes_on(seen)
        if problem:
            return problem
        spans.append(got(seen, "traceparent")[0].split("-")[2])
    return "both requests got the same parent id" if spans[0] == spans[1] else ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxy", default="palanquin", choices=["palanquin", "envoy"])
    sys.exit(asyncio.run(run(parser.parse_args().proxy)))
