//! Weighted clusters.

use palanquin_tests::client::Client;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Upstream;

async fn counts(weights: [u32; 2]) -> [usize; 2] {
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let [to_blue, to_green] = weights;
    let proxy = Proxy::http(
        Http::routes(&format!(
            "
- match: {{ prefix: / }}
  route:
    weighted_clusters:
      clusters: [{{ name: blue, weight: {to_blue} }}, {{ name: green, weight: {to_green} }}]
"
        )),
        &[cluster("blue", &[blue.address]), cluster("green", &[green.address])],
    )
    .await;
    let mut client = Client::http1(proxy.address().await).await;
    for _ in 0..400 {
        client.get("/").await;
    }
    [blue.seen().len(), green.seen().len()]
}

#[tokio::test]
async fn a_cluster_without_weight_gets_nothing() {
    assert_eq!(counts([0, 100]).await, [0, 400]);
}

#[tokio::test]
async fn requests_are_spread_by_weight() {
    let [blue, green] = counts([25, 75]).await;
    assert_eq!(blue + green, 400);
    // Mean 100, standard deviation 8.7: six of them, so that it does not fail by chance.
    assert!((48..=152).contains(&blue), "{blue} of 400 to the cluster of weight 25");
}
