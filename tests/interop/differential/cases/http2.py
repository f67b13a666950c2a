"""HTTP/2 on either side, and gRPC: streams, trailers, resets, mapping between the versions, answers in gRPC's form."""

from harness.client_h2 import request
from harness.config import says, to, vhost
from harness.origin_h1 import reply

from differential.case import Group, get, h2

ROUTES = [vhost("v", ["*"], [
    says({"prefix": "/direct"}, "ok"), says({"prefix": "/teapot"}, "short", 418), to({"prefix": "/dead"}, "dead"), to({"prefix": "/h1"}, "a"),
    to({"prefix": "/h2"}, "b"), to({"prefix": "/short"}, "b", route={"timeout": "0.2s"}),
    to({"prefix": "/retry"}, "b", route={"retry_policy": {"retry_on": "5xx,reset,refused-stream", "num_retries": 1}}),
    to({"prefix": "/rewrite/"}, "b", route={"prefix_rewrite": "/", "host_rewrite_literal": "rewritten.test"}),
])]
ORIGINS = {"a": "h1", "b": "h2"}
GRPC = [("content-type", "application/grpc"), ("te", "trailers")]
MESSAGE = b"\x00\x00\x00\x00\x03abc"


MALFORMED = "RFC 9113 8.1.1: a stream error is enough; Envoy ends the connection"


# Of a stream that the proxy gives up Envoy says INTERNAL_ERROR, we say CANCEL: "no longer needed" (RFC 9113 7).
RESET_CODE = (r"^origins\[\d+\]\.reset$",)


def refused(seen):
    """Nothing reached an origin, and the client got no success."""
    problems = [f"the origin saw {record}" for record in seen["origins"]]
    return problems + [f"answered {one['status']}" for one in seen["responses"] if one["status"] and one["status"] not in (400, 431)]


def grpc(path="/h2/pkg.Service/Method", body=MESSAGE, headers=(), **fields):
    return request(path, "POST", headers=[*GRPC, *headers], body=body, **fields)


def b(*answers):
    return {"b": list(answers)}


def grpc_reply(*parts, status="0", trailers=(), **fields):
    return {"headers": [("content-type", "application/grpc")], "body": list(parts), "trailers": [("grpc-status", status), *trailers], **fields}


DOWN = Group("h2-downstream", origins=ORIGINS, vhosts=ROUTES, cases=[
    h2("a stream that is answered at once", request("/direct")),
    h2("a stream to HTTP/1", request("/h1?q=1")),
    h2("a stream to HTTP/2", request("/h2?q=1")),
    h2("three streams at once", [request("/direct"), request("/h1"), request("/h2")]),
    h2("three streams one after the other", [request("/h1"), request("/h1"), request("/h1")], together=False),
    h2("POST with a body to HTTP/1", request("/h1", "POST", body=b"hello")),
    h2("POST with a length to HTTP/1", request("/h1", "POST", headers=[("content-length", "5")], body=b"hello")),
    h2("POST with a body to HTTP/2", request("/h2", "POST", body=b"hello")),
    h2("POST with an empty last frame", request("/h1", "POST", body=[b"hello", b""])),
    h2("a body of 200 kB", request("/h2", "POST", body=b"x" * 200_000), script=b({"headers": [], "body": b"y" * 200_000})),
    h2("HEAD", request("/h1", "HEAD")),
    h2("a body longer than its length", request("/h1", "POST", headers=[("content-length", "3")], body=b"hello"), None, ignore=(r"^origins",)),
    h2("a body shorter than its length", request("/h1", "POST", headers=[("content-length", "9")], body=b"hello"), None, ignore=(r"^origins",)),
    h2("two equal lengths", request("/h1", "POST", headers=[("content-length", "5"), ("content-length", "5")], body=b"hello"), None,
       wanted=lambda seen: [], why="either is safe"),
    h2("request trailers to HTTP/1", request("/h1", "POST", body=b"hello", trailers=[("x-t", "1")])),
    h2("request trailers to HTTP/2", request("/h2", "POST", body=b"hello", trailers=[("x-t", "1")])),
    h2("response trailers", request("/h2"), script=b({"body": b"abc", "trailers": [("x-t", "1")]})),
    h2("trailers without a body", request("/h2"), script=b({"body": b"", "trailers": [("x-t", "1")]})),
    h2("no route", request("/none"), 404),
    h2("a dead origin", request("/dead"), 503),
    h2("a timeout", request("/short"), 504, script=b({"delay": 1}), ignore=RESET_CODE),
    h2("the origin resets", request("/h2"), 503, script=b({"reset": 2})),
    h2("the origin refuses the stream", request("/h2"), 503, script=b({"reset": 7})),
    h2("the origin resets within the body", request("/h2"), script=b({"body": b"abc", "reset": 2, "after_body": True})),
    h2("the origin refuses and the stream is retried", request("/retry"), script=b({"reset": 7})),
    h2("the origin's 503 is retried", request("/retry"), script=b({"status": 503})),
    h2("the origin goes away after the answer", [request("/h2"), request("/h2")], script=b({"body": b"bye", "goaway": True}), together=False),
    h2("an HTTP/1 origin's body is cut short", request("/h1"), script={"a": [[b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "close"]]}),
    h2("an HTTP/1 origin's garbage", request("/h1"), 502, script={"a": [[b"garbage\r\n\r\n", "hold"]]}),
    h2("an HTTP/1 origin's connection headers", request("/h1"), script={"a": [reply(headers=[("connection", "x-a"), ("x-a", "1"), ("keep-alive", "3")])]},
       wanted=lambda seen: [f"answered {name}" for name, _ in seen["responses"][0]["headers"] if name in ("connection", "x-a", "keep-alive")],
       why="security.md: what Connection nominates is removed, of responses too"),
    h2("cookies in crumbs are joined", request("/h1", headers=[("cookie", "a=1"), ("cookie", "b=2")])),
    h2("cookies in crumbs to HTTP/2", request("/h2", headers=[("cookie", "a=1"), ("cookie", "b=2")])),
    h2("two lines of one header", request("/h2", headers=[("x-a", "1"), ("x-a", "2")])),
    h2("te trailers", request("/h2", headers=[("te", "trailers")])),
    h2("te of another kind", request("/h2", headers=[("te", "gzip")]), None, wanted=refused, why=MALFORMED),
    h2("a connection header is an error", request("/h2", headers=[("connection", "close")]), None, wanted=refused, why=MALFORMED),
    h2("transfer-encoding is an error", request("/h2", headers=[("transfer-encoding", "chunked")]), None, wanted=refused, why=MALFORMED),
    h2("upgrade is an error", request("/h2", headers=[("upgrade", "websocket")]), None, wanted=refused, why=MALFORMED),
    h2("keep-alive", request("/h2", headers=[("keep-alive", "1")]), None, wanted=refused, why=MALFORMED),
    h2("an upper-case name", request("/h2", headers=[("X-Upper", "1")]), None, wanted=refused, why=MALFORMED),
    h2("a space in a value's edges", request("/h2", headers=[("x-a", " padded ")]), None),
    h2("a newline in a value", request("/h2", headers=[("x-a", "1\r\nx-b: 2")]), None, wanted=refused, why=MALFORMED),
    h2("a NUL in a value", request("/h2", headers=[("x-a", "1\0")]), None, wanted=refused, why=MALFORMED),
    h2("an empty name", request("/h2", headers=[("", "1")]), None, wanted=refused, why=MALFORMED),
    h2("a host header that agrees", request("/h1", headers=[("host", "a.test")]), None),
    h2("a host header that disagrees", request("/h1", headers=[("host", "b.test")]), None),
    h2("a host header instead of the authority", request(pseudo=[(":method", "GET"), (":scheme", "http"), (":path", "/h1")], headers=[("host", "a.test")]), None),
    h2("no authority at all", request(pseudo=[(":method", "GET"), (":scheme", "http"), (":path", "/h1")]), None, wanted=refused, why=MALFORMED),
    h2("no path", request(pseudo=[(":method", "GET"), (":scheme", "http"), (":authority", "a.test")]), None, wanted=refused, why=MALFORMED),
    h2("an empty path", request(""), None, wanted=refused, why=MALFORMED),
    h2("no method", request(pseudo=[(":scheme", "http"), (":authority", "a.test"), (":path", "/h1")]), None, wanted=refused, why=MALFORMED),
    h2("no scheme", request(pseudo=[(":method", "GET"), (":authority", "a.test"), (":path", "/h1")]), None, wanted=refused, why=MALFORMED),
    h2("a scheme of https", request("/h1", scheme="https")),
    h2("a scheme of gopher", request("/h1", scheme="gopher"), None),
    h2("an unknown pseudo-header", request(pseudo=[(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/"), (":x", "1")]), None, wanted=refused, why=MALFORMED),
    h2("a pseudo-header twice", request(pseudo=[(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/h1"), (":path", "/h2")]), None, wanted=refused, why=MALFORMED),
    h2("a pseudo-header after the others", request(pseudo=[(":method", "GET"), (":scheme", "http"), (":path", "/h1"), ("x-a", "1"), (":authority", "a.test")]), None, wanted=refused, why=MALFORMED),
    h2("a path with a fragment", request("/h1#x"), None,
       wanted=lambda seen: [f"the origin saw {one['line']}" for one in seen["origins"] if one["line"] != "GET /h1 HTTP/1.1"],
       why="refused or cut off: routing, policy and origin see the same path"),
    h2("a path with a space", request("/h1/a b"), None, wanted=refused, why=MALFORMED),
    h2("the asterisk path", request("*", "OPTIONS"), None),
    h2("pseudo-headers in trailers", request("/h1", "POST", body=b"x", trailers=[(":path", "/h2")]), None,
       wanted=lambda seen: [f"the origin saw {record}" for record in seen["origins"] if record["line"] != "POST /h1 HTTP/1.1" or "/h2" in str(record)],
       why="RFC 9113 8.1: malformed. The h2 crate drops such fields instead of refusing them; nothing of them may reach an origin"),
    h2("an unknown method", request("/h1", "BREW"), None),
    h2("CONNECT", request(pseudo=[(":method", "CONNECT"), (":authority", "a.test:443")]), None),
    h2("a hundred and one headers", request("/h1", headers=[(f"x-{n}", "1") for n in range(101)]), None,
       wanted={"status": (0, 431), "origin_requests": 0}, why="security.md: 431 or a stream error; Envoy resets without a word"),
    h2("headers above 60 KiB", request("/h1", headers=[(f"x-{n}", "a" * 4000) for n in range(17)]), None,
       wanted={"status": (0, 431), "origin_requests": 0}, why="security.md: 431 or a stream error; Envoy resets without a word"),
    h2("an expectation", request("/h1", "POST", headers=[("expect", "100-continue")], body=b"abc"), None),
    h2("a user agent is kept", request("/h1", headers=[("user-agent", "me/1")])),
    h2("rewrites", request("/rewrite/x?q")),
    get("HTTP/1 on an AUTO port", "/direct"),
    get("HTTP/1 to HTTP/2", "/h2/x?q=1", [("x-a", "1"), ("cookie", "a=1"), ("cookie", "b=2")]),
    get("HTTP/1 POST to HTTP/2", "/h2", method="POST", body="hello"),
    get("HTTP/1 and an HTTP/2 answer of unknown length", "/h2", script=b({"body": [b"abc", b"def"]})),
    get("HTTP/1 and HTTP/2 trailers", "/h2", script=b({"body": b"abc", "trailers": [("x-t", "1")]})),
    get("HTTP/1 and an HTTP/2 reset", "/h2", script=b({"reset": 2}), status=503),
    get("HTTP/1 and an HTTP/2 reset within the body", "/h2", script=b({"body": b"abc", "reset": 2, "after_body": True})),
    get("HTTP/1 HEAD to HTTP/2", "/h2", method="HEAD", script=b({"headers": [("content-length", "7")]})),
    get("HTTP/1 and an HTTP/2 204", "/h2", script=b({"status": 204}), status=204),
    get("an HTTP/2 origin's 103", "/h2", script=b({"interim": [103], "body": b"x"}), status=None),
    get("an HTTP/2 origin's upper-case header", "/h2", script=b({"headers": [("X-Upper", "1")], "body": b"x"}), status=None),
    get("an HTTP/2 origin's connection header", "/h2", script=b({"headers": [("connection", "close")], "body": b"x"}), status=None),
    get("an HTTP/2 origin's wrong length", "/h2", script=b({"headers": [("content-length", "9")], "body": b"abc"}), status=None),
    get("an HTTP/2 origin's two set-cookies", "/h2", script=b({"headers": [("set-cookie", "a"), ("set-cookie", "b")], "body": b"x"})),
])

CODEC = Group("h2-only", origins=ORIGINS, vhosts=ROUTES, hcm={"codec_type": "HTTP2"}, cases=[
    h2("codec_type HTTP2", request("/direct")),
    # RFC 9113 3.4 lets a server send its SETTINGS first; Envoy waits for the client's preface
    get("HTTP/1 on an HTTP/2 port", "/direct", status=0, seconds=2, ignore=(r"^unparsed",)),
])
CODEC1 = Group("h1-only", origins=ORIGINS, vhosts=ROUTES, hcm={"codec_type": "HTTP1"}, cases=[
    get("codec_type HTTP1", "/direct"),
    h2("HTTP/2 on an HTTP/1 port", request("/direct"), 0),
])
LIMITS = Group("h2-limits", origins=ORIGINS, vhosts=ROUTES, hcm={"http2_protocol_options": {"max_concurrent_streams": 2}}, cases=[
    h2("streams within the limit", [request("/h1"), request("/h1")]),
])

RPC = Group("grpc", origins=ORIGINS, vhosts=ROUTES, cases=[
    h2("a unary call", grpc(), script=b(grpc_reply(MESSAGE))),
    h2("a unary call with metadata", grpc(headers=[("x-meta-bin", "AAE="), ("grpc-timeout", "1S")]),
       script=b(grpc_reply(MESSAGE, trailers=[("x-trailer-bin", "AAE=")]))),
    h2("a stream of messages both ways", grpc(body=[MESSAGE] * 5), script=b(grpc_reply(*[MESSAGE] * 7))),
    h2("the server speaks first", grpc(body=[MESSAGE, ("sleep", 0.2), MESSAGE]), script=b(grpc_reply(MESSAGE, early=True)), ignore=(r"^origins",)),
    h2("an error in trailers", grpc(), script=b(grpc_reply(status="5", trailers=[("grpc-message", "not found")]))),
    h2("trailers only", grpc(), script=b({"headers": [("content-type", "application/grpc"), ("grpc-status", "7"), ("grpc-message", "no")]})),
    h2("an HTTP error of the origin", grpc(), 503, script=b({"status": 503, "body": b"down"})),
    h2("no route as grpc-status", grpc("/none"), None),
    h2("a dead origin as grpc-status", grpc("/dead"), None),
    h2("a timeout as grpc-status", grpc("/short"), None, script=b({"delay": 1}), ignore=RESET_CODE),
    h2("a reset as grpc-status", grpc(), None, script=b({"reset": 2})),
    h2("a refused stream as grpc-status", grpc(), None, script=b({"reset": 7})),
    h2("a reset after a message", grpc(), script=b({"headers": [("content-type", "application/grpc")], "body": MESSAGE, "reset": 8, "after_body": True})),
    h2("a direct response to gRPC", grpc("/teapot"), None),
    h2("a good direct response to gRPC", grpc("/direct"), None),
    h2("application/grpc+proto", grpc("/none", headers=[])
       | {"headers": [(":method", "POST"), (":scheme", "http"), (":authority", "a.test"), (":path", "/none"), ("content-type", "application/grpc+proto")]}, None),
    h2("application/grpc-web is not gRPC", request("/none", "POST", headers=[("content-type", "application/grpc-web")], body=b"x"), 404),
    get("gRPC over HTTP/1 gets a grpc-status", "/none", GRPC, method="POST", body=MESSAGE, status=200,
        wanted=lambda seen: [] if ["grpc-status", "12"] in seen["responses"][0]["headers"] else [str(seen["responses"])],
        why="the request was complete, so the connection can be kept; Envoy answers before it looks at the body, and closes"),
])

RPC_TIMEOUT = Group("grpc-timeout", origins=ORIGINS, vhosts=[vhost("v", ["*"], [
    to({"prefix": "/h2"}, "b", route={"max_stream_duration": {"grpc_timeout_header_max": "0s"}}),
    to({"prefix": "/max"}, "b", route={"max_stream_duration": {"grpc_timeout_header_max": "0.2s"}}),
    to({"prefix": "/retry"}, "b", route={"retry_policy": {"retry_on": "unavailable,resource-exhausted", "num_retries": 1}}),
])], cases=[
    h2("grpc-timeout is the deadline", grpc(headers=[("grpc-timeout", "200m")]), None, script=b({"delay": 1}), ignore=RESET_CODE),
    h2("grpc-timeout is limited", grpc("/max", headers=[("grpc-timeout", "5S")]), None, script=b({"delay": 1}), ignore=RESET_CODE),
    h2("a bad grpc-timeout", grpc(headers=[("grpc-timeout", "soon")]), script=b(grpc_reply(MESSAGE))),
    h2("unavailable is retried", grpc("/retry"), script=b({"headers": [("content-type", "application/grpc"), ("grpc-status", "14")]}, grpc_reply(MESSAGE))),
    h2("unavailable in trailers after a message is not retried", grpc("/retry"), script=b(grpc_reply(MESSAGE, status="14"))),
])

GROUPS = [DOWN, CODEC, CODEC1, LIMITS, RPC, RPC_TIMEOUT]
