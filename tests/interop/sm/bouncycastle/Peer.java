import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.StringReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Vector;

import org.bouncycastle.crypto.params.ECPrivateKeyParameters;
import org.bouncycastle.crypto.params.ParametersWithID;
import org.bouncycastle.crypto.signers.SM2Signer;
import org.bouncycastle.crypto.util.PrivateKeyFactory;
import org.bouncycastle.tls.*;
import org.bouncycastle.tls.Certificate;
import org.bouncycastle.tls.crypto.Tls13Verifier;
import org.bouncycastle.tls.crypto.TlsCertificate;
import org.bouncycastle.tls.crypto.TlsCryptoParameters;
import org.bouncycastle.tls.crypto.impl.bc.BcTlsCertificate;
import org.bouncycastle.tls.crypto.impl.bc.BcTlsCrypto;
import org.bouncycastle.tls.crypto.impl.bc.BcTlsSM2Signer;
import org.bouncycastle.util.io.pem.PemReader;

/**
 * RFC 8998 by BouncyCastle's low-level API: {@code Peer client|server PORT SUITE ID [CERT KEY]}, curveSM2 only.
 *
 * A server answers each request and asks for a client's certificate; a client asks once and prints the answer. ID is what its own
 * CertificateVerify is signed under: another one than RFC 8998's must be refused. Chains are not judged here, signatures are.
 */
public final class Peer {
    static final byte[] RIGHT_ID = "TLSv1.3+GM+Cipher+Suite".getBytes(StandardCharsets.US_ASCII);
    static final SignatureAndHashAlgorithm SM2 = SignatureScheme.getSignatureAndHashAlgorithm(SignatureScheme.sm2sig_sm3);

    /** Reads certificates whose key verifies SM2: the library's own refuse that scheme. */
    static final BcTlsCrypto CRYPTO = new BcTlsCrypto(new SecureRandom()) {
        @Override
        public TlsCertificate createCertificate(short type, byte[] encoding) {
            try {
                return new Sm2Certificate(this, encoding);
            } catch (java.io.IOException error) {
                throw new IllegalArgumentException(error);
            }
        }
    };

    static final class Sm2Certificate extends BcTlsCertificate {
        Sm2Certificate(BcTlsCrypto crypto, byte[] encoding) throws java.io.IOException {
            super(crypto, encoding);
        }

        @Override
        public Tls13Verifier createVerifier(int scheme) throws java.io.IOException {
            SM2Signer signer = new SM2Signer();
            signer.init(false, new ParametersWithID(getPubKeyEC(), RIGHT_ID));
            ByteArrayOutputStream message = new ByteArrayOutputStream();
            return new Tls13Verifier() {
                public OutputStream getOutputStream() {
                    return message;
                }

                public boolean verifySignature(byte[] signature) {
                    signer.update(message.toByteArray(), 0, message.size());
                    return signer.verifySignature(signature);
                }
            };
        }
    }

    static Vector<Object> vector(Object... all) {
        return new Vector<>(java.util.List.of(all));
    }

    static byte[] pem(String path) throws Exception {
        return new PemReader(new StringReader(Files.readString(Path.of(path)))).readPemObject().getContent();
    }

    /** Who we are: a certificate, its key, and the identifier it signs under. */
    record Identity(String certificate, String key, byte[] id) {
        TlsCredentials credentials(TlsContext context, byte[] requestContext) throws java.io.IOException {
            try {
                TlsCertificate leaf = CRYPTO.createCertificate(CertificateType.X509, pem(certificate));
                Certificate chain = new Certificate(requestContext, new CertificateEntry[] {new CertificateEntry(leaf, null)});
                ECPrivateKeyParameters scalar = (ECPrivateKeyParameters) PrivateKeyFactory.createKey(pem(key));
                BcTlsSM2Signer signer = new BcTlsSM2Signer(CRYPTO, scalar, id);
                return new DefaultTlsCredentialedSigner(new TlsCryptoParameters(context), signer, chain, SM2);
            } catch (java.io.IOException error) {
                throw error;
            } catch (Exception error) {
                throw new java.io.IOException(error);
            }
        }
    }

    static final class Client extends DefaultTlsClient {
        final int suite;
        final Identity own;

        Client(int suite, Identity own) {
            super(CRYPTO);
            this.suite = suite;
            this.own = own;
        }

        @Override
        protected ProtocolVersion[] getSupportedVersions() {
            return ProtocolVersion.TLSv13.only();
        }

        @Override
        protected int[] getSupportedCipherSuites() {
            return new int[] {suite};
        }

        @Override
        protected Vector getSupportedGroups(Vector roles) {
            return vector(NamedGroup.curveSM2);
        }

        @Override
        public Vector getEarlyKeyShareGroups() {
            return vector(NamedGroup.curveSM2);
        }

        @Override
        protected Vector getSupportedSignatureAlgorithms() {
            return vector(SM2);
        }

        @Override
        protected Vector getSNIServerNames() {
            return vector(new ServerName(NameType.host_name, "localhost".getBytes(StandardCharsets.US_ASCII)));
        }

        @Override
        public TlsAuthentication getAuthentication() {
            return new TlsAuthentication() {
                public void notifyServerCertificate(TlsServerCertificate server) {}

                public TlsCredentials getClientCredentials(CertificateRequest request) throws java.io.IOException {
                    return own == null ? null : own.credentials(context, request.getCertificateRequestContext());
                }
            };
        }
    }

    static final class Server extends DefaultTlsServer {
        final int suite;
        final Identity own;

        Server(int suite, Identity own) {
            super(CRYPTO);
            this.suite = suite;
            this.own = own;
        }

        @Override
        protected ProtocolVersion[] getSupportedVersions() {
            return ProtocolVersion.TLSv13.only();
        }

        @Override
        protected int[] getSupportedCipherSuites() {
            return new int[] {suite};
        }

        @Override
        public int[] getSupportedGroups() {
            return new int[] {NamedGroup.curveSM2};
        }

        @Override
        public TlsCredentials getCredentials() throws java.io.IOException {
            return own.credentials(context, TlsUtils.EMPTY_BYTES);
        }

        @Override
        public CertificateRequest getCertificateRequest() throws java.io.IOException {
            return new CertificateRequest(TlsUtils.EMPTY_BYTES, vector(SM2), null, null);
        }

        @Override
        public void notifyClientCertificate(Certificate client) {}
    }

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[1]);
        int suite = arguments[2].equals("TLS_SM4_CCM_SM3") ? CipherSuite.TLS_SM4_CCM_SM3 : CipherSuite.TLS_SM4_GCM_SM3;
        byte[] id = arguments[3].getBytes(StandardCharsets.US_ASCII);
        Identity own = arguments.length > 4 ? new Identity(arguments[4], arguments[5], id) : null;
        if (arguments[0].equals("client")) {
            ask(port, new Client(suite, own));
        } else {
            serve(port, suite, own);
        }
    }

    static void ask(int port, Client client) throws Exception {
        try (Socket socket = new Socket("127.0.0.1", port)) {
            TlsClientProtocol protocol = new TlsClientProtocol(socket.getInputStream(), socket.getOutputStream());
            protocol.connect(client);
            // Who is refused only listens: what it sent unread would reset the connection before the alert is here.
            if (client.own == null || Arrays.equals(client.own.id(), RIGHT_ID)) {
                String request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
                protocol.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
            }
            System.out.write(protocol.getInputStream().readAllBytes());
            System.out.flush();
        }
    }

    static void serve(int port, int suite, Identity own) throws Exception {
        try (ServerSocket listener = new ServerSocket(port, 16, InetAddress.getByName("127.0.0.1"))) {
            while (true) {
                try (Socket socket = listener.accept()) {
                    TlsServerProtocol protocol = new TlsServerProtocol(socket.getInputStream(), socket.getOutputStream());
                    protocol.accept(new Server(suite, own));
                    InputStream from = protocol.getInputStream();
                    for (int blank = 0; blank < 4;) {
                        int octet = from.read();
                        blank = octet == '\r' || octet == '\n' ? blank + 1 : 0;
                    }
                    String answer = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\nbouncycastle";
                    protocol.getOutputStream().write(answer.getBytes(StandardCharsets.US_ASCII));
                    protocol.close();
                } catch (java.io.IOException error) {
                    System.out.println("handshake: " + error);
                }
            }
        }
    }
}
