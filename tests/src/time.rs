//! Limits for what a test waits for.

use std::future::Future;
use std::time::Duration;

/// How long anything may take that should happen at once. Generous: machines that test are busy.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Waits for `what`, at most [`LIMIT`].
///
/// # Panics
/// It did not happen.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let outcome = tokio::time::timeout(LIMIT, future).await;
    outcome.unwrap_or_else(|_| panic!("within {LIMIT:?} did not happen: {what}"))
}

/// Asks again and again until `ask` has an answer: for what the proxy tells only when asked (statistics).
///
/// # Panics
/// There was none within [`LIMIT`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    within(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}
