//! What a leaf certificate says.

use std::net::IpAddr;

use crate::ExtendedUsage;
use crate::San;
use crate::Usage;
use crate::Validity;

/// What a leaf certificate says. Nothing is checked: a test may ask for nonsense.
#[derive(Debug, Clone)]
pub struct Leaf {
    pub(crate) common_name: Option<String>,
    pub(crate) organization: Option<String>,
    pub(crate) names: Vec<San>,
    pub(crate) usage: Option<Usage>,
    pub(crate) extended: Vec<ExtendedUsage>,
    pub(crate) validity: Option<Validity>,
}

impl Leaf {
    /// A server's, without names yet: `digitalSignature`, `serverAuth`, valid as long as its authority's default says.
    pub fn server(common_name: &str) -> Self {
        Self {
            common_name: Some(common_name.to_owned()),
            organization: None,
            names: Vec::new(),
            usage: Some(Usage::SIGN),
            extended: vec![ExtendedUsage::ServerAuth],
            validity: None,
        }
    }

    /// A client's: as a server's, but `clientAuth`.
    pub fn client(common_name: &str) -> Self {
        Self { extended: vec![ExtendedUsage::ClientAuth], ..Self::server(common_name) }
    }

    /// A proxy's, which is server and client: `serverAuth` and `clientAuth`.
    pub fn both(common_name: &str) -> Self {
        let both = vec![ExtendedUsage::ServerAuth, ExtendedUsage::ClientAuth];
        Self { extended: both, ..Self::server(common_name) }
    }

    /// A workload's of a mesh, which is server and client: a SPIFFE ID and no subject (X509-SVID §2, §4).
    pub fn workload(spiffe_id: &str) -> Self {
        Self { common_name: None, ..Self::both("") }.uri(spiffe_id)
    }

    /// Adds a DNS name.
    #[must_use]
    pub fn dns(self, name: &str) -> Self {
        self.san(San::Dns(name.to_owned()))
    }

    /// Adds an address.
    #[must_use]
    pub fn ip(self, address: IpAddr) -> Self {
        self.san(San::Ip(address))
    }

    /// Adds a URI.
    #[must_use]
    pub fn uri(self, uri: &str) -> Self {
        self.san(San::Uri(uri.to_owned()))
    }

    /// Adds a name of any sort.
    #[must_use]
    pub fn san(mut self, name: San) -> Self {
        self.names.push(name);
        self
    }

    /// The subject's organization.
    #[must_use]
    pub fn organization(mut self, organization: &str) -> Self {
        self.organization = Some(organization.to_owned());
        self
    }

    /// What the key may do; `None` leaves the extension out, which allows everything.
    #[must_use]
    pub fn usage(mut self, usage: Option<Usage>) -> Self {
        self.usage = usage;
        self
    }

    /// What it may be shown for; none leaves the extension out, which allows everything.
    #[must_use]
    pub fn extended(mut self, usages: &[ExtendedUsage]) -> Self {
        self.extended = usages.to_vec();
        self
    }

    /// When it holds.
    #[must_use]
    pub fn validity(mut self, validity: Validity) -> Self {
        self.validity = Some(validity);
        self
    }
}
