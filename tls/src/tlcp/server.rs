//! The server side of TLCP.

use std::sync::Arc;

use palanquin_config::ir::tls::DownstreamTls;
use palanquin_rfc8998 as rfc8998;
use palanquin_tlcp::Alert;
use palanquin_tlcp::ClientAuth;
use palanquin_tlcp::Error;
use palanquin_tlcp::ServerConfig;
use palanquin_tlcp::ServerSessions;
use palanquin_tlcp::stream;
use tokio::io::AsyncWriteExt;

use super::pairs::Pair;
use super::pairs::Pairs;
use super::verify;
use super::verify::PairVerifier;
use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;
use crate::error::TlsError;
use crate::handshake::Secured;
use crate::server;
use crate::sm::error::SmFault;
use crate::sm::pairs::SmPair;
use crate::transport::Peeked;
use crate::transport::Transport;
use crate::verify::Peer;
use crate::verify::PeerVerifier;

/// What a listener needs for clients of TLCP.
#[derive(Debug)]
pub(crate) struct TlcpServer {
    config: Arc<ServerConfig>,
    pairs: Arc<Pairs>,
    verifier: Option<Arc<PeerVerifier>>,
}

impl TlcpServer {
    /// `None` when there is no SM pair, or no suite of TLCP for it.
    ///
    /// # Errors
    /// Pairs and trust that cannot be used.
    pub(crate) fn build(
        tls: &DownstreamTls,
        pairs: &[SmPair],
    ) -> Result<Option<Self>, TlsConfigError> {
        let common = &tls.common;
        let sm = &common.params.sm;
        let suites = super::suites(&sm.tlcp_suites);
        let tlcp_only = sm.is_named && sm.tls13_suites.is_empty() && !suites.is_empty();
        if tlcp_only && pairs.iter().any(|pair| pair.encryption.is_none()) {
            let fault = TlsConfigFault::Sm(SmFault::NoPair);
            return Err(TlsConfigError::new("common_tls_context.tls_certificates", fault));
        }
        let whole = pairs.iter().filter(|pair| pair.encryption.is_some());
        let pairs = whole.map(Pair::load).collect::<Result<Vec<_>, _>>()?;
        let Some(pairs) = Pairs::new(pairs).filter(|_| !suites.is_empty()).map(Arc::new) else {
            return Ok(None);
        };
        let context = common.validation.as_ref().map(server::validation_context).transpose()?;
        let verifier = context
            .map(|context| {
                PeerVerifier::build(context, rfc8998::verify::CERTIFICATES, Peer::Client)
            })
            .transpose()?
            .map(Arc::new);
        let signatures = rfc8998::verify::HANDSHAKE;
        let asks = server::client_verifier(tls, context, verifier.as_ref(), signatures);
        // Who asks for nothing has no hints to give, and rustls panics when asked for them.
        let hints =
            if asks.offer_client_auth() { asks.root_hint_subjects() } else { Default::default() };
        let hints = hints.iter().map(|name| name.as_ref().to_vec()).collect();
        let judge = Arc::new(PairVerifier { peer: verifier.clone(), check_name: false, hints });
        let client_auth = match (asks.offer_client_auth(), asks.client_auth_mandatory()) {
            (false, _) => ClientAuth::None,
            (true, false) => ClientAuth::Optional(judge),
            (true, true) => ClientAuth::Required(judge),
        };
        let sessions = tls
            .resumption
            .stateful
            .then(|| Arc::new(ServerSessions::new(SESSIONS, tls.resumption.timeout)));
        let config = Arc::new(ServerConfig {
            certificates: Arc::clone(&pairs) as _,
            client_auth,
            protocols: common.alpn.iter().map(|protocol| protocol.to_vec()).collect(),
            sessions,
            suites,
        });
        Ok(Some(Self { config, pairs, verifier }))
    }

    /// Shakes hands with a client of TLCP. The future is large; box it.
    ///
    /// # Errors
    /// The handshake failed, and the client was told by an alert.
    pub(crate) async fn handshake(&self, io: Peeked) -> Result<Secured, TlsError> {
        let stream = stream::accept(io, Arc::clone(&self.config)).await.map_err(super::failure)?;
        let established = Arc::clone(stream.established());
        let (peer, forgiven) = match &established.peer {
            Some(pair) => {
                let verifier = self.verifier.as_deref();
                let (validated, forgiven) =
                    verify::validated(verifier, pair, established.resumed, None)?;
                (super::identity(pair, validated), forgiven)
            }
            None => (None, None),
        };
        let local = self.pairs.select(established.server_name.as_deref());
        let local = local.map(|pair| Arc::clone(&pair.identity));
        let info = super::info(&established, peer, local, forgiven, self.verifier.clone());
        Ok(Secured { transport: Transport::Tlcp(Box::new(stream)), info })
    }
}

/// Ends a handshake of TLCP where there is nothing for it.
pub(crate) async fn refuse(mut io: Peeked) -> TlsError {
    let error = Error::Version(VERSION);
    // Alert, version 1.1, two bytes: fatal, protocol_version.
    let record = [21, 1, 1, 0, 2, 2, Alert::PROTOCOL_VERSION.0];
    // The client may be gone already; it is refused in either case.
    drop(io.write_all(&record).await);
    drop(io.shutdown().await);
    TlsError::Tlcp(error)
}

/// Of TLCP.
const VERSION: u16 = 0x0101;

/// How many sessions a context keeps; with the certificates of a client one takes about 3 KiB.
const SESSIONS: usize = 4096;
