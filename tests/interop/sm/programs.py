"""The peers' command lines: servers that answer HTTP, and clients that ask once and tell what was agreed."""

import asyncio
import os
import pathlib
import re
import time

CACHE = pathlib.Path(os.environ.get("SM_PEERS") or pathlib.Path(__file__).resolve().parent.parent / ".cache")
TONGSUO = str(CACHE / "tongsuo-8.5.0/bin/tongsuo")
OPENSSL = str(CACHE / "openssl-4.0.3/bin/openssl")
GMSSL = str(CACHE / "gmssl-3.1.1/bin/gmssl")
GMTLS = str(CACHE / "gmtls-1.4.1/bin/gmtls")
BOUNCY = CACHE / "bouncycastle-1.82"

PROGRAMS = {"openssl": OPENSSL, "tongsuo": TONGSUO}
SM_SUITES = ["TLS_SM4_GCM_SM3", "TLS_SM4_CCM_SM3"]
SM_GROUPS = ["curveSM2", "curveSM2MLKEM768"]
# Palanquin's names beside Tongsuo's.
TLCP_SUITES = {
    "ECC_SM4_GCM_SM3": "ECC-SM2-SM4-GCM-SM3",
    "ECC_SM4_CBC_SM3": "ECC-SM2-SM4-CBC-SM3",
    "ECDHE_SM4_GCM_SM3": "ECDHE-SM2-SM4-GCM-SM3",
    "ECDHE_SM4_CBC_SM3": "ECDHE-SM2-SM4-CBC-SM3",
}
REQUEST = "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Outcome:
    """What a client saw: the whole text, and the facts in it."""

    def __init__(self, text, code):
        self.text, self.code = text, code
        found = re.search(r"^(New|Reused), (\S+), Cipher is (\S+)", text, re.M)
        agreed = found and found[3] not in ("(NONE)", "0000")
        self.version, self.cipher = (found[2], found[3]) if agreed else (None, None)
        self.resumed = bool(agreed) and found[1] == "Reused"
        self.group = _first(r"^Negotiated TLS1.3 group: (\S+)", text) or _first(r"^(?:Peer|Server) Temp Key: (?:ECDH, )?([^,\n]+)", text)
        self.group = {"SM2": "curveSM2"}.get(self.group, self.group)
        self.alpn = _first(r"^ALPN protocol: (\S+)", text)
        self.signature = _first(r"^Peer signature type: (\S+)", text)
        self.server = _first(r"^subject=(.*)$", text)
        self.status = _first(r"HTTP/1\.[01] (\d{3})", text)
        self.alert = _first(r"[Aa]lert number (\d+)", text)

    def __str__(self):
        errors = re.findall(r"(?:error:|rror: |handshake|malformed)[^\n]*", self.text)[:3]
        return (f"exit {self.code}, {self.version} {self.cipher} {self.group or ''} status {self.status} alert {self.alert}"
                f" {' | '.join(errors)[-300:]}")

    def problem(self, **wanted):
        """Empty when the request was answered and each fact is as wanted."""
        wanted = {"status": "200", **wanted}
        wrong = {name: getattr(self, name) for name, value in wanted.items() if getattr(self, name) != value}
        return "" if not wrong else f"wanted {wanted}, got {wrong}: {self}"

    def refused(self, alert=None):
        """Empty when there was no answer, and the alert is the given one."""
        if self.status:
            return f"it was answered: {self}"
        if alert and self.alert != str(alert):
            return f"wanted alert {alert}: {self}"
        return ""


def _first(pattern, text):
    found = re.search(pattern, text, re.M)
    return found[1] if found else None


async def ask(*command, stdin="", seconds=15, cwd=None):
    """Runs a client; its input stays open until it ends, since some leave as soon as it closes.

    Without line buffering what it says of the connection is cut where the answer happens to come.
    """
    process = await asyncio.create_subprocess_exec(
        "stdbuf", "-i0", "-oL", *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=cwd)
    out = bytearray()

    async def read():
        while part := await process.stdout.read(65536):
            out.extend(part)

    try:
        process.stdin.write(stdin.encode())
        await process.stdin.drain()
        await asyncio.wait_for(read(), seconds)
        await asyncio.wait_for(process.wait(), 5)
    except (ConnectionError, asyncio.TimeoutError):
        pass
    finally:
        await kill(process)
    return Outcome(out.decode("utf-8", "replace"), process.returncode)


async def kill(process):
    if process.returncode is None:
        try:
            process.kill()
        except ProcessLookupError:
            pass
    await process.wait()


def tls13(suite=None, group=None, sigalgs="sm2sig_sm3"):
    """Flags of s_client and s_server for TLS 1.3 with these names only."""
    flags = ["-tls1_3"]
    flags += ["-ciphersuites", suite] if suite else []
    flags += ["-groups", group] if group else []
    return flags + (["-sigalgs", sigalgs] if sigalgs else [])


def tlcp(suite=None):
    """Flags of Tongsuo's s_client and s_server for TLCP; the suite by Palanquin's name."""
    suites = [TLCP_SUITES[suite]] if suite else list(TLCP_SUITES.values())
    return ["-enable_ntls", "-ntls", "-cipher", ":".join(suites)]


def shows(pki, name):
    """Flags that present one certificate."""
    return ["-cert", pki.crt(name), "-key", pki.key(name)] if name else []


def shows_pair(pki, name, enc=True):
    """Flags that present the two certificates of TLCP; a name of its own for the second in `enc`."""
    if not name:
        return []
    flags = ["-sign_cert", pki.crt(name), "-sign_key", pki.key(name)]
    enc = f"{name}-enc" if enc is True else enc
    return flags + (["-enc_cert", pki.crt(enc), "-enc_key", pki.key(enc)] if enc else [])


async def s_client(program, port, *flags, ca, path="/", seconds=15):
    """s_client of OpenSSL or Tongsuo asks for a page. A server that `ca` does not vouch for is refused."""
    trust = ["-CAfile", ca, "-verify_return_error", "-verify_hostname", "localhost"] if ca else []
    command = [PROGRAMS[program], "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", *trust, *flags, "-ign_eof"]
    return await ask(*command, stdin=REQUEST.format(path=path), seconds=seconds)


async def gmtls_client(port, pki, name=None, path="/", ca="ca"):
    """tjfoc's client: ECC_SM4_CBC_SM3, perhaps with its sign certificate alone."""
    own = ["-sign-cert", pki.crt(name), "-sign-key", pki.key(name)] if name else []
    outcome = await ask(GMTLS, "client", "-addr", f"127.0.0.1:{port}", "-path", path, "-ca", pki.crt(ca), *own)
    agreed = _first(r"suite (0x[0-9a-f]{4})", outcome.text)
    outcome.cipher = {"0xe013": "ECC_SM4_CBC_SM3"}.get(agreed, agreed)
    outcome.status = _first(r"^(\d{3})\b", outcome.text)
    return outcome


async def gmssl_client(port, pki, path="/", ca="ca"):
    """GmSSL's client: ECC_SM4_CBC_SM3 without a certificate.

    It takes turns between its input and the server; the number of lines must be odd for it to listen after the last.
    """
    command = [GMSSL, "tlcp_client", "-host", "127.0.0.1", "-port", str(port), "-cacert", pki.crt(ca)]
    return await ask(*command, stdin=REQUEST.format(path=path).replace("\r\nConn", "\r\nAccept: */*\r\nConn"))


RIGHT_ID, WRONG_ID = "TLSv1.3+GM+Cipher+Suite", "1234567812345678"


def bouncycastle(role, port, suite, identity=RIGHT_ID, own=()):
    """BouncyCastle's command line: curveSM2, its CertificateVerify signed under the given identifier."""
    return ["java", "-cp", f"{BOUNCY}/lib/*:{BOUNCY}/classes", "Peer", role, str(port), suite, identity, *own]


async def bouncycastle_client(port, pki, suite, name=None, identity=RIGHT_ID):
    own = [pki.crt(name), pki.key(name)] if name else []
    outcome = await ask(*bouncycastle("client", port, suite, identity, own), seconds=40)
    outcome.alert = _first(r"_[a-z]+\((\d+)\)", outcome.text)
    return outcome


def bouncycastle_server(port, pki, suite, identity=RIGHT_ID):
    """It asks every client for a certificate and is content without."""
    return Server(port, bouncycastle("server", port, suite, identity, [pki.crt("server"), pki.key("server")]))


class Server:
    """A peer that serves until it is stopped."""

    def __init__(self, port, command):
        self.port, self.command = port, command
        self.process, self.output, self._reading = None, bytearray(), None

    async def start(self):
        """Runs it and waits until it listens: some say so, some do not, and a connection to try would be one to serve."""
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        self._reading = asyncio.ensure_future(self._read())
        deadline = time.monotonic() + 40
        while not listens(self.port):
            if self.process.returncode is not None or time.monotonic() > deadline:
                await self.stop()
                raise RuntimeError(f"{' '.join(self.command)} did not start: {self.output[-800:].decode('utf-8', 'replace')}")
            await asyncio.sleep(0.02)
        return self

    async def _read(self):
        while part := await self.process.stdout.read(65536):
            self.output.extend(part)
            del self.output[:-100_000]

    async def stop(self):
        if self.process:
            await kill(self.process)
        if self._reading:
            await self._reading


def listens(port):
    """Whether any socket listens on this port, as the kernel tells."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as rows:
            next(rows)
            for row in rows:
                _, local, _, state = row.split()[:4]
                if state == "0A" and int(local.rsplit(":", 1)[1], 16) == port:
                    return True
    return False


def s_server(program, port, *flags, ca=None):
    """s_server of OpenSSL or Tongsuo, which answers with a page about the connection; `ca` makes it want clients' certificates."""
    mutual = ["-Verify", "3", "-verify_return_error", "-CAfile", ca] if ca else []
    return Server(port, [PROGRAMS[program], "s_server", "-accept", f"127.0.0.1:{port}", *flags, *mutual, "-www"])


def gmtls_server(port, pki, name="server", ca=None):
    pair = ["-sign-cert", pki.crt(name), "-sign-key", pki.key(name), "-enc-cert", pki.crt(f"{name}-enc"), "-enc-key", pki.key(f"{name}-enc")]
    mutual = ["-ca", ca] if ca else []
    return Server(port, [GMTLS, "server", "-addr", f"127.0.0.1:{port}", *pair, *mutual])


def gmssl_server(port, pki):
    """GmSSL's server echoes what it is sent. Its keys are in a form of its own, so it makes them."""
    command = [GMSSL, "tlcp_server", "-port", str(port), "-cert", pki.path("gmssl.pem"), "-key", pki.path("gmssl.key"), "-pass", "1234",
               "-ex_key", pki.path("gmssl-enc.key"), "-ex_pass", "1234"]
    return Server(port, command)
