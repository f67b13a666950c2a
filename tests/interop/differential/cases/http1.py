"""The edges of HTTP/1 on the client's side: framing, hosts, versions, pipelines, continue, upgrades."""

from harness.config import says, to, vhost
from harness.origin_h1 import reply

from differential.case import Group, get, raw, request

ROUTES = [vhost("v", ["*"], [says({"prefix": "/direct"}, "ok"), to({"prefix": "/"}, "a")])]
HEAD = b"GET / HTTP/1.1\r\nHost: a.test\r\n"


def post(*lines, body=b"", path=b"/"):
    return b"POST " + path + b" HTTP/1.1\r\nHost: a.test\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked"
STRICT = {"status": 400, "origin_requests": 0}

# After a refused message Envoy closes late; a second for each case would be most of the run.
SOON = {"delayed_close_timeout": "0.1s"}

FRAMING = Group("h1-framing", hcm=SOON, vhosts=ROUTES, cases=[
    raw("a chunked body", post(CHUNKED, body=b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")),
    raw("chunk extensions are not passed on", post(CHUNKED, body=b"3;x=y\r\nabc\r\n0;z\r\n\r\n")),
    raw("trailers are dropped by default", post(CHUNKED, b"Trailer: x-t", body=b"3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n")),
    raw("an upper-case chunk size", post(CHUNKED, body=b"A\r\n0123456789\r\n0\r\n\r\n")),
    raw("a chunk size of no digits", post(CHUNKED, body=b"\r\nabc\r\n0\r\n\r\n"), 400, ignore=(r"^origins",)),
    raw("a chunk size that is no number", post(CHUNKED, body=b"zz\r\nabc\r\n0\r\n\r\n"), 400, ignore=(r"^origins",)),
    raw("a negative chunk size", post(CHUNKED, body=b"-1\r\nabc\r\n0\r\n\r\n"), 400, ignore=(r"^origins",)),
    raw("a chunk size above 64 bits", post(CHUNKED, body=b"1ffffffffffffffff\r\nabc\r\n"), 400, ignore=(r"^origins",)),
    raw("a chunk longer than it says", post(CHUNKED, body=b"3\r\nabcd\r\n0\r\n\r\n"), None, wanted={"status": 400}, why="a strict parser: Envoy skips to the line's end"),
    raw("a chunk that ends in a bare LF", post(CHUNKED, body=b"3\nabc\n0\n\n"), None, settle=0.3, seconds=2, ignore=(r"^origins",)),
    raw("Transfer-Encoding: Chunked in another case", post(b"Transfer-Encoding: Chunked", body=b"3\r\nabc\r\n0\r\n\r\n"), None),
    raw("two codings", post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), None),
    raw("an unknown coding is 501", post(b"Transfer-Encoding: rot13", body=b"abc"), 501),
    raw("the coding identity", post(b"Transfer-Encoding: identity", body=b"abc"), None),
    raw("two Transfer-Encoding lines", post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"), None),
    raw("chunked twice in a line", post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), None),
    raw("Content-Length beside Transfer-Encoding", post(CHUNKED, b"Content-Length: 3", body=b"0\r\n\r\n"), 400),
    raw("two lengths that differ", post(b"Content-Length: 3", b"Content-Length: 4", body=b"abcd"), 400),
    raw("two lengths that agree", post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"), None, wanted={"status": (200, 400)}, why="either is safe"),
    raw("a list of equal lengths", post(b"Content-Length: 3, 3", body=b"abc"), None, wanted={"status": (200, 400)}, why="either is safe"),
    raw("an empty length", post(b"Content-Length:", body=b"abc"), 400),
    raw("a negative length", post(b"Content-Length: -3", body=b"abc"), 400),
    raw("a length with a plus", post(b"Content-Length: +3", body=b"abc"), 400),
    raw("a hexadecimal length", post(b"Content-Length: 0x3", body=b"abc"), 400),
    raw("a length above 64 bits", post(b"Content-Length: 99999999999999999999", body=b"abc"), 400),
    raw("a length on a GET", HEAD + b"Content-Length: 3\r\n\r\nabc"),
    raw("a GET with a chunked body", HEAD + CHUNKED + b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    raw("a POST without a body", post(b"Content-Length: 0")),
    raw("a POST without a length", post()),
    raw("a large body", post(b"Content-Length: 300000", body=b"x" * 300_000)),
    raw("a large body to a route that answers itself", post(b"Content-Length: 300000", body=b"x" * 300_000, path=b"/direct")),
    raw("a body that stops short", [post(b"Content-Length: 10", body=b"abc"), "eof"], None, seconds=1, ignore=(r"^origins",)),
])

HEADS = Group("h1-heads", hcm=SOON, vhosts=ROUTES, cases=[
    raw("no Host is 400", b"GET / HTTP/1.1\r\n\r\n", 400),
    raw("two Hosts", b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", None, wanted=STRICT, why="security.md: Envoy merges them"),
    raw("two equal Hosts", b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", None, wanted=STRICT, why="security.md: one Host"),
    raw("userinfo in Host", b"GET / HTTP/1.1\r\nHost: u@a.test\r\n\r\n", None, wanted=STRICT, why="security.md: Envoy accepts it"),
    raw("a bad port in Host", b"GET / HTTP/1.1\r\nHost: a.test:99999\r\n\r\n", None, wanted=STRICT, why="security.md: Envoy accepts it"),
    raw("a word as port in Host", b"GET / HTTP/1.1\r\nHost: a.test:http\r\n\r\n", None, wanted=STRICT, why="security.md: Envoy accepts it"),
    raw("a space in Host", b"GET / HTTP/1.1\r\nHost: a .test\r\n\r\n", 400),
    raw("a slash in Host", b"GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n", None),
    raw("obs-fold", HEAD + b"X: a\r\n b\r\n\r\n", 200, wanted=STRICT, why="security.md: no obs-fold"),
    raw("a space before the colon", HEAD + b"X : a\r\n\r\n", 400),
    raw("an empty name", HEAD + b": a\r\n\r\n", 400),
    raw("no colon", HEAD + b"Xa\r\n\r\n", 400),
    raw("a NUL in a value", HEAD + b"X: a\0b\r\n\r\n", 400),
    raw("a bare CR in a value", HEAD + b"X: a\rb\r\n\r\n", 200, wanted=STRICT, why="security.md: no bare CR"),
    raw("a bare LF as line end", b"GET / HTTP/1.1\nHost: a.test\n\n", None, seconds=2, wanted=STRICT, why="security.md: no bare LF"),
    raw("a control character in a value", HEAD + b"X: a\x01b\r\n\r\n", 400),
    raw("a DEL in a value", HEAD + b"X: a\x7fb\r\n\r\n", None),
    raw("a parenthesis in a name", HEAD + b"X(y): a\r\n\r\n", 400),
    raw("a byte above 127 in a name", HEAD + b"X\xe9: a\r\n\r\n", 400),
    raw("blank lines before the request", b"\r\n\r\n" + request(), None, methods=["GET"]),
    raw("a lower-case method", b"get / HTTP/1.1\r\nHost: a.test\r\n\r\n", None),
    raw("an unknown method", b"BREW / HTTP/1.1\r\nHost: a.test\r\n\r\n", None),
    raw("PATCH and its like", b"PROPFIND / HTTP/1.1\r\nHost: a.test\r\n\r\n", None),
    raw("a method with a bad character", b"GE(T / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    raw("TRACE", b"TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n", None),
    raw("no version", b"GET /\r\n\r\n", None),
    raw("HTTP/2.0 in a request line", b"GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", None),
    raw("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a.test\r\n\r\n", None),
    raw("HTTP/0.9 as a version", b"GET / HTTP/0.9\r\nHost: a.test\r\n\r\n", None),
    raw("http/1.1 in lower case", b"GET / http/1.1\r\nHost: a.test\r\n\r\n", 400),
    raw("two spaces in the request line", b"GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n", None, wanted=STRICT, why="RFC 9112 3: one space"),
    raw("a tab in the request line", b"GET\t/\tHTTP/1.1\r\nHost: a.test\r\n\r\n", 200, wanted=STRICT, why="RFC 9112 3: a strict parser"),
    raw("a space in the path", b"GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    raw("a path without a slash", b"GET path HTTP/1.1\r\nHost: a.test\r\n\r\n", None),
    raw("a byte above 127 in the path", b"GET /caf\xe9 HTTP/1.1\r\nHost: a.test\r\n\r\n", None),
    raw("odd characters in the path", b"GET /a|b\"<>^`{}\\ HTTP/1.1\r\nHost: a.test\r\n\r\n", None,
        wanted=lambda seen: [] if [one["line"] for one in seen["origins"]] == ["GET /a|b%22%3C%3E^%60{}\\ HTTP/1.1"] else [str(seen["origins"])],
        why="RFC 3986 forbids them in a URI; Envoy passes all on, we encode those that another parser may stumble over"),
    raw("a fragment in the path", b"GET /a#b HTTP/1.1\r\nHost: a.test\r\n\r\n", None),
    raw("an absolute target", b"GET http://a.test/abs?q HTTP/1.1\r\nHost: other.test\r\n\r\n", None),
    raw("an absolute target of https", b"GET https://a.test/abs HTTP/1.1\r\nHost: a.test\r\n\r\n", None),
    raw("an absolute target without a path", b"GET http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n", None),
    raw("an absolute target without a Host", b"GET http://a.test/ HTTP/1.1\r\n\r\n", None),
    raw("CONNECT without a route", b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", None),
    raw("CONNECT with a path", b"CONNECT / HTTP/1.1\r\nHost: a.test\r\n\r\n", None),
    raw("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", None),
    raw("GET *", b"GET * HTTP/1.1\r\nHost: a.test\r\n\r\n", None),
    raw("a head of 60 KiB is 431", HEAD + b"X: " + b"a" * 61_500 + b"\r\n\r\n", 431),
    raw("a head just below 60 KiB", HEAD + b"X: " + b"a" * 60_000 + b"\r\n\r\n"),
    raw("101 headers are 431", HEAD + b"".join(b"x-%d: 1\r\n" % n for n in range(101)) + b"\r\n", 431),
    raw("a long path", b"GET /" + b"p" * 8000 + b" HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    raw("the HTTP/2 preface on an HTTP/1 route", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None, methods=["PRI"], seconds=2,
        ignore=(r"^unparsed",)),  # both answer with SETTINGS, of their own values
    raw("TLS on a cleartext port", b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" + b"\x00" * 60, None, methods=["GET"], seconds=2),
])

KEEPING = Group("h1-connections", vhosts=ROUTES, hcm={"common_http_protocol_options": {"max_requests_per_connection": 3}}, cases=[
    raw("two requests one after the other", [request("/1"), ("until", b"\r\n\r\na"), request("/2")], expect=2),
    raw("two requests in one segment", request("/1") + request("/2"), expect=2),
    raw("a body and the next request in one segment", post(b"Content-Length: 3", body=b"abc") + request("/2"), expect=2, methods=["POST", "GET"]),
    raw("HEAD and GET in one segment", request("/1", method="HEAD") + request("/2"), expect=2, methods=["HEAD", "GET"]),
    raw("a slow first answer keeps the order", request("/1") + request("/direct"), expect=2, script=[[("sleep", 0.3), *reply()]]),
    raw("the last allowed request closes", request("/1") + request("/2") + request("/3") + request("/4"), expect=4, seconds=2),
    raw("connection: close", request(headers=[("connection", "close")])),
    raw("connection: Close in another case", request(headers=[("connection", "Close")])),
    raw("connection: close in a list", request(headers=[("connection", "x, close")])),
    raw("connection: keep-alive", request(headers=[("connection", "keep-alive")])),
    raw("a bad second request", request("/1") + b"BAD\r\n\r\n", expect=2),
    raw("a half-closed client", [request(), "eof"], None),
    raw("a head in small pieces", [bytes([byte]) for byte in request("/pieces")]),
    raw("a body in pieces", [post(b"Content-Length: 4"), ("sleep", 0.05), b"ab", ("sleep", 0.05), b"cd"]),
    raw("proxy-connection: close", request(headers=[("proxy-connection", "close")]), None),
])

OLD = [
    raw("HTTP/1.0 is 426", b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", 426),
    raw("HTTP/1.0 with keep-alive is 426", b"GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n", 426),
]
TEN_OFF = Group("h1-http10-off", vhosts=ROUTES, cases=OLD)
TEN = Group("h1-http10", vhosts=ROUTES, hcm={"http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "default.test"}}, cases=[
    raw("HTTP/1.0 closes", b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n"),
    raw("HTTP/1.0 without a Host", b"GET / HTTP/1.0\r\n\r\n"),
    raw("HTTP/1.0 keeps alive when asked", b"GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n"),
    raw("HTTP/1.0 and an answer of unknown length", b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n",
        script=[[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]]),
    raw("HTTP/1.0 with Transfer-Encoding", b"POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", None,
        wanted={"status": 400, "origin_requests": 0}, why="security.md row 13"),
    raw("HTTP/1.0 with a body", b"POST / HTTP/1.0\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc"),
    raw("a request line of HTTP/0.9", b"GET /\r\n\r\n", None, seconds=2, wanted={"status": (200, 400, 426)}, why="any safe answer"),
])

BODIES = Group("h1-answers", vhosts=ROUTES, cases=[
    raw("a chunked answer", request(), script=[[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]]),
    raw("a chunked answer with trailers", request(), script=[[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n"]]),
    raw("an answer without a body", request(), script=[reply(body=b"")]),
    raw("a 204", request(), 204, script=[[b"HTTP/1.1 204 No Content\r\n\r\n"]]),
    raw("a 304 with a length", request(), 304, script=[[b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\netag: x\r\n\r\n"]]),
    raw("HEAD with a length", request(method="HEAD"), script=[[b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"]]),
    raw("HEAD with chunked", request(method="HEAD"), script=[[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"]]),
    raw("HEAD without a length", request(method="HEAD"), script=[[b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n"]]),
    raw("a large answer", request(), script=[reply(body=b"y" * 500_000)]),
    raw("an answer in pieces", request(), script=[[b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab", ("sleep", 0.05), b"cd"]]),
    raw("a reason phrase is replaced", request(), script=[reply("200 Fine")]),
    raw("an unknown status", request(), 299, script=[reply("299 Strange")]),
    raw("a 5xx of the origin", request(), 599, script=[reply("599 Strange")]),
    raw("an answer without a reason", request(), script=[[b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n"]], status=None),
    raw("OPTIONS", request(method="OPTIONS")),
    raw("DELETE with a body", request(method="DELETE", body="abc")),
    raw("PUT", request(method="PUT", body="abc")),
])

TRAILERS = Group("h1-trailers", vhosts=ROUTES, hcm={"http_protocol_options": {"enable_trailers": True}}, clusters={
    "a": {"http_options": {"explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}}}, cases=[
    raw("trailers of a request", post(CHUNKED, body=b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n")),
    raw("trailers of an answer", request(), script=[[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"]]),
    raw("an empty trailer part", post(CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n")),
])

EXPECT = Group("h1-continue", vhosts=ROUTES, cases=[
    raw("100 is sent before the body", [post(b"Content-Length: 3", b"Expect: 100-continue"), ("until", b"100 Continue"), b"abc"]),
    raw("100-Continue in another case", [post(b"Content-Length: 3", b"Expect: 100-Continue"), ("until", b"100 Continue"), b"abc"]),
    raw("another expectation", post(b"Content-Length: 3", b"Expect: tea", body=b"abc"), None),
    raw("the body comes at once", post(b"Content-Length: 3", b"Expect: 100-continue", body=b"abc")),
    raw("Expect on a GET", request(headers=[("expect", "100-continue")]), None),
])
PROXY_100 = Group("h1-continue-proxied", vhosts=ROUTES, hcm={"proxy_100_continue": True}, cases=[
    raw("the origin's 100 is passed on", [post(b"Content-Length: 3", b"Expect: 100-continue"), ("until", b"100 Continue"), b"abc"],
        script=[["early", b"HTTP/1.1 100 Continue\r\n\r\n", ("sleep", 0.2), *reply()]]),
])

SOCKET = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("sec-websocket-version", "13")]
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
UPGRADES = Group("h1-upgrade", hcm={"upgrade_configs": [{"upgrade_type": "websocket"}]}, vhosts=ROUTES, cases=[
    raw("a websocket echoes", [request(headers=SOCKET), ("until", b"\r\n\r\n"), b"ping", ("sleep", 0.2)], 101, script=[[SWITCH, "echo"]]),
    raw("a websocket half-closes", [request(headers=SOCKET), ("until", b"\r\n\r\n"), b"ping", ("until", b"ping"), "eof"], 101, script=[[SWITCH, "echo"]],
        settle=0.5),
    raw("a refused websocket", request(headers=SOCKET), 403, script=[reply("403 Forbidden")]),
    raw("a websocket in other letters", [request(headers=[("Connection", "keep-alive, UPGRADE"), ("Upgrade", "WebSocket")]), ("sleep", 0.2)], None,
        script=[[SWITCH, "hold"]], settle=0.3, ignore=(r"^origins\[0\].headers.connection",)),  # Envoy passes the list on; ours says its own option
    raw("another protocol is refused", request(headers=[("connection", "upgrade"), ("upgrade", "foo")]), 403),
    raw("h2c is not taken", request(headers=[("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABkAAQAAP__")]), None),
    raw("a websocket to a route that answers itself", request("/direct", SOCKET), None),
    raw("upgrade without connection", request(headers=[("upgrade", "websocket")]), None),
    raw("payload is held until 101", request(headers=SOCKET) + b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n", 200, script=[reply("200 OK")],
        wanted=lambda seen: [f"the origin saw {record['line']}" for record in seen["origins"] if "smuggled" in record.get("line", "")],
        why="security.md row 11"),
])
UPGRADES_OFF = Group("h1-upgrade-off", vhosts=ROUTES, cases=[
    raw("a websocket without upgrade_configs is 403", request(headers=SOCKET), 403),
])

NORMAL = Group("h1-normalize", hcm={"normalize_path": True, "merge_slashes": True, "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT"}, vhosts=[
    vhost("v", ["*"], [says({"path": "/admin"}, "admin"), to({"prefix": "/"}, "a")])], cases=[
    get("dot segments are removed", "/x/../admin"),
    get("a dot segment at the end", "/x/."),
    get("encoded dots", "/x/%2e%2e/admin", status=None),
    get("slashes are merged", "//admin"),
    get("unreserved letters are decoded", "/%61dmin", status=None),
    get("an escaped slash redirects", "/x%2Fy", status=307),
    get("an escaped backslash", "/x%5Cy", status=None),
    get("a backslash", "/x\\..\\admin", status=None),
    get("above the root", "/../../admin", status=None),
    get("the query is not touched", "/admin?x=/../y//z%2F"),
    get("double encoding", "/%2561dmin", status=None),
    get("a bad escape", "/%zz", status=None),
    get("a semicolon", "/admin;x=y", status=None),
    get("an overlong slash", "/%c0%afadmin", status=None),
    get("an escape cut short", "/x%2", status=None),
    get("an escape of half a digit", "/x%2g/../y", status=None),
    get("an escaped NUL", "/x%00y", status=None),
    get("a small escape of a reserved letter", "/x%3a%3Fy", status=None),
    get("bytes above 127 in a path", "/caf\xe9/../x", status=None),
    get("dots that are no segments", "/..a/b../.c"),
])
ESCAPED_REJECT = Group("h1-escaped-reject", hcm={"path_with_escaped_slashes_action": "REJECT_REQUEST"}, vhosts=ROUTES, cases=[
    get("an escaped slash is refused", "/x%2Fy", status=400), get("an escaped slash in the query is fine", "/x?%2F"),
])
ESCAPED_FORWARD = Group("h1-escaped-forward", hcm={"path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD", "normalize_path": True}, vhosts=ROUTES, cases=[
    get("an escaped slash is unescaped", "/x%2Fy%5cz"),
])

GROUPS = [FRAMING, HEADS, KEEPING, TEN_OFF, TEN, BODIES, TRAILERS, EXPECT, PROXY_100, UPGRADES, UPGRADES_OFF, NORMAL, ESCAPED_REJECT, ESCAPED_FORWARD]
