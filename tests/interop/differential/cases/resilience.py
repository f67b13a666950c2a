"""Timeouts, retries, breakers, weights, and origins that fail: what the client is told, and how often the origin was asked."""

import asyncio

from harness import client_h1
from harness.config import endpoint, to, vhost
from harness.origin_h1 import reply

from differential.case import Group, custom, get, raw, request

SLOW = [("sleep", 1.2), *reply()]
LATE_BODY = [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab", ("sleep", 1.2), b"cd"]


def retry(retry_on="5xx", retries=1, **fields):
    return {"retry_policy": {"retry_on": retry_on, "num_retries": retries,
                             "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.02s"}, **fields}}


def route(prefix, cluster="a", **action):
    return to({"prefix": prefix}, cluster, route=action)


def status(code, *headers):
    return reply(code, headers, b"no")


# Only an internal client may give x-envoy-* instructions; here loopback is internal.
INTERNAL = {"use_remote_address": True, "internal_address_config": {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}}

TIMEOUTS = Group("timeouts", hcm=INTERNAL, vhosts=[vhost("v", ["*"], [
    route("/short", timeout="0.2s"),
    route("/none", timeout="0s"),
    route("/idle", timeout="0s", idle_timeout="0.3s"),
    route("/try", timeout="3s", **retry("5xx", 1, per_try_timeout="0.2s")),
    route("/try-once", timeout="3s", **retry("gateway-error", 0, per_try_timeout="0.2s")),
    route("/both", timeout="0.2s", max_stream_duration={"max_stream_duration": "5s"}),
    route("/off", timeout="5s", max_stream_duration={"max_stream_duration": "0s"}),
    route("/max", timeout="5s", max_stream_duration={"max_stream_duration": "0.3s"}),
    route("/"),
])], cases=[
    get("a route's timeout is 504", "/short", script=[SLOW], status=504),
    get("a fast answer within the timeout", "/short"),
    get("the timeout runs out within the body", "/short", script=[LATE_BODY]),
    get("a client's timeout header", "/none", [("x-envoy-upstream-rq-timeout-ms", "200")], script=[SLOW], status=504),
    get("a client's timeout header over the route's", "/short", [("x-envoy-upstream-rq-timeout-ms", "2500")], script=[SLOW]),
    get("a client's timeout header that is no number", "/short", [("x-envoy-upstream-rq-timeout-ms", "soon")], script=[SLOW], status=504),
    get("a client's expected timeout does not count", "/", [("x-envoy-expected-rq-timeout-ms", "100")], script=[SLOW]),
    get("a timeout of none", "/none", script=[SLOW]),
    get("an idle stream is 504", "/idle", script=[SLOW], status=504),
    get("an idle stream ends within the body", "/idle", script=[LATE_BODY]),
    get("each try has its timeout", "/try", script=[SLOW, reply()]),
    get("each try runs out", "/try", script=[SLOW, SLOW], status=504),
    get("num_retries 0 still allows one", "/try-once", script=[SLOW]),
    get("a client's per-try timeout", "/try", [("x-envoy-upstream-rq-per-try-timeout-ms", "50")], script=[SLOW, SLOW], status=504),
    get("the time a stream may take", "/max", script=[SLOW], status=504),
    get("a route's timeout beside max_stream_duration", "/both", script=[SLOW], status=None),
    get("a timeout header beside max_stream_duration", "/both", [("x-envoy-upstream-rq-timeout-ms", "200")], script=[SLOW], status=None),
    get("a stream without a limit", "/off", script=[SLOW], status=None),
    get("grpc-timeout of what is not gRPC", "/max", [("grpc-timeout", "100m")], script=[SLOW], status=None),
    get("x-envoy-upstream-rq-timeout-alt-response for each try", "/try", [("x-envoy-upstream-rq-timeout-alt-response", "1")], script=[SLOW, SLOW], status=None),
    get("x-envoy-upstream-rq-timeout-alt-response", "/short", [("x-envoy-upstream-rq-timeout-alt-response", "1")], script=[SLOW], status=None),
    get("the default timeout is told to the origin", "/"),
    get("a short timeout for HEAD", "/short", method="HEAD", script=[SLOW], status=504),
])

IDLE = Group("timeouts-downstream", hcm={"stream_idle_timeout": "0.5s", "request_timeout": "1s", "request_headers_timeout": "0.6s",
                                         "common_http_protocol_options": {"idle_timeout": "0.7s"}},
             vhosts=[vhost("v", ["*"], [route("/")])], cases=[
    raw("half a head is 408", b"GET / HTTP/1.1\r\nHost: a", status=None, settle=2, wanted={"status": 408},
        why="both limit it; the text names the limit of the head, where Envoy's names the stream's"),
    raw("a body that stops is 408", b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nab", status=408, settle=2.5),
    raw("an idle connection is closed", request(), settle=7.5),
    raw("a connection that says nothing", [("sleep", 0.1)], status=None, expect=1, methods=[], seconds=7),
])

RETRY_KINDS = Group("retry-kinds", hcm=INTERNAL, vhosts=[vhost("v", ["*"], [
    route("/5xx", **retry("5xx")),
    route("/gateway", **retry("gateway-error")),
    route("/reset", **retry("reset")),
    route("/before", **retry("reset-before-request")),
    route("/connect", "dead", **retry("connect-failure", 2)),
    route("/4xx", **retry("retriable-4xx")),
    route("/codes", **retry("retriable-status-codes", retriable_status_codes=[418, 503])),
    route("/headers", **retry("retriable-headers", retriable_headers=[{"name": "x-again", "string_match": {"exact": "yes"}}])),
    route("/only", **retry("5xx", retriable_request_headers=[{"name": "x-may", "present_match": True}])),
    route("/limited", **retry("envoy-ratelimited")),
    route("/refused", **retry("refused-stream")),
    route("/three", **retry("5xx", 3)),
    route("/zero", **retry("5xx", 0)),
    route("/grpc", **retry("unavailable,cancelled")),
    route("/plain"),
    to({"prefix": "/attempts"}, "a", route=retry("5xx", 2)),
], include_request_attempt_count=True, include_attempt_count_in_response=True)], cases=[
    get("5xx retries a 500", "/5xx", script=[status("500 Oops")]),
    get("5xx gives up after num_retries", "/5xx", script=[status("500 Oops"), status("502 Oops", ("x-second", "1"))], status=502),
    get("5xx does not retry a 404", "/5xx", script=[status("404 Not Found")], status=404),
    get("5xx retries a reset", "/5xx", script=[["reset"]]),
    get("5xx retries a close", "/5xx", script=[["close"]]),
    get("5xx retries garbage", "/5xx", script=[[b"garbage\r\n\r\n", "close"]]),
    get("5xx does not retry x-envoy-ratelimited", "/5xx", script=[status("429 Too Many", ("x-envoy-ratelimited", "true"))], status=429),
    get("gateway-error retries a 503", "/gateway", script=[status("503 No")]),
    get("gateway-error does not retry a 500", "/gateway", script=[status("500 No")], status=500),
    get("reset retries a reset", "/reset", script=[["reset"]]),
    get("reset does not retry a 503", "/reset", script=[status("503 No")], status=503),
    get("reset-before-request does not retry a request that was sent", "/before", script=[["reset"]], status=503),
    get("connect-failure tries again", "/connect", status=503),
    get("retriable-4xx retries a 409", "/4xx", script=[status("409 Conflict")]),
    get("retriable-4xx does not retry a 404", "/4xx", script=[status("404 Not Found")], status=404),
    get("retriable-status-codes", "/codes", script=[status("418 Teapot")]),
    get("retriable-status-codes refuses others", "/codes", script=[status("500 No")], status=500),
    get("retriable-headers", "/headers", script=[reply("200 OK", [("x-again", "yes")])]),
    get("retriable-headers refuses another value", "/headers", script=[reply("200 OK", [("x-again", "no")])]),
    get("retriable_request_headers allow", "/only", [("x-may", "1")], script=[status("500 No")]),
    get("retriable_request_headers refuse", "/only", script=[status("500 No")], status=500),
    get("envoy-ratelimited retries", "/limited", script=[status("429 Too Many", ("x-envoy-ratelimited", "true"))]),
    get("three retries", "/three", script=[status("500 1"), status("500 2"), status("500 3")]),
    get("no retries", "/zero", script=[status("500 No")], status=None),
    get("a POST with a body is sent again whole", "/5xx", method="POST", body="x" * 5000, script=[status("500 No")]),
    get("no policy, no retry", "/plain", script=[status("503 No")], status=503),
    get("a client's x-envoy-retry-on", "/plain", [("x-envoy-retry-on", "5xx")], script=[status("503 No")]),
    get("a client's x-envoy-max-retries", "/plain", [("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "2")], script=[status("503 No"), status("503 No")]),
    get("a client's retriable codes", "/plain", [("x-envoy-retry-on", "retriable-status-codes"), ("x-envoy-retriable-status-codes", "418,429")],
        script=[status("429 No")]),
    get("a client's retriable header names", "/plain", [("x-envoy-retry-on", "retriable-headers"), ("x-envoy-retriable-header-names", "x-a,x-b")],
        script=[reply("200 OK", [("x-b", "1")])]),
    get("a client's conditions add to the route's", "/gateway", [("x-envoy-retry-on", "retriable-4xx")], script=[status("409 Conflict")]),
    get("an unknown condition of a client", "/plain", [("x-envoy-retry-on", "whenever")], script=[status("503 No")], status=503),
    get("a client's x-envoy-retry-grpc-on", "/plain", [("x-envoy-retry-grpc-on", "unavailable")], script=[reply("200 OK", [("grpc-status", "14")])]),
    get("grpc conditions look at grpc-status", "/grpc", script=[reply("200 OK", [("grpc-status", "1")])]),
    get("grpc conditions and another grpc-status", "/grpc", script=[reply("200 OK", [("grpc-status", "5")])]),
    get("attempts are counted", "/attempts", script=[status("500 1"), status("500 2")]),
    get("HEAD is retried", "/5xx", method="HEAD", script=[[b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"]]),
])

BIG = Group("retry-buffer", vhosts=[vhost("v", ["*"], [route("/", **retry("5xx"))], per_request_buffer_limit_bytes=1024)], cases=[
    get("a body over the buffer limit is not retried", method="POST", body="x" * 5000, script=[status("500 No")], status=None),
    get("a body under the buffer limit is retried", method="POST", body="x" * 500, script=[status("500 No")]),
])

FAILURES = Group("failures", vhosts=[vhost("v", ["*"], [
    route("/dead", "dead"), route("/empty", "empty"), route("/unknown", None, cluster_header="x-cluster"),
    to({"prefix": "/unknown-code"}, None, route={"cluster_header": "x-cluster", "cluster_not_found_response_code": "NOT_FOUND"}),
    route("/"),
])], cases=[
    get("a refused connection is 503", "/dead", status=503),
    get("a refused connection for HEAD", "/dead", method="HEAD", status=503),
    get("no endpoint is 503", "/empty", status=503),
    get("a cluster by header", "/unknown", [("x-cluster", "a")]),
    get("a missing cluster is 503", "/unknown", [("x-cluster", "none")], status=503),
    get("no cluster header is 404", "/unknown", status=None),
    get("a close before the answer is 503", script=[["close"]], status=503),
    get("a reset before the answer is 503", script=[["reset"]], status=503),
    get("garbage instead of an answer is 502", script=[[b"this is not HTTP\r\n\r\n", "hold"]], status=502),
    get("half an answer's head is 503", script=[[b"HTTP/1.1 200 OK\r\ncontent-le", "close"]], status=None),
    get("a body cut short", script=[[b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "close"]]),
    get("a chunked body cut short", script=[[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "close"]]),
    get("a chunked body that breaks", script=[[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", "hold"]],
        ignore=(r"^responses\[0\]\.body",)),  # Envoy throws the good part away when both parts came in one segment
    get("a body until the close", script=[[b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "close"]]),
    get("a body until the close of HTTP/1.0", script=[[b"HTTP/1.0 200 OK\r\n\r\nuntil the end", "close"]]),
    get("an answer that says close", script=[[b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", "close"]]),
    get("two lengths that differ", script=[[b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc", "hold"]], status=502),
    get("two lengths that agree", script=[[b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", "hold"]], status=None,
        wanted={"status": (200, 502)}, why="either reading is safe"),
    get("a negative length", script=[[b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok", "hold"]], status=502),
    get("a length with a plus", script=[[b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok", "hold"]], status=502),
    get("length and chunked", script=[[b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "hold"]], status=None),
    get("a NUL in a header", script=[[b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\nok", "hold"]], status=502),
    get("a bare CR in a header", script=[[b"HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 2\r\n\r\nok", "hold"]],
        wanted={"status": 502}, why="security.md row 16: Envoy passes it on"),
    get("an unknown transfer coding", script=[[b"HTTP/1.1 200 OK\r\ntransfer-encoding: rot13\r\n\r\nok", "close"]], status=None),
    get("an unasked 101", script=[[b"HTTP/1.1 101 Switching Protocols\r\nupgrade: foo\r\nconnection: upgrade\r\n\r\n", "hold"]], status=None,
        wanted={"status": (502, 503)}, why="security.md: Envoy forwards an unasked 101"),
    get("status 2000", script=[[b"HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n", "hold"]], status=None, wanted={"status": (502, 503)},
        why="security.md: Envoy forwards it"),
    get("HTTP/3.7", script=[[b"HTTP/3.7 200 OK\r\ncontent-length: 0\r\n\r\n", "hold"]], status=None, wanted={"status": (502, 503)},
        why="security.md: Envoy forwards it"),
    get("an early hint goes before the answer", script=[[b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", *reply()]], status=None),
    get("a 100 of the origin", script=[[b"HTTP/1.1 100 Continue\r\n\r\n", *reply()]], status=None),
    get("a 102 of the origin", script=[[b"HTTP/1.1 102 Processing\r\n\r\n", *reply()]], status=None),
    get("a body on a 204", script=[[b"HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\nabc", "close"]], status=None, ignore=(r"closed",)),
    get("a long head of an answer", script=[[b"HTTP/1.1 200 OK\r\n" + b"x-long: " + b"a" * 70_000 + b"\r\ncontent-length: 2\r\n\r\nok", "hold"]], status=None),
    get("a hundred and one headers", script=[[b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(101)) + b"content-length: 2\r\n\r\nok", "hold"]],
        status=None),
    get("an answer before the body was sent", method="POST", body="x" * 200_000, script=[["early", *reply("413 Too Large")]], status=None, ignore=(r"^origins",)),
])

OVERFLOW = Group("breakers", origins={"a": "h1", "b": "h1"}, clusters={
    "a": {"circuit_breakers": {"thresholds": [{"max_requests": 1}]}},
    "b": {"circuit_breakers": {"thresholds": [{"max_connections": 1, "max_pending_requests": 1}]}},
    "dead": {"circuit_breakers": {"thresholds": [{"max_retries": 0}]}},
}, vhosts=[vhost("v", ["*"], [route("/a", "a"), route("/b", "b"), route("/dead", "dead", **retry("connect-failure", 3))])], cases=[
    custom("the second request of one is refused", lambda env: burst(env, "/a", 2), script={"a": [[("sleep", 0.6), *reply()]]}),
    custom("one waits and the third is refused", lambda env: burst(env, "/b", 3), script={"b": [[("sleep", 0.4), *reply()], reply()]}),
    custom("after an overflow requests go through", lambda env: burst(env, "/a", 1)),
    get("no retry is allowed", "/dead", status=503),
    custom("overflows are counted by their kind", lambda env: overflows(env)),
])


async def burst(env, path, count):
    """`count` requests on connections of their own, 80 ms apart."""
    async def one(index):
        await asyncio.sleep(0.08 * index)
        return await client_h1.exchange(env.port("main"), [request(path)], ["GET"])
    return {"exchanges": await asyncio.gather(*(one(index) for index in range(count)))}


async def overflows(env):
    """What the requests so far have overflown. Palanquin has no limit of pools."""
    _, _, body = await env.proxy.admin("GET", "/stats?filter=cluster%5C.(a%7Cb%7Cdead)%5C.upstream_.*overflow")
    return {"lines": sorted(line for line in body.splitlines() if "cx_pool_overflow" not in line)}


async def shares(env, path, count):
    """Who answered how often, in `count` requests on one connection after the other."""
    seen = await client_h1.exchange(env.port("main"), [request(path) * count], ["GET"] * count, expect=count)
    bodies = [one["body"] for one in seen["responses"]]
    return {"answers": len(bodies), "origins_used": sorted(set(bodies)), "roughly": {name: bodies.count(name) * 10 // count for name in sorted(set(bodies))}}


WEIGHTS = Group("weights", origins={"a": "h1", "b": "h1"}, vhosts=[vhost("v", ["*"], [
    to({"prefix": "/all"}, None, route={"weighted_clusters": {"clusters": [{"name": "a", "weight": 0}, {"name": "b", "weight": 7}]}}),
    to({"prefix": "/half"}, None, route={"weighted_clusters": {"clusters": [{"name": "a", "weight": 1}, {"name": "b", "weight": 1}]}}),
    to({"prefix": "/host"}, None, route={"weighted_clusters": {"clusters": [{"name": "a", "weight": 1, "host_rewrite_literal": "weighted.test"}]}}),
    to({"prefix": "/", "runtime_fraction": {"default_value": {"numerator": 0}}}, "a"),
    to({"prefix": "/", "runtime_fraction": {"default_value": {"numerator": 100}}}, "b"),
])], cases=[
    custom("a weight of zero gets nothing", lambda env: shares(env, "/all", 20), ignore=(r"^origins\[",)),
    custom("half and half reaches both", lambda env: shares(env, "/half", 40), ignore=(r"^origins\[", r"roughly")),
    get("a host rewritten by the weighted cluster", "/host"),
    get("a fraction of none never matches", "/x"),
])

ROUND = Group("balancing", origins={"a": "h1", "b": "h1", "c": "h1"}, build=lambda env: balanced(env), cases=[
    custom("round robin takes turns", lambda env: shares(env, "/rr", 30), ignore=(r"^origins\[",)),
    custom("least request reaches all", lambda env: shares(env, "/lr", 60), ignore=(r"^origins\[", "roughly")),
    custom("random reaches all", lambda env: shares(env, "/rnd", 60), ignore=(r"^origins\[", "roughly")),
    custom("weights of endpoints count", lambda env: shares(env, "/weighted", 40), ignore=(r"^origins\[",)),
    custom("a dead endpoint among two costs its share", lambda env: shares(env, "/retry", 10), ignore=(r"^origins\[",)),
    custom("the lower priority is not used", lambda env: shares(env, "/priority", 10), ignore=(r"^origins\[",)),
])


def balanced(env):
    from harness import config
    ports = [env.origin(name).port for name in "abc"]
    weighted = config.cluster("weighted", lb_policy="ROUND_ROBIN")
    weighted["load_assignment"]["endpoints"] = [{"lb_endpoints": [
        endpoint(ports[0], load_balancing_weight=3), endpoint(ports[1], load_balancing_weight=1)]}]
    priority = config.cluster("priority")
    priority["load_assignment"]["endpoints"] = [{"priority": 0, "lb_endpoints": [endpoint(ports[0])]}, {"priority": 1, "lb_endpoints": [endpoint(ports[1])]}]
    routes = [route("/rr", "rr"), route("/lr", "lr"), route("/rnd", "rnd"), route("/weighted", "weighted"),
              route("/retry", "half", **retry("connect-failure", 3)), route("/priority", "priority")]
    return config.bootstrap(env.port("admin"), [config.listener("main", env.port("main"), [config.chain([config.hcm([vhost("v", ["*"], routes)])])])], [
        config.cluster("rr", *ports), config.cluster("lr", *ports, lb_policy="LEAST_REQUEST"), config.cluster("rnd", *ports, lb_policy="RANDOM"),
        weighted, config.cluster("half", ports[0], env.dead_port), priority])


GROUPS = [TIMEOUTS, IDLE, RETRY_KINDS, BIG, FAILURES, OVERFLOW, WEIGHTS, ROUND]
