"""RFC 8998, curveSM2MLKEM768 and TLCP against Tongsuo, OpenSSL 4, GmSSL, gmtls and BouncyCastle: `python -m sm`, after `sm/peers`.

`--proxy peers` runs the peers against each other instead. `--only TOPIC` runs one of the topics, `--keep DIR` keeps every file.
"""

import argparse
import asyncio
import pathlib
import subprocess
import sys
import tempfile
import traceback

from harness.proxy import StartError
from harness.verdicts import Checks

from sm import downstream, oneport, refusals, selftest, upstream
from sm.pki import ENCRYPTION, SmPki
from sm.programs import GMSSL, OPENSSL

TOPICS = {"downstream": downstream, "upstream": upstream, "refusals": refusals, "oneport": oneport}


def make_pki(folder):
    pki = SmPki(folder, OPENSSL)
    pki.authority("ca").authority("stranger").authority("p256-ca", curve="P-256").authority("intermediate", issuer="ca")
    pki.leaf("standard", issuer="p256-ca", curve="P-256")
    pki.pair("below", issuer="intermediate").pair("elsewhere", san="DNS:elsewhere.test")
    for name in ("below", "below-enc"):
        pki.chain(f"{name}.pem", name, "intermediate")
    refusals.prepare(pki)
    # GmSSL reads no key but its own, which is encrypted by SM4.
    for name, usage in (("gmssl", {}), ("gmssl-enc", {"usage": ENCRYPTION})):
        arguments = ["sm2keygen", "-pass", "1234", "-out", f"{name}.key", "-pubout", f"{name}.pub"]
        subprocess.run([GMSSL, *arguments], cwd=folder, check=True, capture_output=True)
        pki.leaf(name, public_key=f"{name}.pub", subject="/O=interop/CN=gmssl", **usage)
    pki.chain("gmssl.pem", "gmssl", "gmssl-enc")
    return pki


async def run(arguments):
    checks = Checks("sm")
    topics = {"selftest": selftest} if arguments.proxy == "peers" else TOPICS
    with tempfile.TemporaryDirectory(prefix="sm-") as scratch:
        folder = pathlib.Path(arguments.keep or scratch)
        pki = make_pki(folder / "pki")
        for name, topic in topics.items():
            if arguments.only and name not in arguments.only:
                continue
            try:
                await topic.suite(checks, pki, folder)
            except StartError as error:
                checks.check(f"{name} starts", str(error)[-1500:])
            except Exception:
                checks.check(f"{name} runs to its end", traceback.format_exc()[-1500:])
    return checks.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxy", default="palanquin", choices=["palanquin", "peers"])
    parser.add_argument("--only", action="append", choices=list(TOPICS))
    parser.add_argument("--keep", help="folder for bootstraps, logs and certificates")
    sys.exit(asyncio.run(run(parser.parse_args())))
