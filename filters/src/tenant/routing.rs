//! Where a tenant's requests go.

use std::cell::RefCell;
use std::sync::Arc;

use http::StatusCode;
use palanquin_filter_api::LocalReply;
use palanquin_filter_api::ResponseFlags;
use palanquin_filter_api::StreamCx;

use super::policy::Policy;
use super::state::Tenant;

thread_local! {
    /// For names of clusters made of templates.
    static BUFFER: RefCell<String> = const { RefCell::new(String::new()) };
}

/// `palanquin.tenant.v1.Routing`.
#[derive(Debug, Clone)]
pub(super) struct Routing {
    pub(super) target: Target,
    /// The cell, for templates, logs and spans; may be empty.
    pub(super) cell: Arc<str>,
    pub(super) fallback: Fallback,
}

/// What is chosen.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// The route decides.
    Route,
    Cluster(Arc<str>),
    Subset(Vec<(Arc<str>, Arc<str>)>),
    Template(Vec<Piece>),
}

/// A part of a cluster template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Cell,
    /// The route's cluster.
    Cluster,
    Literal(Box<str>),
    Tenant,
    Tier,
}

/// What to do when the cluster does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fallback {
    Fail,
    RouteCluster,
}

/// Chooses the cluster or subset of a request. A request that its route does not forward stays as it is.
pub(super) fn apply(
    policy: &Policy,
    tenant: &Tenant,
    cx: &mut StreamCx,
) -> Result<(), Box<LocalReply>> {
    let Some(routing) = &policy.routing else { return Ok(()) };
    let Some(route_cluster) = &cx.cluster else { return Ok(()) };
    let found = match &routing.target {
        Target::Route => return Ok(()),
        Target::Subset(labels) => {
            cx.subset.extend(labels.iter().cloned());
            return Ok(());
        }
        Target::Cluster(name) => cx.upstreams().find(name),
        Target::Template(pieces) => BUFFER.with_borrow_mut(|name| {
            name.clear();
            for piece in pieces {
                name.push_str(match piece {
                    Piece::Cell => &routing.cell,
                    Piece::Cluster => route_cluster,
                    Piece::Literal(text) => text,
                    Piece::Tenant => tenant.id(),
                    Piece::Tier => &policy.tier,
                });
            }
            cx.upstreams().find(name)
        }),
    };
    match (found, routing.fallback) {
        (Some(cluster), _) => cx.cluster = Some(cluster),
        (None, Fallback::RouteCluster) => {}
        (None, Fallback::Fail) => {
            const DETAILS: &str = "tenant_cluster_not_found";
            let reply = LocalReply::new(StatusCode::SERVICE_UNAVAILABLE, DETAILS);
            return Err(Box::new(reply.with_flags(ResponseFlags::NO_CLUSTER_FOUND)));
        }
    }
    Ok(())
}

/// Reads a template such as `{cluster}-{cell}`; `Err` says what is wrong with it.
pub(super) fn template(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            pieces.push(Piece::Literal(before.into()));
        }
        let Some((name, after)) = after.split_once('}') else {
            return Err(format!("{text:?}: a brace is not closed"));
        };
        pieces.push(match name {
            "cell" => Piece::Cell,
            "cluster" => Piece::Cluster,
            "tenant" => Piece::Tenant,
            "tier" => Piece::Tier,
            other => {
                return Err(format!(
                    "{text:?}: {{{other}}} is unknown; known: {{cluster}}, {{cell}}, {{tenant}}, {{tier}}"
                ));
            }
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.into()));
    }
    if pieces.is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::{Piece, template};

    #[test]
    fn templates_are_texts_with_known_names() {
        assert_eq!(
            template("{cluster}-{cell}").unwrap(),
            [Piece::Cluster, Piece::Literal("-".into()), Piece::Cell]
        );
        assert!(template("{zone}").is_err());
        assert!(template("a{cell").is_err());
        assert!(template("").is_err());
    }
}
