//! Transport sockets: plaintext or TLS.

use std::sync::Arc;

use palanquin_proto::envoy::config::core::v3::TransportSocket;
use palanquin_proto::envoy::config::core::v3::transport_socket::ConfigType;
use palanquin_proto::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
use palanquin_proto::envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;
use prost_types::Any;

use super::Lowering;
use crate::ir::tls::DownstreamTls;
use crate::ir::tls::UpstreamTls;

const RAW_BUFFER: &str = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
const DOWNSTREAM_TLS: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const UPSTREAM_TLS: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

impl Lowering<'_> {
    /// `None` after an error; `Some(None)` is plaintext.
    #[expect(clippy::option_option, reason = "the outer one is a reported error")]
    pub(super) fn downstream_transport(
        &mut self,
        socket: &TransportSocket,
    ) -> Option<Option<Arc<DownstreamTls>>> {
        let any = self.transport_config(socket)?;
        match self.type_name(&any).to_owned().as_str() {
            RAW_BUFFER => Some(None),
            DOWNSTREAM_TLS => self.field("typed_config", |cx| {
                let context = cx.decode::<DownstreamTlsContext>(&any.value)?;
                cx.downstream_tls(&context).map(|tls| Some(Arc::new(tls)))
            }),
            other => {
                self.unknown_transport(other);
                None
            }
        }
    }

    /// `None` after an error; `Some(None)` is plaintext.
    #[expect(clippy::option_option, reason = "the outer one is a reported error")]
    pub(super) fn upstream_transport(
        &mut self,
        socket: &TransportSocket,
    ) -> Option<Option<Arc<UpstreamTls>>> {
        let any = self.transport_config(socket)?;
        match self.type_name(&any).to_owned().as_str() {
            RAW_BUFFER => Some(None),
            UPSTREAM_TLS => self.field("typed_config", |cx| {
                let context = cx.decode::<UpstreamTlsContext>(&any.value)?;
                cx.upstream_tls(&context).map(|tls| Some(Arc::new(tls)))
            }),
            other => {
                self.unknown_transport(other);
                None
            }
        }
    }

    fn transport_config(&mut self, socket: &TransportSocket) -> Option<Any> {
        match &socket.config_type {
            Some(ConfigType::TypedConfig(any)) => self.field("typed_config", |cx| cx.open(any)),
            // The one socket that needs no settings.
            None if socket.name == "envoy.transport_sockets.raw_buffer" => {
                Some(Any { type_url: RAW_BUFFER.to_owned(), value: Vec::new() })
            }
            None => {
                self.error_in("typed_config", "is necessary");
                None
            }
        }
    }

    /// Another socket may encrypt or identify; going on in plaintext would be wrong.
    fn unknown_transport(&mut self, type_name: &str) {
        self.error_in(
            "typed_config",
            format!("transport socket {type_name:?} is not supported yet"),
        )
        .hint("supported: tls, raw_buffer");
    }
}
