"""SM2 certificates as a case wants them, made by OpenSSL's own program: what judges Palanquin is not made by Palanquin."""

import base64
import pathlib
import subprocess

SIGN, ENCRYPTION = "digitalSignature", "keyEncipherment,dataEncipherment,keyAgreement"
LOCAL = "DNS:localhost,IP:127.0.0.1"
CLIENT_URI = "spiffe://mesh.test/ns/shop/sa/cart"


class SmPki:
    """Files of a certificate folder: `NAME.crt` and `NAME.key`; authorities are certificates too."""

    def __init__(self, folder, openssl):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.openssl = openssl

    def crt(self, name):
        return str(self.folder / f"{name}.crt")

    def key(self, name):
        return str(self.folder / f"{name}.key")

    def path(self, name):
        return str(self.folder / name)

    def run(self, *arguments):
        command = [self.openssl, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def new_key(self, name, curve="SM2"):
        self.run("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}", "-out", f"{name}.key")

    def authority(self, name, curve="SM2", issuer=None):
        """A root, or an authority below `issuer`."""
        self.new_key(name, curve)
        extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash"]
        self._certify(name, f"/O=interop/CN={name}", extensions, issuer, curve, ["-days", "30"])
        return self

    def leaf(self, name, usage=SIGN, eku="serverAuth", san=LOCAL, issuer="ca", curve="SM2", expired=False, subject=None, public_key=None):
        """A leaf; `public_key` certifies a key that somebody else holds."""
        if public_key is None:
            self.new_key(name, curve)
        extensions = [f"keyUsage=critical,{usage}", "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]
        if eku:
            extensions.append(f"extendedKeyUsage={eku}")
        if san:
            extensions.append(f"subjectAltName={san}")
        validity = ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"] if expired else ["-days", "30"]
        self._certify(name, subject or f"/O=interop/CN={name}", extensions, issuer, self._curve(issuer), validity, public_key)
        return self

    def pair(self, name, **fields):
        """The two certificates of a TLCP endpoint: `NAME` signs, `NAME-enc` opens."""
        self.leaf(name, usage=SIGN, **fields)
        return self.leaf(f"{name}-enc", usage=ENCRYPTION, subject=f"/O=interop/CN={name}", **fields)

    def broken(self, name, of):
        """A copy of a certificate whose signature is well formed and false."""
        lines = pathlib.Path(self.crt(of)).read_text().split("-----")
        der = bytearray(base64.b64decode(lines[2]))
        der[-1] ^= 1
        text = base64.encodebytes(bytes(der)).decode()
        pathlib.Path(self.crt(name)).write_text(f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n")
        pathlib.Path(self.key(name)).write_text(pathlib.Path(self.key(of)).read_text())
        return self

    def chain(self, name, *names):
        """Certificates in one file."""
        text = "".join(pathlib.Path(self.crt(one)).read_text() for one in names)
        pathlib.Path(self.path(name)).write_text(text)
        return self.path(name)

    def crl(self, name, issuer, *revoked):
        """A list of revoked certificates."""
        database = self.folder / f"{name}.db"
        serials = [self.run("x509", "-in", f"{one}.crt", "-noout", "-serial").strip().split("=")[1] for one in revoked]
        database.write_text("".join(f"R\t300101000000Z\t250101000000Z\t{serial}\tunknown\t/CN=x\n" for serial in serials))
        config = self.folder / f"{name}.cnf"
        config.write_text(f"[ca]\ndefault_ca=c\n[c]\ndatabase={database}\ndefault_md=sm3\ndefault_crl_days=30\n"
                          f"crlnumber={name}.number\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid:always\n")
        (self.folder / f"{name}.number").write_text("01\n")
        self.run("ca", "-config", config.name, "-gencrl", "-cert", f"{issuer}.crt", "-keyfile", f"{issuer}.key", "-out", f"{name}.crl")
        return self.path(f"{name}.crl")

    def _curve(self, name):
        return "SM2" if "SM2" in self.run("pkey", "-in", f"{name}.key", "-noout", "-text") else "P-256"

    def _certify(self, name, subject, extensions, issuer, signer_curve, validity, public_key=None):
        (self.folder / f"{name}.ext").write_text("\n".join(extensions) + "\n")
        digest = ["-sm3", "-sigopt", "distid:1234567812345678"] if signer_curve == "SM2" else ["-sha256"]
        signer = ["-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key"] if issuer else ["-key", f"{name}.key"]
        key = ["-force_pubkey", public_key] if public_key else ["-force_pubkey", self._public(name)] if issuer else []
        self.run("x509", "-new", "-subj", subject, "-extfile", f"{name}.ext", *signer, *key, *digest, *validity, "-out", f"{name}.crt")

    def _public(self, name):
        self.run("pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub")
        return f"{name}.pub"
