"""Which route answers: paths, hosts, headers, queries. Every route answers by itself and names itself."""

from harness.config import says, vhost

from differential.case import Group, get


def any_route(text="fallback"):
    return says({"prefix": "/"}, text)


def header(name, **fields):
    return {"prefix": "/", "headers": [{"name": name, **fields}]}


def string(**fields):
    return {"string_match": fields}


PATHS = Group("routing-path", vhosts=[vhost("v", ["*"], [
    says({"path": "/exact"}, "exact"),
    says({"path": "/Fold", "case_sensitive": False}, "fold"),
    says({"path_separated_prefix": "/sep"}, "separated"),
    says({"safe_regex": {"regex": "/re/[0-9]+"}}, "regex"),
    says({"prefix": "/pre"}, "prefix"),
    says({"prefix": "/PREFOLD", "case_sensitive": False}, "prefix-fold"),
    says({"prefix": "/pre/longer"}, "never: the earlier prefix wins"),
    says({"prefix": "/only-grpc", "grpc": {}}, "grpc"),
    any_route(),
])], cases=[
    get("an exact path matches", "/exact"),
    get("an exact path ignores the query", "/exact?q=1"),
    get("an exact path does not match with a trailing slash", "/exact/"),
    get("an exact path is case sensitive", "/EXACT"),
    get("case_sensitive false folds an exact path", "/fOLD"),
    get("a separated prefix matches itself", "/sep"),
    get("a separated prefix matches below a slash", "/sep/x"),
    get("a separated prefix does not match a longer word", "/separate"),
    get("a separated prefix ignores the query", "/sep?x=1"),
    get("a regex must match the whole path", "/re/12"),
    get("a regex does not match a part", "/re/12x"),
    get("a regex ignores the query", "/re/12?a=/b"),
    get("a prefix matches inside a word", "/prefixed"),
    get("the first route in order wins", "/pre/longer"),
    get("case_sensitive false folds a prefix", "/prefoldX"),
    get("a grpc match needs a gRPC content type", "/only-grpc"),
    get("a grpc match takes application/grpc", "/only-grpc", [("content-type", "application/grpc")]),
    get("a grpc match takes application/grpc+proto", "/only-grpc", [("content-type", "application/grpc+proto")]),
    get("a grpc match refuses application/grpc-web", "/only-grpc", [("content-type", "application/grpc-web")]),
    get("a percent-encoded path is not decoded for matching", "/ex%61ct"),
    get("an empty path segment is kept", "//exact"),
    get("dot segments are kept without normalize_path", "/x/../exact"),
    get("a fragment-like path", "/exact#frag", status=None),
    get("a query of question marks", "/exact?a?b"),
    get("the asterisk form of OPTIONS", "*", method="OPTIONS", status=None),
])

HOSTS = Group("routing-host", vhosts=[
    vhost("exact", ["a.test", "With.Upper.Test"], [any_route("exact")]),
    vhost("suffix", ["*.a.test"], [any_route("suffix")]),
    vhost("longer-suffix", ["*.long.a.test"], [any_route("longer suffix")]),
    vhost("dash-suffix", ["*-dash.test"], [any_route("dash suffix")]),
    vhost("prefix", ["pre.*"], [any_route("prefix")]),
    vhost("longer-prefix", ["pre.long.*"], [any_route("longer prefix")]),
    vhost("port", ["ported.test:8080"], [any_route("ported")]),
    vhost("only-one-path", ["narrow.test"], [says({"path": "/x"}, "narrow")]),
    vhost("star", ["*"], [any_route("star")]),
], cases=[
    get("an exact host"),
    get("the host is case insensitive", host="A.TEST"),
    get("a domain with capitals matches", host="with.upper.test"),
    get("an exact host with a port is another host", host="a.test:8080"),
    get("a trailing dot is another host", host="a.test."),
    get("a suffix wildcard", host="x.a.test"),
    get("a suffix wildcard spans labels", host="x.y.a.test"),
    get("the longest suffix wins", host="x.long.a.test"),
    get("a suffix wildcard does not match the bare rest", host=".a.test"),
    get("a suffix wildcard with a dash", host="my-dash.test"),
    get("a prefix wildcard", host="pre.other"),
    get("the longest prefix wins", host="pre.long.other"),
    get("a suffix goes before a prefix", host="pre.x.a.test"),
    get("a domain with a port", host="ported.test:8080"),
    get("a domain with a port does not match without", host="ported.test"),
    get("any other host", host="other"),
    get("a chosen host without a matching route is 404", "/y", host="narrow.test", status=404),
    get("an address as host", host="127.0.0.1"),
    get("an IPv6 address as host", host="[::1]:80"),
    get("an empty host", host="", status=None),
    get("an absolute target gives the host", "http://pre.absolute/p", host="a.test"),
    get("an absolute target with a port", "http://ported.test:8080/", host="a.test"),
])

NO_STAR = Group("routing-no-host", vhosts=[vhost("only", ["only.test"], [any_route("only")])], cases=[
    get("the only host", host="only.test"),
    get("an unknown host is 404", host="other.test", status=404),
    get("an unknown host is 404 for HEAD", host="other.test", method="HEAD", status=404),
    get("a host with a port is unknown", host="only.test:80", status=404),
])

STRIP = Group("routing-strip-port", hcm={"strip_any_host_port": True},
              vhosts=[vhost("only", ["only.test"], [any_route("only")])], cases=[
    get("strip_any_host_port removes any port", host="only.test:8080"),
    get("strip_any_host_port leaves a bare host", host="only.test"),
])

STRIP_DOT = Group("routing-strip-dot", hcm={"strip_trailing_host_dot": True},
                  vhosts=[vhost("only", ["only.test"], [any_route("only")])], cases=[
    get("strip_trailing_host_dot removes a dot", host="only.test."),
    get("strip_trailing_host_dot removes a dot before a port", host="only.test.:80", status=404),
])

HEADERS = Group("routing-header", vhosts=[vhost("v", ["*"], [
    says(header("x-exact", **string(exact="Val")), "exact"),
    says(header("x-fold", **string(exact="val", ignore_case=True)), "fold"),
    says(header("x-prefix", **string(prefix="ab")), "prefix"),
    says(header("x-suffix", **string(suffix="yz")), "suffix"),
    says(header("x-contains", **string(contains="mid")), "contains"),
    says(header("x-regex", **string(safe_regex={"regex": "a+b"})), "regex"),
    says(header("x-range", range_match={"start": -5, "end": 10}), "range"),
    says(header("x-present", present_match=True), "present"),
    says(header("x-not", invert_match=True, **string(exact="no"), treat_missing_header_as_empty=True)
         | {"prefix": "/not"}, "inverted with missing as empty"),
    says(header("x-absent", present_match=False) | {"prefix": "/absent"}, "absent"),
    says(header("x-inv", invert_match=True, **string(exact="no")) | {"prefix": "/inv"}, "inverted"),
    says({"prefix": "/two", "headers": [{"name": "x-1", "present_match": True}, {"name": "x-2", "present_match": True}]}, "two"),
    says({"prefix": "/method", "headers": [{"name": ":method", **string(exact="PUT")}]}, "put"),
    says({"prefix": "/authority", "headers": [{"name": ":authority", **string(prefix="a.")}]}, "authority"),
    says({"prefix": "/path", "headers": [{"name": ":path", **string(contains="z=1")}]}, "path"),
    says({"prefix": "/scheme", "headers": [{"name": ":scheme", **string(exact="http")}]}, "scheme"),
    says({"prefix": "/multi", "headers": [{"name": "x-multi", **string(exact="a,b")}]}, "joined"),
    says({"prefix": "/each", "headers": [{"name": "x-multi", **string(exact="a")}]}, "first"),
    says({"prefix": "/each", "headers": [{"name": "x-multi", **string(exact="b")}]}, "second"),
    says({"prefix": "/each", "headers": [{"name": "x-multi", **string(prefix="c")}]}, "prefix"),
    says({"prefix": "/each", "headers": [{"name": "x-multi", **string(contains="d,e")}]}, "contains"),
    says({"prefix": "/not-each", "headers": [{"name": "x-multi", **string(exact="a"), "invert_match": True}]}, "inverted"),
    says({"prefix": "/range-each", "headers": [{"name": "x-multi", "range_match": {"start": 1, "end": 5}}]}, "range"),
    says({"prefix": "/empty", "headers": [{"name": "x-empty", **string(exact="v"), "treat_missing_header_as_empty": True}]}, "empty"),
    any_route(),
])], cases=[
    get("an exact value", headers=[("x-exact", "Val")]),
    get("an exact value is case sensitive", headers=[("x-exact", "val")]),
    get("a header name is case insensitive", headers=[("X-EXACT", "Val")]),
    get("spaces around a value do not count", headers=[("x-exact", "  Val ")]),
    get("ignore_case folds a value", headers=[("x-fold", "VaL")]),
    get("a value's prefix", headers=[("x-prefix", "abc")]),
    get("a value that is not the prefix", headers=[("x-prefix", "ba")]),
    get("a value's suffix", headers=[("x-suffix", "xyz")]),
    get("a value that contains", headers=[("x-contains", "a-mid-b")]),
    get("a regex over the whole value", headers=[("x-regex", "aab")]),
    get("a regex does not match a part of a value", headers=[("x-regex", "aabc")]),
    get("a number in the range", headers=[("x-range", "9")]),
    get("the end of a range is outside", headers=[("x-range", "10")]),
    get("a negative number in the range", headers=[("x-range", "-5")]),
    get("a word is in no range", headers=[("x-range", "nine")]),
    get("a header that is present", headers=[("x-present", "anything")]),
    get("a header that is present and empty", headers=[("x-present", "")]),
    get("present_match false wants absence", "/absent"),
    get("present_match false refuses presence", "/absent", [("x-absent", "1")]),
    get("an inverted match of another value", "/inv", [("x-inv", "yes")]),
    get("an inverted match of that value", "/inv", [("x-inv", "no")]),
    get("an inverted match of a missing header", "/inv"),
    get("an inverted match with missing as empty", "/not"),
    get("all header matchers must match", "/two", [("x-1", "a")]),
    get("both header matchers match", "/two", [("x-1", "a"), ("x-2", "b")]),
    get("the method as a header", "/method", method="PUT", body=""),
    get("another method", "/method"),
    get("the authority as a header", "/authority"),
    get("the path as a header has the query", "/path?z=1"),
    get("the scheme as a header", "/scheme"),
    get("two lines of a header are joined by a comma", "/multi", [("x-multi", "a"), ("x-multi", "b")]),
    get("the first of two lines", "/each", [("x-multi", "a"), ("x-multi", "z")]),
    get("the second of two lines", "/each", [("x-multi", "z"), ("x-multi", "b")]),
    get("the third of three lines by prefix", "/each", [("x-multi", "z"), ("x-multi", "y"), ("x-multi", "cc")]),
    get("across two lines", "/each", [("x-multi", "d"), ("x-multi", "e")]),
    get("inverted: the second of two lines", "/not-each", [("x-multi", "z"), ("x-multi", "a")]),
    get("inverted: none of two lines", "/not-each", [("x-multi", "z"), ("x-multi", "y")]),
    get("a range: the second of two lines", "/range-each", [("x-multi", "9"), ("x-multi", "3")]),
    get("one line with a comma", "/multi", [("x-multi", "a,b")]),
    get("treat_missing_header_as_empty alone", "/empty"),
])

QUERY = Group("routing-query", vhosts=[vhost("v", ["*"], [
    says({"prefix": "/e", "query_parameters": [{"name": "k", "string_match": {"exact": "v"}}]}, "exact"),
    says({"prefix": "/p", "query_parameters": [{"name": "k", "present_match": True}]}, "present"),
    says({"prefix": "/r", "query_parameters": [{"name": "k", "string_match": {"safe_regex": {"regex": "[0-9]+"}}}]}, "regex"),
    says({"prefix": "/i", "query_parameters": [{"name": "k", "string_match": {"prefix": "ab", "ignore_case": True}}]}, "prefix"),
    says({"prefix": "/t", "query_parameters": [{"name": "a", "present_match": True}, {"name": "b", "present_match": True}]}, "two"),
    any_route(),
])], cases=[
    get("a parameter's value", "/e?k=v"),
    get("a parameter among others", "/e?x=1&k=v&y"),
    get("a parameter's first value counts", "/e?k=w&k=v"),
    get("a parameter's name is case sensitive", "/e?K=v"),
    get("a percent-encoded value", "/e?k=%76"),
    get("a present parameter without a value", "/p?k"),
    get("a present parameter with an empty value", "/p?k="),
    get("an absent parameter", "/p?kk=1"),
    get("a regex for a parameter", "/r?k=12"),
    get("a regex must match the whole parameter", "/r?k=12a"),
    get("a folded prefix of a parameter", "/i?k=ABc"),
    get("all parameters must match", "/t?a=1"),
    get("both parameters match", "/t?b&a"),
    get("a plus sign and a semicolon", "/e?k=v;x"),
])

GROUPS = [PATHS, HOSTS, NO_STAR, STRIP, STRIP_DOT, HEADERS, QUERY]
