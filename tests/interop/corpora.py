"""Requests and configurations that others made, against the proxy.

Requests (`*.jsonl`): what must be accepted is; everything else is refused, or forwarded in a form that can be read in one way only.
Configurations (`envoy-gateway`, `istiod`): each, made static, loads, or is refused because of what `NOT_YET` lists: `palanquin check FILE`, or Envoy's `--mode validate`.
The corpora lie beside the project; where they do not, there is nothing to do.
"""

import argparse
import asyncio
import base64
import copy
import gzip
import json
import os
import pathlib
import re
import sys
import tempfile

from cryptography.hazmat.primitives.asymmetric import ec

from harness import client_h1, config
from harness.certs import Certs
from harness.config import to, vhost
from harness.proxy import ROOT, Proxy, envoy_binary, palanquin_binary
from harness.verdicts import Checks

from differential.case import Env
from differential.runner import make_origin

LANES = 8

# What is not here yet, as the refusals of the checker name it. A configuration that needs one of these must be refused, by name; one that is
# refused for anything else has failed.
NOT_YET = re.compile("|".join((
    r"extension_filters\.cel", r"CelMatcher", r"HttpAttributesCelMatchInput", r"IPMatcher",  # CEL and the unified matchers
    r"http\.(api_key_auth|basic_auth|csrf|ext_authz|header_mutation|jwt_authn|lua|rbac)\.v3", r"network\.(mongo_proxy|rbac)\.v3",
    r"RING_HASH|MAGLEV|maglev\.v3|override_host\.v3", r"dynamic_forward_proxy\.v3", r"ECDS|config_discovery",
    r"internal_upstream\.v3|internal_listener|internal listeners|tunneling_config", r"UDP and QUIC|udp_listener_config",
    r"original_ip_detection", r"early_header_mutation", r"typed_extension_protocol_options\S*\.http_filters",
    r"formatted bodies", r"proxy_protocol\.v3\.ProxyProtocolUpstreamTransport",
)))


def corpora_folder():
    for candidate in (os.environ.get("CORPORA"), ROOT.parent / "shared/corpora", ROOT / "shared/corpora"):
        if candidate and pathlib.Path(candidate).is_dir():
            return pathlib.Path(candidate)
    return None


# --- requests

async def requests(checks, kind, folder):
    """Every raw request, in lanes: a lane is a listener with an origin of its own, so that what an origin saw has one cause."""
    rows = [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]
    with tempfile.TemporaryDirectory(prefix="corpora-") as scratch:
        certs = Certs(pathlib.Path(scratch) / "certs")
        env = Env(kind, scratch, certs)
        names = [f"lane{number}" for number in range(LANES)]
        for name in names:
            env.origins[name] = await make_origin(name, "h1", certs).start()
        listeners = [config.listener(name, env.port(name), [config.chain([config.hcm([vhost("v", ["*"], [to({"prefix": "/"}, name)])])])]) for name in names]
        clusters = [config.cluster(name, env.origin(name).port) for name in names]
        env.proxy = Proxy(kind, config.bootstrap(env.port("admin"), listeners, clusters), scratch, env.port("admin"))
        await env.proxy.start()
        queue = asyncio.Queue()
        for row in rows:
            queue.put_nowait(row)

        async def lane(name):
            while not queue.empty():
                row = queue.get_nowait()
                # Backspaces and line breaks of a title are not for a report.
                title = re.sub(r"\s+", " ", row["id"])
                checks.check(f"request {title}", await one_request(env, name, row))

        try:
            await asyncio.gather(*(lane(name) for name in names))
        finally:
            ended = env.proxy.process.returncode
            checks.check("the proxy lives after all requests", "" if ended is None else f"it ended with {ended}: {env.proxy.tail()}")
            await env.proxy.stop(seconds=0)
            for origin in env.origins.values():
                await origin.stop()
            env.dead.close()


async def one_request(env, name, row):
    """A problem text, or nothing."""
    origin = env.origin(name)
    origin.settle()
    origin.seen = []
    data = base64.b64decode(row["b64"])
    seen = await client_h1.exchange(env.port(name), [data, "eof"] if row["expect"] != "accept" else [data], methods(data), expect=1, settle=0.05, seconds=1.0)
    await asyncio.sleep(0.02)
    statuses = [one["status"] for one in seen["responses"] if one["status"] >= 200]
    if row["expect"] == "accept":
        if not statuses or statuses[0] != 200 or not origin.seen:
            return f"must be accepted ({row['why']}), was answered {statuses or seen}"
    for record in origin.seen:
        problem = ambiguous(record)
        if problem:
            return f"was forwarded ambiguously: {problem}: {record['line']} {record['headers']}"
    allowed = data.count(b"HTTP/") + data.count(b"http/")
    if len(origin.seen) > max(1, allowed):
        return f"{len(origin.seen)} requests reached the origin: {[record['line'] for record in origin.seen]}"
    return None


def methods(data):
    first = data.lstrip(b"\r\n").split(b" ", 1)[0].decode("latin-1")
    return [first or "GET"]


def ambiguous(record):
    """What a second reader of the forwarded head could read differently."""
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^\x00-\x20\x7f]+ HTTP/1\.1", record["line"]):
        return "request line"
    names = [name.lower() for name, _ in record["headers"]]
    if names.count("host") != 1:
        return f"{names.count('host')} Host lines"
    if names.count("content-length") + names.count("transfer-encoding") > 1:
        return "two framings"
    for name, value in record["headers"]:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            return f"name {name!r}"
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            return f"value {value!r}"
        if name.lower() == "content-length" and not re.fullmatch(r"\d+", value):
            return f"length {value!r}"
        if name.lower() == "transfer-encoding" and value != "chunked":
            return f"coding {value!r}"
    return None


# --- configurations

# Istio's own extensions: not in Envoy, so no part of the comparison. Elements that carry one are left out.
FOREIGN = re.compile(r"type\.googleapis\.com/(istio\.|stats\.|io\.istio|envoy\.tcp\.metadataexchange)")


def foreign(one):
    inner = one.get("typed_config") if isinstance(one, dict) else None
    if not isinstance(inner, dict):
        return False
    # Filter state of Istio's own kinds is foreign too, whoever sets it.
    keys = re.findall(r'"object_key": "([^"]+)"', json.dumps(inner)) if str(inner.get("@type")).endswith("set_filter_state.v3.Config") else []
    return bool(FOREIGN.match(str(inner.get("type_url") or inner.get("@type")))) or any("istio." in key for key in keys)


def walk(value, change):
    """Applies `change` to every object, inner ones first; what it returns takes the object's place."""
    if isinstance(value, dict):
        return change({key: walk(inner, change) for key, inner in value.items()})
    if isinstance(value, list):
        return [walk(inner, change) for inner in value if not foreign(inner)]
    return value


def bare(resources):
    """Resources without the type name of the `Any` they came in; a field of that type needs none."""
    return [{key: value for key, value in one.items() if key != "@type"} for one in copy.deepcopy(resources or [])]


def static_gateway(row, pair):
    """Envoy Gateway's bootstrap with its resources put in: routes in listeners, endpoints in clusters, a certificate for each secret."""
    bootstrap = copy.deepcopy(row["bootstrap"])
    resources = row["resources"]
    routes = {one["name"]: one for one in bare(resources.get("Routes"))}
    endpoints = {one["clusterName"]: one for one in bare(resources.get("Endpoints"))}
    bootstrap.pop("dynamicResources", None)
    bootstrap["node"] = {**bootstrap.get("node", {}), "id": "corpora", "cluster": "corpora"}

    def inline(one):
        if "rds" in one:
            wanted = one.pop("rds")["routeConfigName"]
            one["routeConfig"] = routes.get(wanted, {"name": wanted})
        if "tlsCertificateSdsSecretConfigs" in one:
            one["tlsCertificates"] = [pair for _ in one.pop("tlsCertificateSdsSecretConfigs")]
        if "combinedValidationContext" in one:
            default = one.pop("combinedValidationContext").get("defaultValidationContext", {})
            one["validationContext"] = {**default, "trustedCa": pair["certificateChain"]}
        elif "validationContextSdsSecretConfig" in one and "defaultValidationContext" not in one:
            one.pop("validationContextSdsSecretConfig")
            one["validationContext"] = {"trustedCa": pair["certificateChain"]}
        return one

    clusters = []
    for cluster in bare(resources.get("Clusters")):
        if cluster.get("type") == "EDS":
            name = cluster.pop("edsClusterConfig", {}).get("serviceName") or cluster["name"]
            cluster["type"] = "STATIC"
            cluster["loadAssignment"] = endpoints.get(name, {"clusterName": name})
        clusters.append(cluster)
    own = bootstrap["staticResources"]
    local = [one for one in own["clusters"] if one["name"] == "local_cluster"]
    for one in local:
        one.pop("edsClusterConfig", None)
        one.update(type="STATIC", loadAssignment={"clusterName": "local_cluster"})
    own["clusters"] += clusters
    own["listeners"] = own.get("listeners", []) + bare(resources.get("Listeners"))
    return walk(bootstrap, inline)


def any_jwks():
    """A key set with one public key: the recordings hold none that is valid."""
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    x, y = (base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode() for number in (numbers.x, numbers.y))
    return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "interop", "x": x, "y": y}]})


def static_istio(row, pair):
    """A recorded istiod answer as static resources, under a small bootstrap."""
    jwks = any_jwks()
    resources = {kind: bare(some) for kind, some in row["resources"].items()}
    routes = {one["name"]: one for one in resources.get("rds", [])}
    endpoints = {one["cluster_name"]: one for one in resources.get("eds", [])}

    def inline(one):
        if "rds" in one and "route_config_name" in one["rds"]:
            wanted = one.pop("rds")["route_config_name"]
            one["route_config"] = routes.get(wanted, {"name": wanted})
        if "local_jwks" in one:
            one["local_jwks"] = {"inline_string": jwks}
        if "tls_certificate_sds_secret_configs" in one:
            one["tls_certificates"] = [pair for _ in one.pop("tls_certificate_sds_secret_configs")]
        if "combined_validation_context" in one:
            default = one.pop("combined_validation_context").get("default_validation_context", {})
            one["validation_context"] = {**default, "trusted_ca": pair["certificate_chain"]}
        elif "validation_context_sds_secret_config" in one and "default_validation_context" not in one:
            one.pop("validation_context_sds_secret_config")
            one["validation_context"] = {"trusted_ca": pair["certificate_chain"]}
        return one

    clusters = []
    for cluster in resources.get("cds", []):
        if cluster.get("type") == "EDS":
            name = cluster.pop("eds_cluster_config", {}).get("service_name") or cluster["name"]
            cluster["type"] = "STATIC"
            cluster["load_assignment"] = {**endpoints.get(name, {}), "cluster_name": name}
        clusters.append(cluster)
    listeners = resources.get("lds", [])
    bootstrap = {"node": {"id": row["node_id"], "cluster": "corpora"}, "static_resources": {"listeners": listeners, "clusters": clusters}}
    if any("internal_listener" in one for one in listeners):
        extension = config.any_of("envoy.extensions.bootstrap.internal_listener.v3.InternalListener")
        bootstrap["bootstrap_extensions"] = [{"name": "envoy.bootstrap.internal_listener", "typed_config": extension}]
    return walk(bootstrap, inline)


def unexpected(text):
    """The errors of a checker's report, each with its path, that `NOT_YET` does not explain."""
    lines = text.splitlines()
    errors = [f"{path} {line}" for path, line in zip(lines, lines[1:]) if line.strip().startswith("error:")]
    return [error for error in errors if not NOT_YET.search(error)] if errors else lines


async def configurations(checks, kind, folder, jobs):
    """Checks each rendered configuration with the proxy's own checker."""
    with tempfile.TemporaryDirectory(prefix="corpora-") as scratch:
        scratch = pathlib.Path(scratch)
        certs = Certs(scratch / "certs")
        camel = {"certificateChain": {"filename": certs.crt("server")}, "privateKey": {"filename": certs.key("server")}}
        snake = {"certificate_chain": {"filename": certs.crt("server")}, "private_key": {"filename": certs.key("server")}}
        rendered = []
        gateway = folder / "envoy-gateway/xds.jsonl.gz"
        if gateway.exists():
            rendered += [(f"envoy-gateway {row['name']}", static_gateway(row, camel)) for row in map(json.loads, gzip.open(gateway))]
        for file in sorted(folder.glob("istiod/*/*.json.gz")):
            row = json.load(gzip.open(file))
            rendered.append((f"istiod {file.parent.name}/{file.name.removesuffix('.json.gz')}", static_istio(row, snake)))
        gate = asyncio.Semaphore(jobs)

        async def one(number, name, value):
            path = scratch / f"{number}.yaml"
            path.write_text(json.dumps(value))
            command = [palanquin_binary(), "check", str(path)]
            if kind == "envoy":
                command = [envoy_binary(), "--mode", "validate", "--disable-hot-restart", "-l", "error", "-c", str(path)]
            async with gate:
                process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
                out, _ = await asyncio.wait_for(process.communicate(), 60)
            text = out.decode("utf-8", "replace")
            if kind == "palanquin" and process.returncode and not unexpected(text):
                return checks.skip(f"configuration {name}", "refused, as it needs what is not here yet")
            errors = [line for line in text.splitlines() if "error" in line.lower() or "no such" in line.lower()] or text.splitlines()
            checks.check(f"configuration {name}", f"exit {process.returncode}: {' / '.join(errors[:3])[:600]}" if process.returncode else None)

        await asyncio.gather(*(one(number, *pair) for number, pair in enumerate(rendered)))


async def run(options):
    checks = Checks("corpora")
    folder = corpora_folder()
    if folder is None:
        print("no corpora beside the project")
        print("\n0 passed, 0 failed, 1 skipped")
        return 0
    if options.only != "configurations":
        await requests(checks, options.proxy, folder)
    if options.only != "requests":
        await configurations(checks, options.proxy, folder, options.jobs)
    return checks.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxy", default="palanquin", choices=["palanquin", "envoy"])
    parser.add_argument("--only", choices=["requests", "configurations"])
    parser.add_argument("--jobs", type=int, default=3)
    sys.exit(asyncio.run(run(parser.parse_args())))
