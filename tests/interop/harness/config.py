"""Pieces of an Envoy bootstrap as Python values, so that a case file shows only what it is about."""

TYPE = "type.googleapis.com/"
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "envoy.extensions.filters.http.router.v3.Router"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def any_of(name, **fields):
    """A `typed_config`."""
    return {"@type": TYPE + name, **fields}


def router(**fields):
    return {"name": "envoy.filters.http.router", "typed_config": any_of(ROUTER, **fields)}


def vhost(name, domains, routes, **fields):
    return {"name": name, "domains": domains, "routes": routes, **fields}


def says(match, text, status=200, **fields):
    """A route that answers by itself and names itself in the body."""
    return {"match": match, "direct_response": {"status": status, "body": {"inline_string": text}}, **fields}


def to(match, cluster, **fields):
    """A route to a cluster; fields of the action in `route`, the rest beside it."""
    action = {"cluster": cluster, **fields.pop("route", {})}
    if action["cluster"] is None:
        del action["cluster"]
    return {"match": match, "route": action, **fields}


def hcm(vhosts, route_config=None, filters=None, **fields):
    """The HTTP connection manager as a network filter."""
    config = {"stat_prefix": "http", "http_filters": filters or [router()], **fields}
    if "rds" not in fields:
        config["route_config"] = {"name": "local", "virtual_hosts": vhosts, **(route_config or {})}
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": any_of(HCM, **config)}


def chain(filters, **fields):
    return {"filters": filters, **fields}


def listener(name, port, chains, **fields):
    return {"name": name, "address": address(port), "filter_chains": chains, **fields}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def endpoint(port, **fields):
    return {"endpoint": {"address": address(port)}, **fields}


def cluster(name, *ports, **fields):
    """A static cluster; `h2=True` speaks HTTP/2 to it."""
    options = fields.pop("http_options", None)
    if fields.pop("h2", False):
        options = {"explicit_http_config": {"http2_protocol_options": {}}}
    one = {"name": name, "type": "STATIC", "connect_timeout": "2s",
           "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint(port) for port in ports]}]},
           **fields}
    if options:
        one["typed_extension_protocol_options"] = {HTTP_OPTIONS: any_of(HTTP_OPTIONS, **options)}
    return one


def bootstrap(admin_port, listeners, clusters, **fields):
    return {"node": {"id": "interop", "cluster": "interop"}, "admin": {"address": address(admin_port)},
            "static_resources": {"listeners": listeners, "clusters": clusters}, **fields}


def downstream_tls(certs, names=("server",), alpn=("http/1.1",), ca=None, require=False, validation=None, **fields):
    """A transport socket for a filter chain."""
    common = {"tls_certificates": [pair(certs, name) for name in names]}
    if alpn:
        common["alpn_protocols"] = list(alpn)
    if ca:
        common["validation_context"] = {"trusted_ca": {"filename": certs.crt(ca)}, **(validation or {})}
    context = {"common_tls_context": common, **fields}
    if require:
        context["require_client_certificate"] = True
    return {"name": "envoy.transport_sockets.tls",
            "typed_config": any_of("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", **context)}


def upstream_tls(certs, name=None, alpn=(), ca="ca", validation=None, **fields):
    """A transport socket for a cluster."""
    common = {}
    if name:
        common["tls_certificates"] = [pair(certs, name)]
    if alpn:
        common["alpn_protocols"] = list(alpn)
    if ca:
        common["validation_context"] = {"trusted_ca": {"filename": certs.crt(ca)}, **(validation or {})}
    return {"name": "envoy.transport_sockets.tls", "typed_config": any_of(
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", common_tls_context=common, **fields)}


def pair(certs, name):
    return {"certificate_chain": {"filename": certs.crt(name)}, "private_key": {"filename": certs.key(name)}}


def file_log(path, **fields):
    """An access logger that writes to a file."""
    return {"name": "envoy.access_loggers.file", "typed_config": any_of(
        "envoy.extensions.access_loggers.file.v3.FileAccessLog", path=str(path), **fields)}
