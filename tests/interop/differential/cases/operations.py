"""What operators see and do: access logs, the admin listener, draining."""

import asyncio
import json
import re

from harness import client_h1, config
from harness.client_h2 import request as h2_request
from harness.config import file_log, says, to, vhost
from harness.origin_h1 import reply

from differential.case import Group, custom, get, h2, raw, request

ROUTES = [vhost("v", ["*"], [
    says({"prefix": "/direct"}, "ok"), to({"prefix": "/dead"}, "dead"), to({"prefix": "/short"}, "a", route={"timeout": "0.2s"}),
    to({"prefix": "/empty"}, "empty"), to({"prefix": "/retry"}, "a", route={"retry_policy": {"retry_on": "5xx"}}),
    to({"prefix": "/rewrite"}, "a", route={"prefix_rewrite": "/new"}), to({"prefix": "/named"}, "a", name="a-route"), to({"prefix": "/"}, "a"),
])]


def logged(name, cases, fields, **group):
    """A group that logs to the file the runner reads."""
    return Group(name, cases, vhosts=ROUTES, hcm=lambda env: {"access_log": [file_log(env.log_path, **fields(env) if callable(fields) else fields)]},
                 has_log=True, **group)


COMMON = [
    get("a request to the origin", "/x?q=1", [("user-agent", "me/1"), ("x-forwarded-for", "1.2.3.4")], log_lines=1),
    get("a direct response", "/direct", log_lines=1),
    get("a POST with a body", "/x", method="POST", body="hello", log_lines=1),
    get("a refused connection", "/dead", status=503, log_lines=1),
    get("no endpoint", "/empty", status=503, log_lines=1),
    get("a timeout", "/short", script=[[("sleep", 0.8)]], status=504, log_lines=1),
    get("a reset", "/x", script=[["reset"]], status=503, log_lines=1),
    get("garbage", "/x", script=[[b"garbage\r\n\r\n", "hold"]], status=502, log_lines=1),
    get("a retry that helps", "/retry", script=[reply("503 No")], log_lines=1),
    get("retries that do not help", "/retry", script=[reply("503 No"), reply("503 No")], status=503, log_lines=1),
    get("a rewritten path", "/rewrite/x", log_lines=1),
    get("a HEAD", "/x", method="HEAD", log_lines=1),
    get("a named route", "/named", log_lines=1),
    get("a body cut short", "/x", script=[[b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "close"]], log_lines=1),
    raw("a bad request", b"GET / HTTP/1.1\r\nX y\r\n\r\n", 400, log_lines=1),
    raw("no Host", b"GET / HTTP/1.1\r\n\r\n", 400, log_lines=1),
    h2("an HTTP/2 request", h2_request("/x"), log_lines=1),
    h2("a gRPC call", h2_request("/x", "POST", headers=[("content-type", "application/grpc"), ("te", "trailers")], body=b"x"), log_lines=1),
    custom("a client that goes away", lambda env: leave(env), script=[[("sleep", 0.5), *reply()]], log_lines=1),
    get("line breaks and quotes in what is logged", "/x%0a\"y", [("user-agent", "a\"b\\c\x85d")], status=None, log_lines=1,
        wanted=lambda seen: harmless(seen["log"][0]),
        why="what is no printable text is escaped, so that it cannot forge a line or move a terminal's cursor; Envoy writes it raw"),
]


def harmless(line):
    """A log line holds the user agent, and the byte that is no text as `\\x85` or JSON's `\\u0085`."""
    plain = "a\"b\\c\\x85d" in line
    quoted = line.startswith("{") and json.loads(line)["agent"] == "a\"b\\c\x85d" and line.isascii()
    return [] if plain or quoted else [line]




async def leave(env):
    """Asks, and closes before the answer."""
    _, writer = await asyncio.open_connection("127.0.0.1", env.port("main"))
    writer.write(request("/x"))
    await writer.drain()
    await asyncio.sleep(0.15)
    writer.transport.abort()
    await asyncio.sleep(0.1)
    return {}


LOG_DEFAULT = logged("log-default", COMMON, {})
TEXT = ("%PROTOCOL%|%REQ(:METHOD)%|%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%|%RESPONSE_CODE%|%RESPONSE_FLAGS%|%RESPONSE_CODE_DETAILS%|"
        "%CONNECTION_TERMINATION_DETAILS%|%BYTES_RECEIVED%|%BYTES_SENT%|%REQ(USER-AGENT)%|%REQ(:AUTHORITY)%|%UPSTREAM_HOST%|"
        "%UPSTREAM_CLUSTER%|%UPSTREAM_REQUEST_ATTEMPT_COUNT%|%ROUTE_NAME%|%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%|"
        "%DOWNSTREAM_LOCAL_ADDRESS%|%REQ(X-NONE?X-ALSO-NONE)%|%RESP(X-ORIGIN)%|%RESP(CONTENT-LENGTH):1%|%TRAILER(X)%|%START_TIME(%Y)%\n")
LOG_TEXT = logged("log-text", COMMON, {"log_format": {"text_format_source": {"inline_string": TEXT}}})
LOG_LONG_FLAGS = logged("log-long-flags", [get("a refused connection", "/dead", status=503, log_lines=1), get("a success", "/x", log_lines=1)], {
    "log_format": {"text_format_source": {"inline_string": "%RESPONSE_FLAGS_LONG% %RESPONSE_FLAGS%\n"}}})
JSON = {"method": "%REQ(:METHOD)%", "code": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%", "sent": "%BYTES_SENT%",
        "none": "%REQ(X-NONE)%", "mixed": "<%RESPONSE_CODE%>", "nested": {"path": "%REQ(:PATH)%", "list": ["%PROTOCOL%", "literal"]},
        "agent": "%REQ(USER-AGENT)%", "literal": "text", "number_like": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "route": "%ROUTE_NAME%"}




LOG_JSON = logged("log-json", COMMON, {"log_format": {"json_format": JSON}})
LOG_OMIT = logged("log-json-omit", [get("empty values are omitted", "/x", log_lines=1)], {
    "log_format": {"json_format": {"a": "%REQ(X-NONE)%", "b": "%PROTOCOL%"}, "omit_empty_values": True}})
LOG_OMIT_TEXT = logged("log-text-omit", [get("empty values are empty text", "/x", log_lines=1)], {
    "log_format": {"text_format_source": {"inline_string": "[%REQ(X-NONE)%] [%PROTOCOL%]\n"}, "omit_empty_values": True}})


def filtered(name, condition, cases):
    def manager(env):
        return {"access_log": [{**file_log(env.log_path, log_format={"text_format_source": {"inline_string": "%REQ(:PATH)% %RESPONSE_CODE%\n"}}),
                                "filter": condition}]}
    return Group(name, cases, vhosts=ROUTES, hcm=manager, has_log=True)


LOG_STATUS = filtered("log-filter-status", {"status_code_filter": {"comparison": {"op": "GE", "value": {"default_value": 500, "runtime_key": "none"}}}}, [
    get("a 200 is not logged", "/direct"), get("a 503 is logged", "/dead", status=503, log_lines=1)])
LOG_HEADER = filtered("log-filter-header", {"header_filter": {"header": {"name": "x-log", "present_match": True}}}, [
    get("without the header", "/direct"), get("with the header", "/direct", [("x-log", "1")], log_lines=1)])
LOG_AND = filtered("log-filter-and", {"and_filter": {"filters": [
    {"header_filter": {"header": {"name": "x-log", "present_match": True}}}, {"response_flag_filter": {"flags": ["UF"]}}]}}, [
    get("only one condition", "/direct", [("x-log", "1")]), get("both conditions", "/dead", [("x-log", "1")], status=503, log_lines=1)])


# --- admin

async def admin(env, method, path):
    status, headers, body = await env.proxy.admin(method, path)
    kept = [[name, value] for name, value in headers if name.lower() in ("content-type", "cache-control", "x-content-type-options")]
    return {"status": status, "headers": kept, "body": body}


async def only_status(env, method, path):
    return {key: value for key, value in (await admin(env, method, path)).items() if key != "body"}


async def json_keys(env, path):
    """The keys of a JSON answer, as paths; values are each proxy's own."""
    seen = await admin(env, "GET", path)

    def keys(value, prefix=""):
        if isinstance(value, dict):
            return sorted(inner for key, one in value.items() for inner in ([f"{prefix}{key}"] + keys(one, f"{prefix}{key}.")))
        return []
    return {"status": seen["status"], "headers": seen["headers"], "keys": keys(json.loads(seen["body"]))}


async def stats(env, path, pattern):
    """The statistics whose names match, after some traffic."""
    await client_h1.exchange(env.port("main"), [request("/x"), ("until", b"\r\n\r\na"), request("/direct"), ("until", b"ok"), request("/none-such")], ["GET"] * 3, expect=3)
    await client_h1.exchange(env.port("main"), [request("/dead")], ["GET"])
    await asyncio.sleep(0.1)
    lines = (await admin(env, "GET", path))["body"].splitlines()
    return {"lines": sorted(line for line in lines if re.match(pattern, line) and "No recorded values" not in line)}


COUNTERS = ["http.http.downstream_rq_total", "http.http.downstream_rq_1xx", "http.http.downstream_rq_2xx", "http.http.downstream_rq_4xx", "http.http.downstream_rq_5xx",
            "http.http.downstream_rq_active", "http.http.downstream_rq_http1_total", "http.http.downstream_cx_total", "http.http.downstream_cx_active",
            "http.http.downstream_cx_http1_total", "http.http.downstream_rq_completed", "http.http.no_route", "http.http.rq_direct_response", "http.http.no_cluster",
            "cluster.a.upstream_rq_total", "cluster.a.upstream_rq_200", "cluster.a.upstream_rq_2xx", "cluster.a.upstream_rq_completed", "cluster.a.upstream_cx_total",
            "cluster.a.upstream_rq_active", "cluster.a.upstream_rq_timeout", "cluster.a.upstream_rq_retry", "cluster.a.membership_total", "cluster.a.membership_healthy",
            "cluster.a.upstream_cx_http1_total", "cluster.a.upstream_rq_pending_total", "cluster.a.upstream_rq_pending_overflow",
            "cluster.a.circuit_breakers.default.rq_open", "cluster.a.circuit_breakers.default.cx_open",
            "cluster.dead.upstream_cx_connect_fail", "cluster.dead.upstream_rq_503", "cluster.dead.upstream_rq_5xx", "cluster.dead.upstream_rq_total",
            "cluster.empty.upstream_cx_none_healthy", "cluster.empty.membership_total", "cluster_manager.active_clusters", "listener_manager.total_listeners_active",
            "server.live", "server.state"]


def counter(name):
    return custom(f"counter {name}", lambda env: stats(env, "/stats", re.escape(name) + ":"))


ADMIN = Group("admin", vhosts=ROUTES[:1], cases=[
    custom("/ready", lambda env: admin(env, "GET", "/ready"), 200),
    custom("/server_info has Envoy's keys", lambda env: json_keys(env, "/server_info"), 200, ignore=(r"^keys",)),
    custom("/server_info says LIVE", lambda env: state(env), 200),
    custom("/clusters names endpoints", lambda env: clusters(env), 200),
    custom("/clusters as JSON", lambda env: json_keys(env, "/clusters?format=json"), 200),
    custom("/listeners", lambda env: listeners(env), 200),
    custom("/listeners as JSON", lambda env: json_keys(env, "/listeners?format=json"), 200),
    custom("/config_dump", lambda env: dump(env), 200),
    custom("/stats answers", lambda env: only_status(env, "GET", "/stats"), 200),
    custom("/stats with a filter", lambda env: stats(env, "/stats?filter=downstream_rq_2xx", r"http\.http\.")),
    custom("/stats as JSON", lambda env: only_status(env, "GET", "/stats?format=json"), 200),
    custom("/stats/prometheus names", lambda env: prometheus(env), 200),
    custom("an unknown path is 404", lambda env: only_status(env, "GET", "/nothing"), 404),
    custom("GET does not drain", lambda env: only_status(env, "GET", "/drain_listeners"), 405),
    custom("GET does not quit", lambda env: only_status(env, "GET", "/quitquitquit"), 405),
    custom("/help", lambda env: only_status(env, "GET", "/help"), 200),
    custom("healthcheck fail and ok", lambda env: fail_and_ok(env)),
])


async def state(env):
    seen = await admin(env, "GET", "/server_info")
    body = json.loads(seen["body"])
    return {"status": seen["status"], "state": body["state"], "node": body["node"]["id"], "cluster": body["node"]["cluster"]}


async def clusters(env):
    await client_h1.exchange(env.port("main"), [request("/x")], ["GET"])
    seen = await admin(env, "GET", "/clusters")
    wanted = ("max_connections", "max_pending_requests", "max_requests", "max_retries", "cx_active", "rq_total", "rq_success", "rq_error", "health_flags",
              "weight", "region", "zone", "canary", "priority", "hostname", "added_via_api", "observability_name", "success_rate")
    lines = [line for line in seen["body"].splitlines() if line.startswith("a::") and line.rsplit("::", 2)[1] in wanted]
    return {"status": seen["status"], "headers": seen["headers"], "lines": sorted(lines)}


async def listeners(env):
    seen = await admin(env, "GET", "/listeners")
    return {"status": seen["status"], "headers": seen["headers"], "body": seen["body"]}


async def dump(env):
    seen = await admin(env, "GET", "/config_dump")
    sections = json.loads(seen["body"])["configs"]
    return {"status": seen["status"], "headers": seen["headers"], "sections": sorted(one["@type"] for one in sections),
            "static_clusters": sorted(one["cluster"]["name"] for section in sections for one in section.get("static_clusters", []))}


async def prometheus(env):
    seen = await stats(env, "/stats/prometheus", r"envoy_(http_downstream_rq(_xx)?|cluster_upstream_rq_total|http_downstream_rq_total|cluster_membership_total)[{ ]")
    seen["status"] = (await admin(env, "GET", "/stats/prometheus"))["status"]
    # Counts grow with the cases before; the names and labels are what is compared.
    seen["lines"] = [line.rsplit(" ", 1)[0] for line in seen["lines"] if "envoy_http_conn_manager_prefix=\"http\"" in line or "cluster" in line]
    return seen


async def fail_and_ok(env):
    out = {}
    for path in ("/healthcheck/fail", "/ready", "/healthcheck/ok", "/ready"):
        method = "GET" if path == "/ready" else "POST"
        out[f"{len(out)} {path}"] = await admin(env, method, path)
    return out


STATS = Group("admin-stats", vhosts=ROUTES[:1], cases=[counter(name) for name in COUNTERS])

# --- draining


async def drain_by_admin(env):
    """A request in flight while the listeners drain gracefully; then one on the kept connection; then a new connection."""
    flight = asyncio.create_task(client_h1.exchange(env.port("main"), [request("/x"), ("until", b"\r\n\r\n"), ("sleep", 0.2), request("/y")],
                                                    ["GET", "GET"], expect=2, seconds=3))
    await asyncio.sleep(0.2)
    answer = await admin(env, "POST", "/drain_listeners?graceful")
    seen = await flight
    new = await client_h1.exchange(env.port("main"), [request("/direct")], ["GET"], seconds=1)
    await asyncio.sleep(1.8)
    late = await client_h1.exchange(env.port("main"), [request("/direct")], ["GET"], seconds=1)
    return {"admin": answer, "flight": seen, "new": new, "late": late}


def drained(seen):
    """What is in flight is finished and told to close; a new connection is served until the drain is over."""
    told = [first["status"], ["connection", "close"] in first["headers"]] if (first := next(iter(seen["flight"]["responses"]), None)) else []
    statuses = [[one["status"] for one in seen[name].get("responses", [])] for name in ("new", "late")]
    got = (seen["admin"]["status"], told, statuses)
    return [] if got == (200, [200, True], [[200], []]) else [str(got)]


async def drain_at_once(env):
    answer = await admin(env, "POST", "/drain_listeners")
    await asyncio.sleep(0.3)
    late = await client_h1.exchange(env.port("main"), [request("/direct")], ["GET"], seconds=1)
    return {"admin": answer, "late": late, "ready": await admin(env, "GET", "/ready")}


async def terminate(env):
    """SIGTERM while a request is in flight. Envoy ends at once; Palanquin must finish what it has."""
    flight = asyncio.create_task(client_h1.exchange(env.port("main"), [request("/x")], ["GET"], seconds=3))
    await asyncio.sleep(0.2)
    env.proxy.process.terminate()
    seen = await flight
    code = await asyncio.wait_for(env.proxy.process.wait(), 10)
    return {"status": seen["responses"][0]["status"] if seen["responses"] else 0, "exit": code}


async def quit_by_admin(env):
    answer = await admin(env, "POST", "/quitquitquit")
    code = await asyncio.wait_for(env.proxy.process.wait(), 10)
    return {"admin": answer, "exit": code}


SLOW = [[("sleep", 0.6), *reply()]]
DRAIN = Group("drain-graceful", vhosts=ROUTES[:1], flags=("--drain-time-s", "2"), cases=[
    custom("a graceful drain finishes requests and closes", drain_by_admin, script=SLOW, wanted=drained,
           why="every connection is told to close with its next response; Envoy tells a growing share of them")])
DRAIN_NOW = Group("drain-now", vhosts=ROUTES[:1], flags=("--drain-time-s", "1"), cases=[custom("a drain stops accepting", drain_at_once)])
TERM = Group("drain-sigterm", vhosts=ROUTES[:1], flags=("--drain-time-s", "3"), cases=[
    custom("SIGTERM finishes what is in flight", terminate, script=SLOW,
           wanted=lambda seen: [] if seen.get("status") == 200 and seen.get("exit") == 0 else [f"status {seen.get('status')}, exit {seen.get('exit')}"],
           why="issue point 3: Envoy ends at once, Palanquin drains", ignore=(r"process",))])
QUIT = Group("drain-quit", vhosts=ROUTES[:1], flags=("--drain-time-s", "1"), cases=[custom("quitquitquit ends the process", quit_by_admin, ignore=(r"^process",))])

GROUPS = [LOG_DEFAULT, LOG_TEXT, LOG_LONG_FLAGS, LOG_JSON, LOG_OMIT, LOG_OMIT_TEXT, LOG_STATUS, LOG_HEADER, LOG_AND, ADMIN, STATS, DRAIN, DRAIN_NOW, TERM, QUIT]
