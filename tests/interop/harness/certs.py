"""Certificates of a run: one authority, a server, clients with SPIFFE identities, and a client of a foreign authority."""

import datetime
import ipaddress
import pathlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER_NAMES = ["localhost", "a.test", "b.test", "*.wild.test", "origin.test"]


class Certs:
    """Files of a certificate folder: `NAME.crt` and `NAME.key` for each name, and `ca.crt`."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        ca = _authority("Interop CA")
        foreign = _authority("Foreign CA")
        self._write("ca", *ca)
        self._write("foreign-ca", *foreign)
        self._write("server", *_leaf("server", ca, dns=SERVER_NAMES))
        self._write("second", *_leaf("second", ca, dns=["b.test"]))
        self._write("client", *_leaf("client", ca, uri=["spiffe://mesh.test/ns/shop/sa/cart"], dns=["cart.shop.test"]))
        self._write("other", *_leaf("other", ca, uri=["spiffe://mesh.test/ns/shop/sa/other"]))
        self._write("foreign", *_leaf("foreign", foreign, uri=["spiffe://mesh.test/ns/shop/sa/cart"]))

    def _write(self, name, certificate, key):
        (self.folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (self.folder / f"{name}.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))

    def crt(self, name):
        return str(self.folder / f"{name}.crt")

    def key(self, name):
        return str(self.folder / f"{name}.key")

    def pem(self, name):
        return (self.folder / f"{name}.crt").read_text()

    def client(self, name=None, alpn=("http/1.1",), check=False):
        """A client's context that presents `name`, or nothing."""
        context = ssl.create_default_context(cafile=self.crt("ca"))
        if not check:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if name:
            context.load_cert_chain(self.crt(name), self.key(name))
        return context

    def server(self, name="server", alpn=("http/1.1",), mutual=False):
        """An origin's context; `mutual` asks for a certificate of our authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.crt(name), self.key(name))
        context.set_alpn_protocols(list(alpn))
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.crt("ca"))
        return context


def _name(common):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject, issuer, key):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2)))


def _authority(common):
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    built = (_builder(common, _name(common), key)
             .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
             .add_extension(usage, critical=True)
             .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False))
    return built.sign(key, hashes.SHA256()), key


def _leaf(common, authority, dns=(), uri=()):
    issuer, issuer_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(name) for name in dns] + [x509.UniformResourceIdentifier(one) for one in uri]
    if common == "server":
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    built = (_builder(common, issuer.subject, key)
             .add_extension(x509.SubjectAlternativeName(names), critical=False)
             .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
             .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
             .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False))
    return built.sign(issuer_key, hashes.SHA256()), key
