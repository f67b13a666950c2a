//! The results as tables of Markdown.

use std::fmt::Write as _;

use crate::scenario::Scenario;
use crate::scenario::Turn;
use crate::scenario::Work;

/// Ours and each peer's turns, by scenario.
pub(crate) type Results = [(Scenario, Vec<Turn>, Vec<Vec<Turn>>)];

/// Prints both tables.
#[expect(clippy::print_stdout, reason = "it is what the program is for")]
pub(crate) fn print(peers: &[&str], results: &Results) {
    let shakes = |work| !matches!(work, Work::Records { .. });
    print!("{}", table(peers, results, "handshake", ["server", "client"], shakes));
    println!();
    let records = |work| matches!(work, Work::Records { .. });
    print!("{}", table(peers, results, "record", ["sealing", "opening"], records));
}

fn table(
    peers: &[&str],
    results: &Results,
    what: &str,
    ends: [&str; 2],
    wanted: impl Fn(Work) -> bool,
) -> String {
    let mut text = format!("| {what} | {}, us | {}, us |", ends[0], ends[1]);
    for peer in peers {
        let _ = write!(text, " {peer}, us | {} of {peer} | {} |", ends[0], ends[1]);
    }
    let columns = text.matches('|').count() - 1;
    let _ = write!(text, "\n{}|\n", "|---".repeat(columns));
    for (scenario, ours, theirs) in results.iter().filter(|(one, ..)| wanted(one.work)) {
        let (server, client) = (median(ours, |turn| turn.server), median(ours, |turn| turn.client));
        let _ = write!(text, "| {scenario} | {} | {} |", short(server), short(client));
        for turns in theirs {
            if turns.is_empty() {
                text.push_str(" - | - | - |");
                continue;
            }
            let (at_server, at_client) =
                (median(turns, |turn| turn.server), median(turns, |turn| turn.client));
            let ratio = |side: fn(&Turn) -> f64| {
                middle(ours.iter().zip(turns).map(|(ours, theirs)| side(theirs) / side(ours)))
            };
            let _ = write!(
                text,
                " {} / {} | **{:.2}x** | {:.2}x |",
                short(at_server),
                short(at_client),
                ratio(|turn| turn.server),
                ratio(|turn| turn.client),
            );
        }
        text.push('\n');
    }
    text
}

fn median(turns: &[Turn], side: fn(&Turn) -> f64) -> f64 {
    middle(turns.iter().map(side))
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Three digits.
fn short(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}
