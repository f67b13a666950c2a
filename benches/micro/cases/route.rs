//! Which virtual host and which route.

use std::hint::black_box;

use palanquin::for_benches::RouteFinder;

use super::{Case, config, request};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![route(1, 0, "only")];
    for routes in [100, 1_000] {
        cases.push(route(routes, 0, "first"));
        cases.push(route(routes, routes - 1, "last"));
    }
    cases.push(domain("exact", "host-999.example.com"));
    cases.push(domain("suffix", "a.zone-999.example.com"));
    cases.push(domain("none", "elsewhere.example.org"));
    cases
}

/// The search in one virtual host of prefix routes, for a request that takes the one at `wanted`.
fn route(routes: u32, wanted: u32, place: &str) -> Case {
    Case::new(format!("route/{routes}/{place}"), "route search in one virtual host", move || {
        let rules = config::list(routes, |at| {
            format!("{{match: {{prefix: /service-{at}/}}, route: {{cluster: c}}}}")
        });
        let finder = RouteFinder::new(config::routes(&format!(
            "[{{name: v, domains: ['*'], routes: {rules}}}]"
        )));
        let request = request("example.com", &format!("/service-{wanted}/items?q=1"));
        assert!(finder.has_route(0, &request));
        move || {
            black_box(finder.has_route(0, black_box(&request)));
        }
    })
}

/// The search among 1,000 virtual hosts, each with an exact domain and a wildcard.
fn domain(kind: &'static str, host: &'static str) -> Case {
    Case::new(format!("domain/1000/{kind}"), "virtual host search", move || {
        let hosts = config::list(1_000, |at| {
            format!(
                "{{name: v{at}, domains: [host-{at}.example.com, '*.zone-{at}.example.com'], \
                 routes: [{{match: {{prefix: /}}, route: {{cluster: c}}}}]}}"
            )
        });
        let finder = RouteFinder::new(config::routes(&hosts));
        let request = request(host, "/");
        let expected = (kind != "none").then_some(999);
        assert_eq!(finder.virtual_host(&request), expected);
        move || {
            black_box(finder.virtual_host(black_box(&request)));
        }
    })
}
