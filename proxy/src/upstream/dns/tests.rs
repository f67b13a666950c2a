//! Clusters kept resolved by a resolver that the test controls, on virtual time.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use palanquin_filter_api::stats::Registry;

use super::*;
use crate::upstream::testing;

/// Gives answers in order, then none any more.
#[derive(Default)]
struct Scripted(RefCell<VecDeque<Result<Answer, ResolveError>>>);

impl Scripted {
    fn new(answers: impl IntoIterator<Item = Result<Answer, ResolveError>>) -> Rc<Self> {
        Rc::new(Self(RefCell::new(answers.into_iter().collect())))
    }
}

impl Resolve for Scripted {
    fn resolve<'a>(
        &'a self,
        _: &'a str,
        _: DnsFamily,
    ) -> LocalBoxFuture<'a, Result<Answer, ResolveError>> {
        let answer = self.0.borrow_mut().pop_front();
        Box::pin(async move {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "one of two outcomes in a script")]
fn found(addresses: &[u8]) -> Result<Answer, ResolveError> {
    let addresses = addresses.iter().map(|last| ip(*last)).collect();
    Ok(Answer { addresses, ttl: None })
}

fn failed() -> Result<Answer, ResolveError> {
    Err(ResolveError { reason: "timeout".to_owned() })
}

fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn cluster(strict: bool) -> Arc<Cluster> {
    let target = DnsTarget { host: "web".into(), port: 80, template: testing::nowhere(0) };
    let mut config = testing::cluster(Vec::new());
    config.discovery = Discovery::Dns(Dns {
        targets: vec![target],
        localities: Vec::new(),
        overprovisioning_factor: 140,
        strict,
        refresh_rate: Duration::from_secs(5),
        failure_refresh_rate: None,
        respect_ttl: false,
        family: DnsFamily::Auto,
    });
    Cluster::new(Arc::new(config), &Registry::new(1), None).unwrap()
}

/// Resolves until `seconds` have passed.
async fn resolve(cluster: &Arc<Cluster>, resolver: Rc<Scripted>, seconds: u64) {
    let keep = keep_resolved(Arc::clone(cluster), resolver);
    drop(tokio::time::timeout(Duration::from_secs(seconds), keep).await);
}

fn names(cluster: &Cluster) -> Vec<String> {
    cluster.hosts().members().iter().map(|member| member.host.name().to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_address_is_an_endpoint_of_a_strict_cluster() {
    let cluster = cluster(true);
    assert!(!cluster.is_warm());
    resolve(&cluster, Scripted::new([found(&[1, 2, 2])]), 1).await;
    assert_eq!(names(&cluster), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert!(cluster.is_warm());
    assert_eq!(&*cluster.hosts().members()[0].endpoint.hostname, "web");
}

#[tokio::test(start_paused = true)]
async fn changed_addresses_replace_endpoints_and_a_host_that_stays_is_the_same() {
    let cluster = cluster(true);
    resolve(&cluster, Scripted::new([found(&[1, 2])]), 1).await;
    let before = Arc::clone(&cluster.hosts().members()[1].host);
    resolve(&cluster, Scripted::new([found(&[1, 2]), found(&[2, 3])]), 6).await;
    assert_eq!(names(&cluster), ["10.0.0.2:80", "10.0.0.3:80"]);
    assert!(Arc::ptr_eq(&before, &cluster.hosts().members()[0].host));
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_the_last_good_endpoints() {
    let cluster = cluster(true);
    resolve(&cluster, Scripted::new([found(&[1]), failed()]), 6).await;
    assert_eq!(names(&cluster), ["10.0.0.1:80"]);
    assert_eq!(cluster.stats().counter(stat::UPDATE_FAILURE), 1);
    assert_eq!(cluster.stats().counter(stat::UPDATE_SUCCESS), 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_without_an_address_empties_the_cluster() {
    let cluster = cluster(true);
    resolve(&cluster, Scripted::new([found(&[1]), found(&[])]), 6).await;
    assert!(names(&cluster).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_first_failure_warms_the_cluster_too() {
    let cluster = cluster(true);
    resolve(&cluster, Scripted::new([failed()]), 1).await;
    assert!(cluster.is_warm());
    cluster.warmed().await;
}

#[tokio::test(start_paused = true)]
async fn a_logical_cluster_stays_with_its_address_while_the_name_has_it() {
    let cluster = cluster(false);
    let resolver = Scripted::new([found(&[1, 2]), found(&[2, 1]), found(&[3, 2])]);
    let keep = keep_resolved(Arc::clone(&cluster), resolver);
    let mut keep = std::pin::pin!(keep);
    for (seconds, expected) in [(4, "10.0.0.1:80"), (5, "10.0.0.1:80"), (5, "10.0.0.3:80")] {
        drop(tokio::time::timeout(Duration::from_secs(seconds), &mut keep).await);
        assert_eq!(names(&cluster), [expected]);
    }
}

#[tokio::test]
async fn the_system_resolver_knows_addresses_and_the_hosts_file() {
    let resolver = SystemResolver::default();
    let address = resolver.resolve("10.0.0.9", DnsFamily::Auto).await.unwrap();
    assert_eq!(address.addresses, [ip(9)]);
    let localhost = resolver.resolve("localhost", DnsFamily::V4Only).await.unwrap();
    assert_eq!(localhost.addresses, [IpAddr::from(Ipv4Addr::LOCALHOST)]);
}
