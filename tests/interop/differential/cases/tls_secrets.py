"""Secrets from files that stand in for a service: good, bad and missing ones, and their rotation."""

import asyncio
import dataclasses
import json
import os

from harness import client_tls, config, pki as pki_module

from differential.case import Case, Group
from differential.tls_case import SERVER, client_fields, fronts, own, probe, server, stats, web

SECRET = "envoy.extensions.transport_sockets.tls.v3.Secret"


def source(path):
    return {"resource_api_version": "V3", "path_config_source": {"path": str(path)}}


def resources(version, *secrets):
    """The text of a file with these secrets."""
    return json.dumps({"version_info": version, "resources": [{**config.any_of(SECRET), **one} for one in secrets]})


def named(pki, file, text, name="web", **fields):
    """A context whose certificate is a secret of a file."""
    shared = {"tls_certificate_sds_secret_configs": [{"name": name, "sds_config": source(pki.write(file, text))}]}
    return {"name": "envoy.transport_sockets.tls", "typed_config": config.any_of(SERVER, common_tls_context={**shared, **fields})}


def trusting(pki, file, default, *secrets):
    """A context that asks for certificates and takes whom to trust from a file."""
    found = {"name": "ROOTCA", "sds_config": source(pki.write(file, resources("1", *secrets)))}
    validation = ({"combined_validation_context": {"default_validation_context": default, "validation_context_sds_secret_config": found}}
                  if default is not None else {"validation_context_sds_secret_config": found})
    return server(pki, require=True, common=validation)


def root(pki):
    return {"name": "ROOTCA", "validation_context": {"trusted_ca": {"filename": pki.path("root.pem")}}}


def web_secret(pki, certificate, key=None):
    pair = {**own(pki, certificate), **({"private_key": {"filename": pki.path(f"{key}.key")}} if key else {})}
    return {"name": "web", "tls_certificate": pair}


def closed(case):
    """The case, with one word for a close that the client may meet before or after it has sent its hello."""
    action = case.action

    async def worded(env):
        seen = await action(env)
        if seen.get("error") in ("ConnectionResetError", "UNEXPECTED_EOF_WHILE_READING"):
            seen["error"] = "closed"
        return seen

    return dataclasses.replace(case, action=worded)


URI = {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"prefix": "spiffe://mesh/"}}]}


def people(pki):
    pki.make("sds-inside", "root", uri=["spiffe://mesh/inside"], subject="inside")
    pki.make("sds-outside", "root", uri=["spiffe://else/outside"], subject="outside")
    return pki


FILES = fronts("sds-files", {
    "good": lambda pki: named(pki, "sds-good.json", resources("1", web_secret(pki, "srv"))),
    "several": lambda pki: named(pki, "sds-several.json", resources("1", {"name": "other", "generic_secret": {"secret": {"inline_string": "x"}}}, web_secret(pki, "srv"))),
    "missing": lambda pki: named(pki, "sds-missing.json", resources("1")),
    "mismatch": lambda pki: named(people(pki), "sds-mismatch.json", resources("1", web_secret(pki, "srv", "sds-inside"))),
    "garbage": lambda pki: named(pki, "sds-garbage.json", resources("1", {"name": "web", "tls_certificate": {
        "certificate_chain": {"inline_string": "garbage"}, "private_key": {"filename": pki.path("srv.key")}}})),
    "trust": lambda pki: trusting(people(pki), "sds-trust.json", None, root(pki)),
    "both": lambda pki: trusting(people(pki), "sds-both.json", URI, root(pki)),
    "no-trust": lambda pki: trusting(people(pki), "sds-no-trust.json", None),
    "empty-trust": lambda pki: trusting(people(pki), "sds-empty.json", None, {"name": "ROOTCA", "validation_context": {}}),
}, [
    probe("a certificate", "good"),
    closed(probe("a secret that is missing", "missing", False)),
    closed(probe("a key of another certificate", "mismatch", False)),
    closed(probe("a certificate that is none", "garbage", False)),
    probe("trust: known", "trust", cert="sds-inside"),
    probe("trust: unknown", "trust", False),
    probe("both: the name fits", "both", cert="sds-inside"),
    probe("both: the name does not fit", "both", False, cert="sds-outside"),
    closed(probe("no trust came", "no-trust", False, cert="sds-inside")),
    probe("trust in nobody", "empty-trust", cert="sds-inside", wanted={"status": 0},
          why="whoever asks for trust wants to know the peer; Envoy lets everybody in"),
    stats("secrets that are not ready", "secrets_not_ready", ignore=(r"empty-trust",)),
])


def rotating(env):
    pki = people(pki_module.of(env.certs))
    file = env.folder / "secret.json"
    file.write_text(resources("1", web_secret(pki, "srv")))
    context = {"tls_certificate_sds_secret_configs": [{"name": "web", "sds_config": source(file)}]}
    made = {"name": "envoy.transport_sockets.tls", "typed_config": config.any_of(SERVER, common_tls_context=context)}
    return config.bootstrap(env.port("admin"), [config.listener("main", env.port("main"), [config.chain(web(), transport_socket=made)])], [])


def turn(name, version, certificate, key=None, shown=None):
    """Replaces the file and asks until the certificate of `shown` is there; without it a few times."""
    async def action(env):
        pki = pki_module.of(env.certs)
        new = env.folder / "secret.new"
        new.write_text(resources(version, web_secret(pki, certificate, key)))
        os.replace(new, env.folder / "secret.json")
        for _ in range(60 if shown else 5):
            answer = await client_tls.connect(env.port("main"), client_tls.context(**client_fields(env)), sni="a.test", request=client_tls.REQUEST)
            if shown and answer.get("leaf", "").endswith(f"CN={shown}"):
                return answer
            await asyncio.sleep(0.05)
        return answer

    return Case(name, action, 200)


ROTATION = Group("sds-rotation", [
    probe("the first certificate", "main"),
    turn("the second certificate", "2", "sds-inside", shown="inside"),
    turn("a key of another certificate changes nothing", "3", "sds-outside", "srv"),
    turn("a good one after it", "4", "sds-outside", shown="outside"),
    stats("what was counted", "ssl_context_update_by_sds|sds.web.update_(success|rejected)"),
], build=rotating, origins={})

GROUPS = [FILES, ROTATION]
