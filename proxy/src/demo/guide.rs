//! What the demo prints first: where everything is, and the commands to try.

use std::path::Path;

use super::Places;

/// The text. Every command is one line of its own that begins with `curl`, `(for` or `printf`.
pub(super) fn text(places: &Places, directory: &Path) -> String {
    let Places { proxy, admin, plane, switch, collector, blue, green } = places;
    let port = proxy.port();
    let directory = directory.display();
    let acme = format!("curl -K {directory}/acme.curl");
    let guest = format!("curl -K {directory}/guest.curl");
    let request = r"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let tls13 = format!(
        "-tls1_3 -ciphersuites TLS_SM4_GCM_SM3 -groups curveSM2 -sigalgs sm2sig_sm3 -CAfile {directory}/sm-ca.pem \
         -cert {directory}/sm-acme.pem -key {directory}/sm-acme.key"
    );
    let tlcp = format!(
        "-enable_ntls -ntls -cipher ECDHE-SM2-SM4-GCM-SM3 -CAfile {directory}/sm-ca.pem \
         -sign_cert {directory}/sm-acme.pem -sign_key {directory}/sm-acme.key \
         -enc_cert {directory}/sm-acme-enc.pem -enc_key {directory}/sm-acme-enc.key"
    );
    format!(
        r"Palanquin demo: everything runs in this process, on loopback.

  proxy          https://localhost:{port}   mutual TLS on both sides, configured over ADS
  admin          http://{admin}
  control plane  {plane} (ADS), http://{switch} (its switch)
  span receiver  {collector}
  upstreams      blue {blue}, green {green}
  certificates   {directory}

Try in another terminal. Traces appear here.

Two tenants, two upstreams: acme is known by the SPIFFE id of its certificate, beta by the host.
  {acme} https://localhost:{port}/
  {guest} https://beta.demo.localhost:{port}/

A breaker for one tenant alone: acme may have two requests at a time at an upstream. Of five, three are
refused at once with 503; the same upstream answers all five of a client without a tenant.
  (for i in 1 2 3 4 5; do {acme} -s -o /dev/null -w '%{{http_code}} ' https://localhost:{port}/slow & done; wait)
  (for i in 1 2 3 4 5; do {guest} -s -o /dev/null -w '%{{http_code}} ' https://localhost:{port}/slow & done; wait)

A live change of a route: who has no tenant is sent where the control plane says.
  {guest} https://localhost:{port}/
  curl -X POST http://{switch}/route/green
  {guest} https://localhost:{port}/

A trace that goes on: the proxy's spans belong to the trace of the client.
  {acme} -H 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' https://localhost:{port}/

Who may not come in, and what the proxy knows:
  curl --cacert {directory}/ca.pem https://localhost:{port}/
  curl http://{admin}/clusters
  curl http://{admin}/tenants

The same with the national suites, for who has Tongsuo: RFC 8998, and TLCP with two certificates.
  printf '{request}' | tongsuo s_client -quiet -connect localhost:{port} {tls13}
  printf '{request}' | tongsuo s_client -quiet -connect localhost:{port} {tlcp}

Ctrl-C ends the demo and removes the certificates.
"
    )
}
