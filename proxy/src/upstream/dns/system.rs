//! The system's resolver settings (`/etc/resolv.conf`, `/etc/hosts`), asked by our own stub resolver, which
//! unlike `getaddrinfo` tells the time to live and blocks no thread.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::time::Instant;

use futures_util::future::LocalBoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use palanquin_config::ir::cluster::DnsFamily;

use super::Answer;
use super::Resolve;
use super::ResolveError;

/// Asks the system's name servers. For the control thread; needs a tokio runtime.
#[derive(Debug, Default)]
pub struct SystemResolver {
    /// By [`DnsFamily`]: which records to ask for is a resolver's setting.
    resolvers: [OnceCell<TokioResolver>; 5],
}

impl SystemResolver {
    fn resolver(&self, family: DnsFamily) -> Result<&TokioResolver, NetError> {
        let cell = &self.resolvers[family as usize];
        if let Some(resolver) = cell.get() {
            return Ok(resolver);
        }
        // Without a readable /etc/resolv.conf there still are /etc/hosts and addresses.
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "the system's resolver settings cannot be read");
            let provider = TokioRuntimeProvider::default();
            TokioResolver::builder_with_config(ResolverConfig::default(), provider)
        });
        let options = builder.options_mut();
        options.ip_strategy = match family {
            DnsFamily::All => LookupIpStrategy::Ipv4AndIpv6,
            DnsFamily::Auto => LookupIpStrategy::Ipv6thenIpv4,
            DnsFamily::V4Only => LookupIpStrategy::Ipv4Only,
            DnsFamily::V4Preferred => LookupIpStrategy::Ipv4thenIpv6,
            DnsFamily::V6Only => LookupIpStrategy::Ipv6Only,
        };
        options.use_hosts_file = ResolveHosts::Always;
        // How often to ask is the cluster's business.
        options.cache_size = 0;
        let resolver = builder.build()?;
        Ok(cell.get_or_init(|| resolver))
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        family: DnsFamily,
    ) -> LocalBoxFuture<'a, Result<Answer, ResolveError>> {
        Box::pin(async move {
            if let Ok(address) = host.parse::<IpAddr>() {
                return Ok(Answer { addresses: vec![address], ttl: None });
            }
            let resolver = self.resolver(family).map_err(|error| failed(&error))?;
            match resolver.lookup_ip(host).await {
                Ok(found) => Ok(Answer {
                    addresses: found.iter().collect(),
                    ttl: Some(found.valid_until().saturating_duration_since(Instant::now())),
                }),
                Err(error) if is_answer(&error) => Ok(Answer::default()),
                Err(error) => Err(failed(&error)),
            }
        })
    }
}

/// The name does not exist, or has no address of the family: c-ares' `ENOTFOUND` and `ENODATA`.
fn is_answer(error: &NetError) -> bool {
    use hickory_resolver::net::DnsError;
    use hickory_resolver::proto::op::ResponseCode;
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError)
        }
        _ => false,
    }
}

fn failed(error: &NetError) -> ResolveError {
    ResolveError { reason: error.to_string() }
}
