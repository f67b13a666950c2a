"""Headers added, changed and removed at every level, and the forwarding headers of the connection manager."""

from harness.config import says, to, vhost

from differential.case import Group, get


def add(key, value, action=None, **fields):
    one = {"header": {"key": key, "value": value}, **fields}
    if action:
        one["append_action"] = action
    return one


def origin_answers(*headers, body=b"ok", status="200 OK"):
    lines = [f"HTTP/1.1 {status}", *headers, f"content-length: {len(body)}"]
    return [["\r\n".join(lines).encode() + b"\r\n\r\n" + body]]


OVERWRITE, IF_ABSENT = "OVERWRITE_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT"
APPEND, ONLY_OVERWRITE = "APPEND_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS"

FORMATS = {
    "protocol": "%PROTOCOL%", "request-header": "%REQ(x-in)%", "missing": "%REQ(x-none)%", "fallback": "%REQ(x-none?x-in)%",
    "cut": "%REQ(x-in):2%", "path": "%REQ(:path)%", "method": "%REQ(:METHOD)%", "authority": "%REQ(:authority)%",
    "percent": "100%%", "address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "local": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "local-port": "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "two": "<%PROTOCOL%|%REQ(x-in)%>", "route": "%ROUTE_NAME%",
    "cluster": "%UPSTREAM_CLUSTER%", "vcluster": "%VIRTUAL_CLUSTER_NAME%", "host": "%HOSTNAME%",
    "metadata": "%METADATA(ROUTE:ours:key)%",
}
FORMATS.pop("host")

LEVELS = Group("headers-levels", origins={"a": "h1", "b": "h1"}, hcm={"server_header_transformation": "OVERWRITE"}, route_config={
    "request_headers_to_add": [add("x-level", "config"), add("x-config", "1")],
    "response_headers_to_add": [add("x-level", "config"), add("x-config", "1")],
    "request_headers_to_remove": ["x-drop-config"], "response_headers_to_remove": ["x-drop-config"],
}, vhosts=[vhost("v", ["*"], [
    to({"prefix": "/route"}, "a", request_headers_to_add=[add("x-level", "route")], response_headers_to_add=[add("x-level", "route")],
       request_headers_to_remove=["x-drop-route"], response_headers_to_remove=["x-drop-route"]),
    to({"prefix": "/weighted"}, None, route={"weighted_clusters": {"clusters": [
        {"name": "a", "weight": 1, "request_headers_to_add": [add("x-level", "weighted")],
         "response_headers_to_add": [add("x-level", "weighted")], "request_headers_to_remove": ["x-drop-weighted"],
         "response_headers_to_remove": ["x-drop-weighted"]}]}}),
    to({"prefix": "/overwrite"}, "a", request_headers_to_add=[add("x-level", "route", OVERWRITE)],
       response_headers_to_add=[add("x-level", "route", OVERWRITE)]),
    says({"prefix": "/direct"}, "ok", response_headers_to_add=[add("x-level", "route")]),
    to({"prefix": "/"}, "a"),
], request_headers_to_add=[add("x-level", "vhost")], response_headers_to_add=[add("x-level", "vhost")],
    request_headers_to_remove=["x-drop-vhost"], response_headers_to_remove=["x-drop-vhost"])], cases=[
    get("all levels append, the most specific first", "/route", [("x-level", "client"), ("x-drop-config", "1"), ("x-drop-route", "1"),
                                                                 ("x-drop-vhost", "1"), ("x-keep", "1")],
        script=origin_answers("x-level: origin", "x-drop-config: 1", "x-drop-route: 1", "x-drop-vhost: 1", "x-keep: 1")),
    get("weighted cluster level", "/weighted", [("x-drop-weighted", "1")], script=origin_answers("x-drop-weighted: 1")),
    get("overwriting at one level while others append", "/overwrite", [("x-level", "client")], script=origin_answers("x-level: origin")),
    get("levels on a direct response", "/direct"),
    get("host and configuration levels", "/", script=origin_answers("x-level: origin")),
    get("levels on a 404 of the origin", "/route", script=origin_answers(status="404 Not Found"), status=404),
])

MOST_SPECIFIC = Group("headers-most-specific", route_config={
    "most_specific_header_mutations_wins": True, "request_headers_to_add": [add("x-level", "config", OVERWRITE)],
    "response_headers_to_add": [add("x-level", "config", OVERWRITE)],
}, vhosts=[vhost("v", ["*"], [to({"prefix": "/"}, "a", request_headers_to_add=[add("x-level", "route", OVERWRITE)],
                                 response_headers_to_add=[add("x-level", "route", OVERWRITE)])])], cases=[
    get("most_specific_header_mutations_wins lets the route win", "/"),
])
LEAST_SPECIFIC = Group("headers-least-specific", route_config={
    "request_headers_to_add": [add("x-level", "config", OVERWRITE)], "response_headers_to_add": [add("x-level", "config", OVERWRITE)],
}, vhosts=[vhost("v", ["*"], [to({"prefix": "/"}, "a", request_headers_to_add=[add("x-level", "route", OVERWRITE)],
                                 response_headers_to_add=[add("x-level", "route", OVERWRITE)])])], cases=[
    get("without it the configuration wins", "/"),
])

ACTIONS = Group("headers-actions", vhosts=[vhost("v", ["*"], [
    to({"prefix": "/append"}, "a", request_headers_to_add=[add("x-h", "new", APPEND)], response_headers_to_add=[add("x-h", "new", APPEND)]),
    to({"prefix": "/absent"}, "a", request_headers_to_add=[add("x-h", "new", IF_ABSENT)], response_headers_to_add=[add("x-h", "new", IF_ABSENT)]),
    to({"prefix": "/overwrite"}, "a", request_headers_to_add=[add("x-h", "new", OVERWRITE)], response_headers_to_add=[add("x-h", "new", OVERWRITE)]),
    to({"prefix": "/only"}, "a", request_headers_to_add=[add("x-h", "new", ONLY_OVERWRITE)], response_headers_to_add=[add("x-h", "new", ONLY_OVERWRITE)]),
    to({"prefix": "/legacy"}, "a", request_headers_to_add=[{"header": {"key": "x-h", "value": "new"}, "append": False}]),
    to({"prefix": "/keep-empty"}, "a", request_headers_to_add=[add("x-e", "%REQ(x-none)%", keep_empty_value=True)]),
    to({"prefix": "/no-empty"}, "a", request_headers_to_add=[add("x-e", "%REQ(x-none)%")]),
    to({"prefix": "/empty"}, "a", request_headers_to_add=[add("x-e", "")]),
    to({"prefix": "/case"}, "a", request_headers_to_add=[add("X-Upper", "V")], response_headers_to_add=[add("X-Upper", "V")]),
    to({"prefix": "/remove"}, "a", request_headers_to_remove=["x-h", "X-Upper", "user-agent"], response_headers_to_remove=["x-h", "server"]),
    to({"prefix": "/remove-add"}, "a", request_headers_to_remove=["x-h"], request_headers_to_add=[add("x-h", "new")]),
    to({"prefix": "/formats"}, "a", name="named", metadata={"filter_metadata": {"ours": {"key": "meta"}}},
       request_headers_to_add=[add(f"x-{name}", value) for name, value in FORMATS.items()],
       response_headers_to_add=[add("x-code", "%RESPONSE_CODE%"), add("x-from-origin", "%RESP(x-origin)%"), add("x-flags", "%RESPONSE_FLAGS%"),
                                add("x-path", "%REQ(:path)%"), add("x-cluster", "%UPSTREAM_CLUSTER%"),
                                add("x-upstream", "%UPSTREAM_REMOTE_ADDRESS%"), add("x-details", "%RESPONSE_CODE_DETAILS%"),
                                add("x-route", "%ROUTE_NAME%")]),
    to({"prefix": "/dead"}, "dead", response_headers_to_add=[add("x-flags", "%RESPONSE_FLAGS%"), add("x-details", "%RESPONSE_CODE_DETAILS%"),
                                                             add("x-h", "added")]),
])], cases=[
    get("append to nothing", "/append"),
    get("append to a line", "/append", [("x-h", "old")], script=origin_answers("x-h: old")),
    get("append to two lines", "/append", [("x-h", "old"), ("x-h", "older")], script=origin_answers("x-h: old", "x-h: older")),
    get("add if absent: it is", "/absent"),
    get("add if absent: it is not", "/absent", [("x-h", "old")], script=origin_answers("x-h: old")),
    get("overwrite or add: nothing there", "/overwrite"),
    get("overwrite or add: two lines", "/overwrite", [("x-h", "old"), ("x-h", "older")], script=origin_answers("x-h: old", "x-h: older")),
    get("overwrite only: nothing there", "/only"),
    get("overwrite only: a line", "/only", [("x-h", "old")], script=origin_answers("x-h: old")),
    get("append false is overwrite", "/legacy", [("x-h", "old")]),
    get("an empty value is kept when asked", "/keep-empty"),
    get("an empty value is dropped", "/no-empty"),
    get("an empty literal is dropped", "/empty"),
    get("an upper-case key is sent in lower case", "/case"),
    get("headers are removed", "/remove", [("x-h", "1"), ("X-UPPER", "1"), ("user-agent", "me")], script=origin_answers("x-h: 1", "Server: mine")),
    get("removal goes before addition", "/remove-add", [("x-h", "old")]),
    get("formatters in headers", "/formats?q=1", [("x-in", "value")]),
    get("formatters without their source", "/formats"),
    get("formatters on a local reply", "/dead", status=503),
])

HOP_BY_HOP = ("keep-alive", "proxy-connection", "connection", "x-mine", "te", "upgrade")


def lacks(seen, names):
    """What of `names` the first response has."""
    return [f"the client got {name}" for name, _ in seen["responses"][0]["headers"] if name in names]


SPECIAL = Group("headers-hop-by-hop", vhosts=[vhost("v", ["*"], [to({"prefix": "/"}, "a")])], cases=[
    get("hop-by-hop request headers are removed", headers=[("keep-alive", "300"), ("proxy-connection", "keep-alive"), ("te", "gzip")]),
    get("te trailers is passed on", headers=[("te", "trailers")], status=None),
    get("te trailers among others", headers=[("te", "gzip, trailers")], status=None),
    get("what Connection nominates", headers=[("connection", "x-mine, keep-alive"), ("x-mine", "1"), ("x-other", "2")], status=None),
    get("Connection may not nominate the host", headers=[("connection", "host")], status=None),
    get("Connection may not nominate a forwarding header", headers=[("connection", "x-forwarded-for, x-forwarded-proto")], status=None),
    get("hop-by-hop response headers are removed", script=origin_answers("keep-alive: 5", "proxy-connection: x", "connection: x-mine", "x-mine: 1",
                                                                          "te: x", "upgrade: foo"), wanted=lambda seen: lacks(seen, HOP_BY_HOP),
        why="RFC 9110 7.6.1: what Connection names ends here; Envoy passes it on, and te, which responses do not have"),
    get("proxy-authenticate is passed on", script=origin_answers("proxy-authenticate: Basic", "www-authenticate: Basic")),
    get("several cookies stay several", headers=[("cookie", "a=1"), ("cookie", "b=2")]),
    get("several set-cookies stay several", script=origin_answers("set-cookie: a=1", "set-cookie: b=2")),
    get("header names are sent in lower case", headers=[("X-MiXeD", "Value")], script=origin_answers("X-MiXeD: Value")),
    get("an empty header", headers=[("x-empty", "")], script=origin_answers("x-empty:")),
    get("bytes above 127 in a value", headers=[("x-high", "caf\xe9")], script=origin_answers("x-high: caf")),
    get("a tab in a value", headers=[("x-tab", "a\tb")]),
    get("an origin's date and server", script=origin_answers("date: Fri, 20 Nov 2026 08:00:00 GMT", "server: mine")),
    get("a user agent and a via", headers=[("user-agent", "me/1"), ("via", "1.1 earlier")], script=origin_answers("via: 1.1 later")),
    get("an underscore in a name", headers=[("x_y", "1")]),
    get("many headers", headers=[(f"x-{index}", "v" * 20) for index in range(90)]),
])

UNDERSCORE_REJECT = Group("headers-underscore-reject", hcm={"common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"}},
                          vhosts=[vhost("v", ["*"], [to({"prefix": "/"}, "a")])], cases=[
    get("a name with an underscore is refused", headers=[("x_y", "1")], status=400),
    get("an underscore in a value is fine", headers=[("x-y", "_")]),
])
UNDERSCORE_DROP = Group("headers-underscore-drop", hcm={"common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"}},
                        vhosts=[vhost("v", ["*"], [to({"prefix": "/"}, "a")])], cases=[
    get("a name with an underscore is dropped", headers=[("x_y", "1"), ("x-y", "2")]),
])


def forwarding(name, cases, **hcm):
    return Group(name, hcm=hcm, vhosts=[vhost("v", ["*"], [
        says({"prefix": "/direct"}, "ok"), to({"prefix": "/"}, "a")])], cases=cases)


INTERNAL = [("x-envoy-internal", "true"), ("x-envoy-expected-rq-timeout-ms", "10"), ("x-envoy-external-address", "9.9.9.9"),
            ("x-envoy-downstream-service-cluster", "c"), ("x-envoy-force-trace", "true"), ("x-envoy-decorator-operation", "op"),
            ("x-envoy-ip-tags", "t"), ("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "1"), ("x-envoy-upstream-alt-stat-name", "s"),
            ("x-envoy-upstream-rq-timeout-ms", "5000"), ("x-envoy-unknown", "1")]

XFF = forwarding("forwarded-plain", [
    get("defaults: nothing is set", "/"),
    get("defaults: an address is kept", "/", [("x-forwarded-for", "1.2.3.4")]),
    get("defaults: a protocol is kept", "/", [("x-forwarded-proto", "https")]),
    get("defaults: a wrong protocol", "/", [("x-forwarded-proto", "gopher")]),
    get("defaults: internal headers", "/", INTERNAL),
    get("a request id is kept", "/", [("x-request-id", "mine")]),
    get("an external address and internal headers", "/", [("x-forwarded-for", "8.8.8.8"), *INTERNAL]),
    get("a private address and internal headers", "/", [("x-forwarded-for", "10.0.0.1"), *INTERNAL]),
])
XFF_EDGE = forwarding("forwarded-edge", [
    get("edge: the address is set", "/"),
    get("edge: the address is appended", "/", [("x-forwarded-for", "1.2.3.4")]),
    get("edge: two lines of addresses", "/", [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "5.6.7.8")]),
    get("edge: a protocol", "/", [("x-forwarded-proto", "https")]),
    get("edge: internal headers", "/", INTERNAL),
    get("edge: a request id is replaced", "/", [("x-request-id", "mine")]),
    get("edge: x-forwarded-host is kept", "/", [("x-forwarded-host", "h"), ("x-forwarded-port", "1"), ("forwarded", "for=1.1.1.1")]),
], use_remote_address=True)
XFF_HOPS = forwarding("forwarded-hops", [
    get("one hop: the address before is trusted", "/", [("x-forwarded-for", "1.2.3.4, 5.6.7.8")]),
    get("one hop: a protocol is trusted", "/", [("x-forwarded-proto", "https"), ("x-forwarded-for", "1.2.3.4")]),
    get("one hop: internal headers from a private address", "/", [("x-forwarded-for", "10.0.0.1"), *INTERNAL]),
    get("one hop: internal headers from a public address", "/", [("x-forwarded-for", "8.8.8.8"), *INTERNAL]),
    get("one hop: no address", "/"),
], use_remote_address=True, xff_num_trusted_hops=1)
XFF_SKIP = forwarding("forwarded-skip", [
    get("skip_xff_append", "/", [("x-forwarded-for", "1.2.3.4")]),
    get("skip_xff_append without an address", "/"),
], use_remote_address=True, skip_xff_append=True)
REQUEST_ID = forwarding("request-id", [
    get("preserve_external_request_id", "/", [("x-request-id", "mine")]),
    get("always_set_request_id_in_response", "/direct"),
    get("an id of the client in the response", "/direct", [("x-request-id", "mine")]),
], use_remote_address=True, preserve_external_request_id=True, always_set_request_id_in_response=True)
NO_ID = forwarding("request-id-off", [
    get("generate_request_id false", "/"),
    get("generate_request_id false keeps a client's", "/", [("x-request-id", "mine")]),
], generate_request_id=False)
VIA = forwarding("via", [
    get("via is set", "/"),
    get("via is appended", "/", [("via", "1.1 before")], script=origin_answers("via: 1.1 origin")),
], via="edge")
SERVER_NAME = forwarding("server-name", [
    get("server_name", "/direct"),
    get("server_name over the origin's", "/", script=origin_answers("server: mine")),
], server_name="ours")
SERVER_ABSENT = forwarding("server-if-absent", [
    get("APPEND_IF_ABSENT with the origin's", "/", script=origin_answers("server: mine")),
    get("APPEND_IF_ABSENT without one", "/"),
    get("APPEND_IF_ABSENT on an own answer", "/direct"),
], server_header_transformation="APPEND_IF_ABSENT")
SERVER_PASS = forwarding("server-pass", [
    get("PASS_THROUGH with the origin's", "/", script=origin_answers("server: mine")),
    get("PASS_THROUGH without one", "/"),
    get("PASS_THROUGH on an own answer", "/direct"),
], server_header_transformation="PASS_THROUGH")

SECRETS = ["x-envoy-original-dst-host", "x-envoy-attempt-count", "x-envoy-peer-metadata", "x-envoy-peer-metadata-id"]


def keeps_out(name):
    """A check that the origin did not get the client's value."""
    def check(seen):
        return [f"the origin saw {field}" for record in seen["origins"] for field in record["headers"] if field == [name, "10.0.0.9:1"]]
    return check


EDGE_SECRETS = Group("headers-internal", hcm={"use_remote_address": True}, vhosts=[vhost("v", ["*"], [to({"prefix": "/"}, "a")])], cases=[
    get(f"a client may not set {name}", headers=[(name, "10.0.0.9:1")], wanted=keeps_out(name),
        why="security.md: internal headers of an untrusted peer are not passed on") for name in SECRETS
])

GROUPS = [LEVELS, MOST_SPECIFIC, LEAST_SPECIFIC, ACTIONS, SPECIAL, UNDERSCORE_REJECT, UNDERSCORE_DROP, XFF, XFF_EDGE, XFF_HOPS, XFF_SKIP,
          REQUEST_ID, NO_ID, VIA, SERVER_NAME, SERVER_ABSENT, SERVER_PASS, EDGE_SECRETS]
