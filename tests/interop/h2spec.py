"""h2spec, the conformance tests of HTTP/2, against a cleartext listener and one with TLS. Every case must pass."""

import argparse
import asyncio
import pathlib
import sys
import tempfile
import xml.etree.ElementTree as xml

from harness import config
from harness.certs import Certs
from harness.config import to, vhost
from harness.origin_h1 import reply
from harness.proxy import Proxy
from harness.verdicts import Checks

from differential.case import Env
from differential.runner import make_origin

CASES = 145


def bootstrap(env):
    def chain(codec, **fields):
        return config.chain([config.hcm([vhost("v", ["*"], [to({"prefix": "/"}, "a")])], codec_type=codec)], **fields)
    secure = config.downstream_tls(env.certs, alpn=("h2",))
    # AUTO would answer the case of a wrong preface in HTTP/1, which h2spec takes for a failure
    listeners = [config.listener("plain", env.port("plain"), [chain("HTTP2")]),
                 config.listener("tls", env.port("tls"), [chain("AUTO", transport_socket=secure)])]
    return config.bootstrap(env.port("admin"), listeners, [config.cluster("a", env.origin("a").port)])


async def judge(checks, h2spec, name, port, folder, *flags):
    """One run; a check for each case."""
    report = pathlib.Path(folder) / f"{name}.xml"
    process = await asyncio.create_subprocess_exec(
        h2spec, "-h", "127.0.0.1", "-p", str(port), "-o", "2", "-j", str(report), *flags,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
    await asyncio.wait_for(process.wait(), 600)
    seen = 0
    # what a server sent may stand in the report as it is
    text = "".join(one for one in report.read_text(errors="replace") if one >= " " or one in "\n\t")
    for case in xml.fromstring(text).iter("testcase"):
        seen += 1
        problems = [" ".join((child.text or child.get("message") or child.tag).split()) for child in case if child.tag in ("failure", "error", "skipped")]
        checks.check(f"{name}: {case.get('package')} {case.get('classname')}", "; ".join(problems))
    checks.check(f"{name}: all cases ran", "" if seen == CASES else f"{seen} of {CASES}")


async def main(options):
    checks = Checks("h2spec")
    with tempfile.TemporaryDirectory(prefix="h2spec-") as folder:
        env = Env(options.proxy, folder, Certs(pathlib.Path(folder) / "certs"))
        env.origins["a"] = await make_origin("a", "h1", env.certs).start()
        env.origin("a").script = [reply(body=b"0123456789")] * 10_000  # one case needs more than a few bytes
        env.proxy = Proxy(options.proxy, bootstrap(env), folder, env.port("admin"))
        await env.proxy.start()
        try:
            await judge(checks, options.h2spec, "cleartext", env.port("plain"), folder)
            await judge(checks, options.h2spec, "TLS", env.port("tls"), folder, "-t", "-k")
        finally:
            await env.proxy.stop()
            await env.origin("a").stop()
    return checks.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proxy", choices=["envoy", "palanquin"], default="palanquin")
    parser.add_argument("--h2spec", required=True, help="the program, version 2.2.1")
    sys.exit(asyncio.run(main(parser.parse_args())))
