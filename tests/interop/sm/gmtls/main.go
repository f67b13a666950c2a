// Command gmtls is a peer of the TLCP suite built on tjfoc/gmsm: a server that answers each request with its own name and the client's common
// name, or a client that prints what it was answered. It knows ECC_SM4_CBC_SM3 and, as a server, clients with certificates.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/tjfoc/gmsm/gmtls"
	"github.com/tjfoc/gmsm/x509"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: gmtls server|client FLAGS"))
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	address := flags.String("addr", "127.0.0.1:0", "address to serve or to call")
	name := flags.String("name", "localhost", "client: the server's name")
	path := flags.String("path", "/", "client: the path asked for")
	ca := flags.String("ca", "", "authorities of the peer; a server with them wants clients' certificates")
	signCert := flags.String("sign-cert", "", "own sign certificate")
	signKey := flags.String("sign-key", "", "its key")
	encCert := flags.String("enc-cert", "", "own encryption certificate")
	encKey := flags.String("enc-key", "", "its key")
	_ = flags.Parse(os.Args[2:])

	config := &gmtls.Config{GMSupport: gmtls.NewGMSupport(), ServerName: *name}
	for _, pair := range [][2]string{{*signCert, *signKey}, {*encCert, *encKey}} {
		if pair[0] != "" {
			certificate, err := gmtls.LoadX509KeyPair(pair[0], pair[1])
			check(err)
			config.Certificates = append(config.Certificates, certificate)
		}
	}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		check(err)
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			fail(fmt.Errorf("%s holds no certificate", *ca))
		}
		config.RootCAs, config.ClientCAs = pool, pool
	}
	switch os.Args[1] {
	case "server":
		if *ca != "" {
			config.ClientAuth = gmtls.RequireAndVerifyClientCert
		}
		serve(*address, config)
	case "client":
		call(*address, *name, *path, config)
	default:
		fail(fmt.Errorf("neither server nor client: %s", os.Args[1]))
	}
}

func serve(address string, config *gmtls.Config) {
	listener, err := gmtls.Listen("tcp", address, config)
	check(err)
	fmt.Println("listening", listener.Addr())
	for {
		connection, err := listener.Accept()
		check(err)
		go func() {
			defer connection.Close()
			secure := connection.(*gmtls.Conn)
			if err := secure.Handshake(); err != nil {
				fmt.Println("handshake:", err)
				return
			}
			reader := bufio.NewReader(secure)
			for {
				request, err := http.ReadRequest(reader)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, request.Body)
				body := "gmtls"
				if peers := secure.ConnectionState().PeerCertificates; len(peers) > 0 {
					body += " " + peers[0].Subject.CommonName
				}
				fmt.Fprintf(secure, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", len(body), body)
				if request.Close {
					return
				}
			}
		}()
	}
}

func call(address, name, path string, config *gmtls.Config) {
	connection, err := gmtls.Dial("tcp", address, config)
	check(err)
	defer connection.Close()
	fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n\r\n", path, name)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	check(err)
	body, err := io.ReadAll(response.Body)
	check(err)
	state := connection.ConnectionState()
	fmt.Printf("version %#04x suite %#04x\n%s\n%s\n", state.Version, state.CipherSuite, response.Status, body)
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "gmtls:", err)
	os.Exit(1)
}
