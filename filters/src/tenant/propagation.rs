//! Telling others who the tenant is, and keeping clients from telling it.

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Request;
use http::Response;
use palanquin_filter_api::Body;
use palanquin_filter_api::MetadataMap;
use palanquin_filter_api::MetadataValue;
use palanquin_filter_api::StreamCx;

use super::policy::Policy;
use super::state::Tenant;

/// The key of filter state and the namespace of metadata.
const KEY: &str = "palanquin.tenant";
/// The member of `baggage`.
const BAGGAGE_MEMBER: &str = "tenant.id";
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// `palanquin.tenant.v1.Propagation`.
#[derive(Debug)]
pub(super) struct Propagation {
    /// Set to the tenant's id; what a client sends under this name never goes on.
    pub(super) request_header: HeaderName,
    pub(super) baggage: bool,
    pub(super) span_attributes: bool,
    /// Dynamic metadata with id, tier, cell and source.
    pub(super) metadata: bool,
    pub(super) response_header: bool,
}

impl Propagation {
    /// The request has no tenant.
    pub(super) fn clear(&self, request: &mut Request<Body>) {
        request.headers_mut().remove(&self.request_header);
        if self.baggage {
            set_baggage(request.headers_mut(), None);
        }
    }

    pub(super) fn apply(
        &self,
        tenant: &Tenant,
        policy: &Policy,
        source: &'static str,
        request: &mut Request<Body>,
        cx: &mut StreamCx,
    ) {
        let headers = request.headers_mut();
        headers.insert(self.request_header.clone(), tenant.header().clone());
        if self.baggage {
            set_baggage(headers, Some(tenant.id()));
        }
        cx.filter_state.insert(KEY, Arc::clone(tenant.id()));
        let cell = policy.routing.as_ref().map(|routing| &routing.cell);
        let cell = cell.filter(|cell| !cell.is_empty());
        if self.span_attributes {
            cx.span_attributes.push(("tenant.id", Arc::clone(tenant.id())));
            cx.span_attributes.push(("tenant.tier", Arc::clone(&policy.tier)));
            cx.span_attributes.extend(cell.map(|cell| ("tenant.cell", Arc::clone(cell))));
        }
        if self.metadata {
            let text = |text: &Arc<str>| MetadataValue::String(Arc::clone(text));
            let mut fields = MetadataMap::from([
                (Arc::from("id"), text(tenant.id())),
                (Arc::from("source"), MetadataValue::String(Arc::from(source))),
                (Arc::from("tier"), text(&policy.tier)),
            ]);
            fields.extend(cell.map(|cell| (Arc::from("cell"), text(cell))));
            cx.metadata.merge(KEY, fields);
        }
    }

    pub(super) fn respond(&self, tenant: &Tenant, response: &mut Response<Body>) {
        if self.response_header {
            response.headers_mut().insert(self.request_header.clone(), tenant.header().clone());
        }
    }
}

/// Replaces our member of the `baggage` list; the others go on as they came (W3C Baggage §3.3).
fn set_baggage(headers: &mut HeaderMap, id: Option<&str>) {
    let is_ours = |member: &str| {
        member.split_once('=').is_some_and(|(name, _)| name.trim() == BAGGAGE_MEMBER)
    };
    let mut members: Vec<String> = Vec::new();
    for value in headers.get_all(&BAGGAGE) {
        // A list that is no text cannot be searched for our member, so it does not go on.
        let Ok(list) = value.to_str() else { continue };
        let others = list.split(',').map(str::trim).filter(|one| !one.is_empty() && !is_ours(one));
        members.extend(others.map(str::to_owned));
    }
    members.extend(id.map(|id| format!("{BAGGAGE_MEMBER}={id}")));
    if members.is_empty() {
        headers.remove(&BAGGAGE);
    } else if let Ok(value) = HeaderValue::from_str(&members.join(",")) {
        headers.insert(BAGGAGE, value);
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::set_baggage;

    #[test]
    fn a_clients_own_member_is_replaced_and_the_others_stay() {
        let mut headers = HeaderMap::new();
        headers.append("baggage", HeaderValue::from_static("a=1, tenant.id=evil;p=1"));
        headers.append("baggage", HeaderValue::from_static("b=2"));
        set_baggage(&mut headers, Some("acme"));
        assert_eq!(headers.get_all("baggage").iter().count(), 1);
        assert_eq!(headers["baggage"], "a=1,b=2,tenant.id=acme");
        set_baggage(&mut headers, None);
        assert_eq!(headers["baggage"], "a=1,b=2");
    }
}
