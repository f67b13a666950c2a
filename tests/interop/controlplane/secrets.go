package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	secrets "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
)

// Pair is a certificate with its key: DER of the one, PEM of both.
type Pair struct{ der, chain, key []byte }

// Issue makes a certificate that nobody signed but itself.
func Issue(name string) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{"secure.example"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return Pair{}, err
	}
	inner, err := x509.MarshalPKCS8PrivateKey(key)
	return Pair{
		der:   der,
		chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: inner}),
	}, err
}

func inline(bytes []byte) *core.DataSource {
	return &core.DataSource{Specifier: &core.DataSource_InlineBytes{InlineBytes: bytes}}
}

// Secret is a certificate of one pair with the key of another; the same one for a good secret.
func Secret(name string, chain, key Pair) *secrets.Secret {
	return &secrets.Secret{Name: name, Type: &secrets.Secret_TlsCertificate{TlsCertificate: &secrets.TlsCertificate{
		CertificateChain: inline(chain.chain), PrivateKey: inline(key.key),
	}}}
}

// SecureListener serves with a certificate from SDS over ADS.
func SecureListener(name string, port int, routes, secret string) *listener.Listener {
	secure := Listener(name, port, routes, name)
	secure.FilterChains[0].TransportSocket = &core.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &core.TransportSocket_TypedConfig{TypedConfig: packed(&secrets.DownstreamTlsContext{
			CommonTlsContext: &secrets.CommonTlsContext{
				TlsCertificateSdsSecretConfigs: []*secrets.SdsSecretConfig{{Name: secret, SdsConfig: ADS()}},
			},
		})},
	}
	return secure
}

// Secure opens a connection.
func Secure(port int) (*tls.Conn, error) {
	settings := &tls.Config{InsecureSkipVerify: true, ServerName: "secure.example"}
	return tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), settings)
}

// Shows waits until new connections are shown this certificate.
func Shows(port int, want Pair) error {
	return Eventually(10*time.Second, func() error {
		connection, err := Secure(port)
		if err != nil {
			return err
		}
		defer connection.Close()
		if shown := connection.ConnectionState().PeerCertificates[0]; !bytes.Equal(shown.Raw, want.der) {
			return fmt.Errorf("the certificate of %s is shown", shown.Subject)
		}
		return nil
	})
}

// Ask sends a request on an open connection.
func Ask(connection *tls.Conn) error {
	if _, err := fmt.Fprint(connection, "GET / HTTP/1.1\r\nhost: secure.example\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err = body.ReadFrom(response.Body); err == nil && response.StatusCode != 200 {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	return err
}

// rotation brings certificates, good and bad, to a listener that has connections.
func rotation(check func(string, error), protocol Protocol, plane *Plane, world *World, named func(string) string, patience time.Duration) {
	var pairs [2]Pair
	for number := range pairs {
		pair, problem := Issue(fmt.Sprintf("pair %d", number))
		if problem != nil {
			check("certificates can be made", problem)
			return
		}
		pairs[number] = pair
	}
	main := Listener("main", world.Main, "routes", "main")
	check("a listener asks for its certificate", plane.Set(types.Listener, main, SecureListener("secure", world.Extra, "routes", "web")))
	if protocol == StateOfTheWorld {
		// Incrementally go-control-plane says at once that there is none, so that nothing is waited for.
		check("a secret that has not come is shown as warming", world.ExpectDump("dynamic_warming_secrets", "web"))
	}
	check("it serves when the certificate comes", firstOf(
		plane.Set(types.Secret, Secret("web", pairs[0], pairs[0])), Shows(world.Extra, pairs[0])))
	kept, problem := Secure(world.Extra)
	if problem != nil {
		check("a connection can be made", problem)
		return
	}
	defer kept.Close()
	check("a connection serves", Ask(kept))
	for number := 1; number <= 100 && problem == nil; number++ {
		pair := pairs[number%2]
		problem = firstOf(plane.Set(types.Secret, Secret("web", pair, pair)), Ask(kept))
		time.Sleep(4 * time.Millisecond)
	}
	check("an open connection serves through 100 rotations", problem)
	check("the last certificate is shown", Shows(world.Extra, pairs[0]))
	check("good secrets are not rejected", noneOf(plane.Nacked()))
	check("a key of another certificate is rejected with the secret's name", firstOf(
		plane.Set(types.Secret, Secret("web", pairs[1], pairs[0])), plane.ExpectNack(patience, named("web"))))
	check("the last good certificate stays", firstOf(Shows(world.Extra, pairs[0]), Ask(kept)))
	check("a good certificate is taken after it", firstOf(
		plane.Set(types.Secret, Secret("web", pairs[1], pairs[1])), Shows(world.Extra, pairs[1]), Ask(kept)))
	check("the listener goes with its secret", firstOf(
		plane.Set(types.Listener, main), plane.Set(types.Secret),
		Eventually(10*time.Second, func() error { return refused(world.Extra) })))
	check("rotations lose no request", world.Lost(20))
	_ = noneAfter(plane)
}
