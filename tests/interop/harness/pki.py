"""Certificates as a case wants them: any key, name, validity, usage; chains, revocation lists, OCSP responses."""

import datetime
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
SERVER_AUTH, CLIENT_AUTH = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
UPN = "1.3.6.1.4.1.311.20.2.3"
_PKIS = {}


def new_key(kind):
    """`p256`, `p384`, `p521`, `rsa2048`, `rsa1024`, `rsa3072`, `ed25519`."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key({"p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1}[kind]())


def distinguished(subject):
    """`CN=x,O=y` or a bare common name."""
    oids = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME, "C": NameOID.COUNTRY_NAME,
            "L": NameOID.LOCALITY_NAME, "ST": NameOID.STATE_OR_PROVINCE_NAME, "emailAddress": NameOID.EMAIL_ADDRESS, "UID": NameOID.USER_ID,
            "DC": NameOID.DOMAIN_COMPONENT, "serialNumber": NameOID.SERIAL_NUMBER}
    if isinstance(subject, str):
        subject = [("CN", subject)] if "=" not in subject else [tuple(part.split("=", 1)) for part in subject.split(",")]
    return x509.Name([x509.NameAttribute(oids[name], value) for name, value in subject])


def san_names(dns=(), uri=(), ip=(), email=(), other=()):
    """The general names of a certificate; `other` holds pairs of an OID and a UTF-8 text."""
    out = [x509.DNSName(one) for one in dns] + [x509.UniformResourceIdentifier(one) for one in uri]
    out += [x509.RFC822Name(one) for one in email] + [x509.IPAddress(ipaddress.ip_address(one)) for one in ip]
    return out + [x509.OtherName(x509.ObjectIdentifier(oid), bytes([0x0C, len(text)]) + text.encode()) for oid, text in other]


class Issued:
    """A certificate with its key and who issued it."""

    def __init__(self, name, certificate, key, issuer):
        self.name, self.certificate, self.key, self.issuer = name, certificate, key, issuer

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def key_pem(self, password=None, form=serialization.PrivateFormat.PKCS8):
        secret = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, form, secret).decode()

    def sha256(self):
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def spki(self):
        import base64
        import hashlib
        der = self.certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(der).digest()).decode()


class Pki:
    """Makes certificates once and writes them as files `NAME.pem`, `NAME.key` (chains with `chain`)."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.known = {}

    def __getitem__(self, name):
        return self.known[name]

    def authority(self, name, issuer=None, kind="p256", days=30, path_length=None, **fields):
        return self.make(name, issuer, kind=kind, ca=True, days=days, path_length=path_length, **fields)

    def make(self, name, issuer=None, kind="p256", subject=None, ca=False, start=-1, days=2, eku=(SERVER_AUTH, CLIENT_AUTH), usage=None,
             path_length=None, extra=(), hash_=hashes.SHA256, basic=True, serial=None, san_critical=False, **names):
        """`start` and `days` bound the validity in hours before, and days after now."""
        if name in self.known:
            return self.known[name]
        key = new_key(kind)
        own = distinguished(subject or name)
        signer = self.known[issuer] if issuer else None
        begin = NOW + start * HOUR
        builder = (x509.CertificateBuilder().subject_name(own).issuer_name(signer.certificate.subject if signer else own)
                   .public_key(key.public_key()).serial_number(serial or x509.random_serial_number())
                   .not_valid_before(min(begin, NOW + days * DAY - HOUR)).not_valid_after(NOW + days * DAY))
        if basic:
            builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        if ca:
            builder = builder.add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        elif usage:
            flags = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
                     "crl_sign", "encipher_only", "decipher_only")
            builder = builder.add_extension(x509.KeyUsage(**{flag: flag in usage for flag in flags}), critical=True)
        if eku and not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(eku)), critical=False)
        general = san_names(**names)
        if general:
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=san_critical)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        if signer:
            builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical=critical)
        signing = signer.key if signer else key
        certificate = builder.sign(signing, None if isinstance(signing, ed25519.Ed25519PrivateKey) else hash_())
        made = Issued(name, certificate, key, signer)
        self.known[name] = made
        self.write(f"{name}.pem", made.pem)
        self.write(f"{name}.key", made.key_pem())
        return made

    def write(self, file, content):
        path = self.folder / file
        if path.exists():
            # Both sides of a comparison prepare the same files; a proxy may be reading them.
            return str(path)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def path(self, file):
        return str(self.folder / file)

    def chain(self, file, *names):
        """A file of several certificates."""
        return self.write(file, "".join(self.known[name].pem for name in names))

    def crl(self, file, issuer, revoked=(), start=-1, days=1):
        signer = self.known[issuer]
        begin = min(NOW + start * HOUR, NOW + days * DAY - HOUR)
        builder = x509.CertificateRevocationListBuilder().issuer_name(signer.certificate.subject).last_update(begin).next_update(NOW + days * DAY)
        for name in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(self.known[name].certificate.serial_number).revocation_date(begin).build())
        builder = (builder.add_extension(x509.CRLNumber(1), critical=False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False))
        made = builder.sign(signer.key, hashes.SHA256())
        return self.write(file, made.public_bytes(serialization.Encoding.PEM))

    def ocsp(self, file, name, status="good", start=-1, days=1.0, responder=None, next_update=True):
        one = self.known[name]
        signer = self.known[responder] if responder else one.issuer
        begin = min(NOW + start * HOUR, NOW + days * DAY - HOUR)
        revoked = status == "revoked"
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=one.certificate, issuer=one.issuer.certificate, algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD, this_update=begin,
            next_update=NOW + days * DAY if next_update else None, revocation_time=begin if revoked else None, revocation_reason=None)
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        made = builder.sign(signer.key, hashes.SHA256())
        return self.write(file, made.public_bytes(serialization.Encoding.DER))

    def p12(self, file, name, password=None, chain=()):
        one = self.known[name]
        secret = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        others = [self.known[other].certificate for other in chain] or None
        return self.write(file, pkcs12.serialize_key_and_certificates(name.encode(), one.key, one.certificate, others, secret))


def of(certs):
    """The PKI beside the certificates of a run."""
    key = str(certs.folder)
    if key not in _PKIS:
        _PKIS[key] = fill(Pki(certs.folder / "pki"))
    return _PKIS[key]


def fill(pki):
    """What most cases share."""
    pki.authority("root")
    pki.authority("foreign-root")
    pki.authority("inter", "root")
    pki.authority("inter2", "inter")
    pki.make("srv", "root", dns=["a.test", "localhost"], uri=["spiffe://mesh.test/ns/edge/sa/gateway"], subject="CN=srv,O=Interop")
    pki.make("srv-rsa", "root", kind="rsa2048", dns=["a.test"], subject="srv-rsa")
    pki.make("cli", "root", uri=["spiffe://mesh.test/ns/shop/sa/cart"], dns=["cart.shop.test"], subject="CN=cli,O=Interop")
    pki.make("cli-inter", "inter", uri=["spiffe://mesh.test/ns/shop/sa/inter"])
    pki.make("cli-inter2", "inter2", uri=["spiffe://mesh.test/ns/shop/sa/inter2"])
    pki.chain("cli-inter.chain", "cli-inter", "inter")
    pki.chain("cli-inter2.chain", "cli-inter2", "inter2", "inter")
    pki.make("cli-rsa", "root", kind="rsa2048", uri=["spiffe://mesh.test/ns/shop/sa/rsa"])
    pki.make("cli-foreign", "foreign-root", uri=["spiffe://mesh.test/ns/shop/sa/cart"])
    pki.make("cli-expired", "root", start=-72, days=-1, uri=["spiffe://mesh.test/ns/shop/sa/cart"])
    pki.make("cli-future", "root", start=12, days=3, uri=["spiffe://mesh.test/ns/shop/sa/cart"])
    return pki
