"""TLS clients that note what a handshake agreed on: Python's `ssl`, `openssl s_client`, and raw bytes."""

import asyncio
import re
import socket
import ssl
import time

from cryptography import x509

from harness.client_h1 import parse_responses

REQUEST = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
VERSIONS = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def context(min_version=None, max_version=None, ciphers=None, curve=None, alpn=(), cert=None, key=None, ca=None, tickets=True):
    """A client's context. It checks nothing without `ca`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = VERSIONS[min_version or "1.2"]
    made.maximum_version = VERSIONS[max_version or "1.3"]
    made.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
    if curve:
        made.set_ecdh_curve(curve)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if cert:
        made.load_cert_chain(cert, key)
    if ca:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(ca)
    if not tickets:
        made.options |= ssl.OP_NO_TICKET
    return made


def handshake(port, made, sni="a.test", request=REQUEST, session=None, seconds=8, keep=None, wait=False):
    """One connection, in this thread: what was agreed, and what was answered. With `wait` it listens for a late refusal before it speaks."""
    seen = {"responses": []}
    try:
        raw = socket.create_connection(("127.0.0.1", port), seconds)
    except OSError as error:
        return {"error": f"connect {type(error).__name__}", "responses": []}
    raw.settimeout(seconds)
    try:
        stream = made.wrap_socket(raw, server_hostname=sni or None, session=session, do_handshake_on_connect=False)
        stream.do_handshake()
    except (OSError, ssl.SSLError) as error:
        raw.close()
        return {"error": error_name(error), "responses": []}
    data = b""
    try:
        seen["version"] = stream.version()
        seen["cipher"] = stream.cipher()[0]
        seen["alpn"] = stream.selected_alpn_protocol()
        leaf = x509.load_der_x509_certificate(stream.getpeercert(True))
        seen["leaf"] = leaf.subject.rfc4514_string()
        seen["reused"] = stream.session_reused
        if wait:
            # In TLS 1.3 the client is done before its certificate is judged; who writes then may lose the alert.
            stream.settimeout(0.5)
            try:
                data += stream.recv(65536)
            except TimeoutError:
                pass
            stream.settimeout(seconds)
        if request:
            stream.sendall(request)
            while part := stream.recv(65536):
                data += part
    except (OSError, ssl.SSLError) as error:
        seen["error"] = error_name(error)
    finally:
        if keep is not None:
            keep.append(stream.session)
        stream.close()
    seen["responses"] = parse_responses(data, ["GET"], True)[0]
    return seen


def error_name(error):
    """Where the handshake ended: an alert's name, or how the connection went."""
    if isinstance(error, ssl.SSLError):
        return error.reason or type(error).__name__
    return type(error).__name__


async def connect(port, made, **fields):
    return await asyncio.to_thread(handshake, port, made, **fields)


async def s_client(port, *arguments, request=REQUEST, seconds=8):
    """`openssl s_client`: the facts that only it prints."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                                                   stderr=asyncio.subprocess.PIPE)
    try:
        out, err = await asyncio.wait_for(process.communicate(request), seconds)
    except asyncio.TimeoutError:
        process.kill()
        await process.communicate()
        return {"error": "timeout", "responses": []}
    text, errors = out.decode("latin-1"), err.decode("latin-1")
    seen = {}
    for key, pattern in FACTS.items():
        if found := re.search(pattern, text, re.MULTILINE | re.DOTALL):
            seen[key] = (found[1] or found[0]).strip()
    if alerts := re.findall(r"(?:ssl3_read_bytes|tls_[a-z_]+|state_machine):([^:\n]+):", errors):
        seen["error"] = alerts[0]
    at = text.find("HTTP/1.1 ")
    seen["responses"] = parse_responses(text[at:].encode("latin-1"), ["GET"], True)[0] if at >= 0 else []
    return seen


FACTS = {
    "version": r"^New, (TLSv1\.[0-9])|^    Protocol  : (\S+)",
    "cipher": r"^New, TLSv1\.[0-9], Cipher is (\S+)",
    "group": r"^(?:Server Temp Key|Negotiated TLS1.3 group): ([^\n]+)",
    "signature": r"^Peer signature type: ([^\n]+)",
    "digest": r"^Peer signing digest: ([^\n]+)",
    "ocsp": r"^OCSP [Rr]esponse: *([^\n]*)",
    "ocsp_status": r"Cert Status: (\S+)",
    "authorities": r"^Acceptable client certificate CA names\n(.*?)\n(?:Client Certificate Types|Requested Signature)",
    "requested": r"^Requested Signature Algorithms: ([^\n]+)",
    "reused": r"^(Reused),",
    "chain": r"^Certificate chain\n(.*?)\n---",
    "lifetime": r"TLS session ticket lifetime hint: (\d+)",
    "alpn": r"^ALPN protocol: (\S+)",
}


def hello(made, sni="a.test"):
    """The first flight of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    engine = made.wrap_bio(incoming, outgoing, server_hostname=sni)
    try:
        engine.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def in_pieces(port, made, cut, sni="a.test", pause=0.0):
    """A handshake whose first flight `cut` makes into a list of byte strings, each sent on its own."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    engine = made.wrap_bio(incoming, outgoing, server_hostname=sni)
    sock = socket.create_connection(("127.0.0.1", port), 8)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(8)
    data, first, sent = b"", True, False
    try:
        while True:
            try:
                if not sent:
                    engine.do_handshake()
                    engine.write(REQUEST)
                    sent = True
                if part := engine.read(65536):
                    data += part
                    continue
                break
            except ssl.SSLWantReadError:
                flight = outgoing.read()
                for piece in (cut(flight) if first else [flight]):
                    if piece:
                        sock.sendall(piece)
                        time.sleep(pause)
                first = False
                more = sock.recv(65536)
                if not more:
                    break
                incoming.write(more)
    except (OSError, ssl.SSLError) as error:
        if not data:
            return {"error": error_name(error), "responses": []}
    finally:
        sock.close()
    return {"responses": parse_responses(data, ["GET"], True)[0]}


def raw(port, data, seconds=3, eof=False):
    """Bytes on a connection, and what came back: the alerts among it."""
    sock = socket.create_connection(("127.0.0.1", port), seconds)
    sock.settimeout(seconds)
    out, how = b"", "open"
    try:
        if data:
            sock.sendall(data)
        if eof:
            sock.shutdown(socket.SHUT_WR)
        while part := sock.recv(65536):
            out += part
        how = "closed"
    except (TimeoutError, socket.timeout):
        pass
    except OSError as error:
        how = type(error).__name__
    finally:
        sock.close()
    return {"how": how, "records": records(out), "responses": []}


def records(data):
    """Types of TLS records; alerts with their level and number."""
    out = []
    while len(data) >= 5 and data[0] in (20, 21, 22, 23):
        length = int.from_bytes(data[3:5], "big")
        body, kind = data[5:5 + length], data[0]
        out.append(f"alert {body[0]} {body[1]}" if kind == 21 and length == 2 else {20: "ccs", 21: "alert", 22: "handshake", 23: "data"}[kind])
        data = data[5 + length:]
    if data:
        out.append(f"bytes {data[:20]!r}")
    return out
