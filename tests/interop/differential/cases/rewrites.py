"""What reaches the origin after rewrites, and where redirects point."""

from harness.config import says, to, vhost

from differential.case import Group, get


def regex(pattern, substitution):
    return {"pattern": {"regex": pattern}, "substitution": substitution}


def rewrite(prefix, **route):
    return to({"prefix": prefix}, "a", route=route)


def redirect(prefix, **fields):
    return {"match": {"prefix": prefix}, "redirect": fields}


REWRITES = Group("rewrites", vhosts=[vhost("v", ["*"], [
    rewrite("/old/", prefix_rewrite="/new/"),
    rewrite("/strip/", prefix_rewrite="/"),
    rewrite("/bare", prefix_rewrite="/"),
    to({"path_separated_prefix": "/sep"}, "a", route={"prefix_rewrite": "/other"}),
    to({"path": "/exactly"}, "a", route={"prefix_rewrite": "/replaced"}),
    to({"safe_regex": {"regex": "/by-regex/.*"}}, "a", route={"regex_rewrite": regex("^/by-regex/([^/]+)(/.*)$", r"\2/from/\1")}),
    rewrite("/regex/", regex_rewrite=regex("/regex/([a-z]+)/([0-9]+)", r"/\2/\1")),
    rewrite("/everywhere/", regex_rewrite=regex("e", "E")),
    rewrite("/host/literal", host_rewrite_literal="rewritten.test"),
    rewrite("/host/header", host_rewrite_header="x-to"),
    rewrite("/host/path", host_rewrite_path_regex=regex("^/host/path/([a-z]+).*", r"\1.test")),
    rewrite("/host/appended", host_rewrite_literal="rewritten.test", append_x_forwarded_host=True),
    to({"prefix": "/fold/", "case_sensitive": False}, "a", route={"prefix_rewrite": "/F/"}),
    rewrite("/", ),
])], cases=[
    get("a prefix is replaced", "/old/x?q=1"),
    get("a prefix is replaced by a slash", "/strip/x/y"),
    get("a prefix without a slash at its end", "/bare/x"),
    get("a prefix that is the whole path", "/bare"),
    get("a separated prefix is replaced", "/sep/x"),
    get("a separated prefix alone is replaced", "/sep"),
    get("an exact path is replaced and keeps its query", "/exactly?a=b"),
    get("a regex rewrite with groups", "/by-regex/one/two?q=/by-regex/3"),
    get("a regex rewrite under a prefix", "/regex/abc/42"),
    get("a regex rewrite that does not match", "/regex/42"),
    get("a regex rewrite replaces all but the query", "/everywhere/me?e=e"),
    get("a literal host", "/host/literal"),
    get("a host from a header", "/host/header", [("x-to", "from-header.test")]),
    get("a host from a missing header stays", "/host/header"),
    get("a host from the path", "/host/path/backend/x?y"),
    get("the old host is appended", "/host/appended"),
    get("the old host is appended to an earlier one", "/host/appended", [("x-forwarded-host", "earlier")]),
    get("a folded prefix is replaced", "/FOLD/x"),
    get("a client's x-envoy-original-path is replaced", "/old/x", [("x-envoy-original-path", "/fake")]),
    get("a client's x-envoy-original-path without a rewrite", "/plain", [("x-envoy-original-path", "/fake")]),
])

REDIRECTS = Group("redirects", vhosts=[vhost("v", ["*"], [
    redirect("/path", path_redirect="/there"),
    redirect("/query", path_redirect="/there?x=y"),
    redirect("/host", host_redirect="other.test"),
    redirect("/portal", port_redirect=8443),
    redirect("/https", https_redirect=True),
    redirect("/scheme", scheme_redirect="ftp"),
    redirect("/301", path_redirect="/t", response_code="MOVED_PERMANENTLY"),
    redirect("/302", path_redirect="/t", response_code="FOUND"),
    redirect("/303", path_redirect="/t", response_code="SEE_OTHER"),
    redirect("/307", path_redirect="/t", response_code="TEMPORARY_REDIRECT"),
    redirect("/308", path_redirect="/t", response_code="PERMANENT_REDIRECT"),
    redirect("/strip", host_redirect="other.test", strip_query=True),
    redirect("/pstrip", path_redirect="/there", strip_query=True),
    redirect("/pre/", prefix_rewrite="/post/"),
    redirect("/rx/", regex_rewrite=regex("^/rx/([a-z]+)", r"/\1/rx")),
    redirect("/all", https_redirect=True, host_redirect="secure.test", port_redirect=444, path_redirect="/a"),
    redirect("/hsts", https_redirect=True) | {"response_headers_to_add": [{"header": {"key": "x-why", "value": "moved"}}]},
])], cases=[
    get("a path redirect", "/path/x?q=1", status=301),
    get("a path redirect with a query of its own", "/query?q=1", status=301),
    get("a host redirect keeps path and query", "/host/x?q=1", status=301),
    get("a host redirect drops the port", "/host", host="a.test:81", status=301),
    get("a port redirect", "/portal", status=301),
    get("a port redirect replaces a port", "/portal", host="a.test:81", status=301),
    get("https_redirect", "/https?q", status=301),
    get("https_redirect removes port 80", "/https", host="a.test:80", status=301),
    get("https_redirect keeps another port", "/https", host="a.test:8080", status=301),
    get("a scheme redirect", "/scheme", status=301),
    get("code 301", "/301", status=301),
    get("code 302", "/302", status=302),
    get("code 303", "/303", status=303),
    get("code 307", "/307", status=307),
    get("code 308", "/308", status=308),
    get("strip_query", "/strip?q=1", status=301),
    get("strip_query with a path", "/pstrip?q=1", status=301),
    get("a prefix in a redirect", "/pre/x?q=1", status=301),
    get("a regex in a redirect", "/rx/abc/d?q=1", status=301),
    get("all parts of a redirect at once", "/all", status=301),
    get("headers are added to a redirect", "/hsts", status=301),
    get("a redirect for POST", "/302", method="POST", body="abc", status=302, wanted={"status": 302},
        why="the request was complete, so the connection can be kept; Envoy answers before it looks at the body, and closes"),
    get("a redirect for HEAD", "/302", method="HEAD", status=302),
    get("a redirect with an empty host", "/host", host="", status=None),
])

TLS_ONLY = Group("require-tls", vhosts=[
    vhost("all", ["all.test"], [says({"prefix": "/"}, "never")], require_tls="ALL"),
    vhost("external", ["external.test"], [says({"prefix": "/"}, "internal is let through")], require_tls="EXTERNAL_ONLY"),
], cases=[
    get("require_tls ALL redirects", "/x?y=1", host="all.test", status=301),
    get("require_tls EXTERNAL_ONLY with an external address", "/", [("x-forwarded-for", "8.8.8.8")], host="external.test",
        status=None),
])

DIRECT = Group("direct-response", vhosts=[vhost("v", ["*"], [
    says({"prefix": "/ok"}, "hello"),
    {"match": {"prefix": "/empty"}, "direct_response": {"status": 204}},
    {"match": {"prefix": "/nobody"}, "direct_response": {"status": 200}},
    says({"prefix": "/teapot"}, "short and stout", 418),
    says({"prefix": "/503"}, "down", 503),
    says({"prefix": "/typed"}, "{}", 200, response_headers_to_add=[
        {"header": {"key": "content-type", "value": "application/json"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]),
    says({"prefix": "/bytes"}, "", 200) | {"direct_response": {"status": 200, "body": {"inline_bytes": "AAEC/w=="}}},
    says({"prefix": "/304"}, "not sent", 304),
])], cases=[
    get("a body and a status", "/ok"),
    get("a 204 has no length", "/empty", status=204),
    get("no body", "/nobody"),
    get("another status", "/teapot", status=418),
    get("a 503 of the configuration", "/503", status=503),
    get("HEAD keeps the length", "/ok", method="HEAD"),
    get("a request body is read and ignored", "/ok", method="POST", body="x" * 3000),
    get("a content type of one's own", "/typed"),
    get("bytes as body", "/bytes"),
    get("a 304 sends no body", "/304", status=304,
        wanted=lambda seen: [f"unparsed {seen['unparsed']!r}"] if seen.get("unparsed") else [],
        why="RFC 9110 15.4.5: a 304 has no content; Envoy sends the body, which the client takes for the next response"),
    get("no route is 404", "/nothing", status=404),
    get("no route for HEAD is 404", "/nothing", method="HEAD", status=404),
])

GROUPS = [REWRITES, REDIRECTS, TLS_ONLY, DIRECT]
