//! From the workers' queue to the collectors: one task per collector, so that one that hangs delays
//! nobody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use palanquin_config::ir::tracing::Exporter;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::tracing as stat;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tracing::warn;

use super::otlp::Collector;
use super::record::SpanRecord;

/// Records in one export.
const BATCH: usize = 512;
/// Batches that may wait for a collector: 32 of at most 512 records, about 10 MB.
const QUEUE: usize = 32;

/// Gives a channel to the cluster that an exporter names. It must not wait: a channel connects when it
/// is used, and again when it broke.
pub type Connect = Box<dyn Fn(&Exporter) -> Channel + Send>;

/// Exports what comes from the workers until they are gone, then what is left, for `limit` at most.
/// Spans that find a queue full or are not taken by the collector are counted as dropped. Runs on the
/// control thread's runtime.
pub async fn export(
    mut records: mpsc::Receiver<Vec<SpanRecord>>,
    connect: Connect,
    stats: Arc<Scope>,
    limit: Duration,
) {
    let mut queues: HashMap<Arc<Exporter>, mpsc::Sender<Vec<SpanRecord>>> = HashMap::new();
    let mut tasks = JoinSet::new();
    while let Some(batch) = records.recv().await {
        for (exporter, batch) in by_exporter(batch) {
            // A collector whose last configuration went is found closed, and made anew.
            let queue = queues.entry(Arc::clone(&exporter)).or_insert_with(|| {
                let (sender, receiver) = mpsc::channel(QUEUE);
                let channel = connect(&exporter);
                tasks.spawn(send(exporter, channel, receiver, Arc::clone(&stats)));
                sender
            });
            if let Err(refused) = queue.try_send(batch) {
                lost(&stats, &refused.into_inner());
            }
        }
    }
    drop(queues);
    let finished = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(limit, finished).await.is_err() {
        warn!(?limit, "spans were left unsent at the end");
    }
}

/// Sends to one collector, what has gathered meanwhile in one export.
async fn send(
    config: Arc<Exporter>,
    channel: Channel,
    mut queue: mpsc::Receiver<Vec<SpanRecord>>,
    stats: Arc<Scope>,
) {
    let mut collector = Collector::new(&config, channel);
    let mut failures = 0_u64;
    while let Some(mut batch) = queue.recv().await {
        while batch.len() < BATCH
            && let Ok(more) = queue.try_recv()
        {
            batch.extend(more);
        }
        match collector.export(&batch).await {
            Ok(()) => {
                failures = 0;
                stats.inc(stat::BATCHES_SENT);
                stats.add(stat::SPANS_SENT, count(&batch));
            }
            Err(error) => {
                failures += 1;
                // A collector that stays away is told about ever more seldom.
                if failures.is_power_of_two() {
                    warn!(%error, cluster = %config.cluster, failures, "spans were not exported");
                }
                stats.inc(stat::EXPORT_FAILED);
                lost(&stats, &batch);
            }
        }
    }
}

/// Splits a batch; nearly always all of it goes to one exporter.
fn by_exporter(batch: Vec<SpanRecord>) -> Vec<(Arc<Exporter>, Vec<SpanRecord>)> {
    let mut split: Vec<(Arc<Exporter>, Vec<SpanRecord>)> = Vec::new();
    for record in batch {
        match split.iter_mut().find(|(exporter, _)| exporter == record.exporter()) {
            Some((_, records)) => records.push(record),
            None => split.push((Arc::clone(record.exporter()), vec![record])),
        }
    }
    split
}

fn lost(stats: &Scope, batch: &[SpanRecord]) {
    stats.add(stat::SPANS_DROPPED, count(batch));
}

fn count(batch: &[SpanRecord]) -> u64 {
    batch.iter().map(SpanRecord::spans).sum()
}
