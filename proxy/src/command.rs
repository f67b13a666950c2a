//! What each command does.

use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use palanquin_config::extension::Registry as Filters;
use palanquin_config::file::UnknownFields;
use palanquin_config::lower::Environment;
use palanquin_config::short;
use palanquin_filter_api::stats;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cert;
use crate::cert::CertArgs;
use crate::cli::Cli;
use crate::cli::Command;
use crate::cli::LogLevel;
use crate::cli::Mode;
use crate::cli::RunArgs;
use crate::config_source::ConfigSource;
use crate::listener::ActiveListener;
use crate::server::Extensions;
use crate::server::Options;
use crate::server::Running;
use crate::server::SetLogLevel;
use crate::server::Signals;
use crate::upstream::Cluster;

/// Runs a command line.
pub fn run(cli: Cli, extensions: Extensions) -> ExitCode {
    match cli.command {
        Some(Command::Check { file }) => {
            let source = ConfigSource { path: Some(file), ..ConfigSource::default() };
            check(&source, &extensions.filters)
        }
        Some(Command::Expand { file }) => expand(&file),
        Some(Command::Demo(args)) => crate::demo::run(&args, extensions),
        Some(Command::Cert(args)) => make_certificates(&args),
        None => serve(&cli.run, extensions),
    }
}

fn source(args: &RunArgs) -> ConfigSource {
    ConfigSource {
        path: args.config_path.clone(),
        text: args.config_yaml.clone(),
        identity: args.identity(),
        unknown_fields: if args.allow_unknown_static_fields {
            UnknownFields::Warn
        } else {
            UnknownFields::Reject
        },
    }
}

fn serve(args: &RunArgs, extensions: Extensions) -> ExitCode {
    let log_level = match start_log(args) {
        Ok(log_level) => log_level,
        Err(error) => return fail(&format!("cannot write the log: {error}")),
    };
    let source = source(args);
    if args.mode != Mode::Serve {
        return check(&source, &extensions.filters);
    }
    for flag in args.without_effect.given() {
        tracing::warn!(flag, "this flag has no effect");
    }
    let concurrency = args
        .concurrency
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let options = Options {
        concurrency,
        drain_time: args.drain_time(),
        source,
        signals: Signals::Handle,
        file_log_level: args.log_level.is_none().then(|| log_level.clone()),
        log_level: Some(log_level),
    };
    match Running::start(options, extensions) {
        Ok(running) => {
            if let Some((path, address)) = args.admin_address_path.as_ref().zip(running.admin())
                && let Err(error) = std::fs::write(path, address.to_string())
            {
                tracing::error!(%error, path = %path.display(), "cannot write the admin address");
            }
            running.wait();
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error.to_string()),
    }
}

/// Loads everything a configuration refers to, but serves nothing.
fn check(source: &ConfigSource, filters: &Filters) -> ExitCode {
    let stats = stats::Registry::new(1);
    let usable = match source.load(Environment { filters, stats: &stats }) {
        Ok(usable) => usable,
        Err(error) => return fail(&error.to_string()),
    };
    let mut errors = Vec::new();
    for cluster in &usable.ir.clusters {
        if let Err(error) = Cluster::new(Arc::clone(cluster), &stats, None) {
            errors.push(format!("cluster {}: {error}", cluster.name));
        }
    }
    for listener in &usable.ir.listeners {
        let active = ActiveListener::build(Arc::clone(listener), &stats);
        if let Err((chain, error)) = active {
            errors.push(format!("listener {}: filter chain {chain:?}: {error}", listener.name));
        }
    }
    if !errors.is_empty() {
        return fail(&errors.join("\n"));
    }
    let name = source
        .path
        .as_ref()
        .map_or_else(|| "--config-yaml".to_owned(), |path| path.display().to_string());
    let warnings = usable.warnings.problems.warnings().count();
    if warnings > 0 {
        tell(&usable.warnings.to_string());
    }
    let (listeners, clusters) = (usable.ir.listeners.len(), usable.ir.clusters.len());
    tell(&format!(
        "configuration '{name}' OK: {listeners} listeners, {clusters} clusters, {warnings} warnings"
    ));
    ExitCode::SUCCESS
}

fn expand(file: &Path) -> ExitCode {
    let name = file.display().to_string();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return fail(&format!("cannot read {name}: {error}")),
    };
    match short::expand(&name, &text) {
        Ok(expanded) => {
            tell(expanded.to_yaml().trim_end());
            ExitCode::SUCCESS
        }
        Err(report) => fail(&report.to_string()),
    }
}

fn make_certificates(args: &CertArgs) -> ExitCode {
    match cert::make(args, SystemTime::now()) {
        Ok(report) => {
            tell(report.to_string().trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error.to_string()),
    }
}

/// Starts the log; the result changes its level later.
fn start_log(args: &RunArgs) -> std::io::Result<SetLogLevel> {
    let (filter, handle) =
        reload::Layer::new(targets(args.log_level.unwrap_or(LogLevel::Info).filter()));
    let ansi = args.log_path.is_none() && std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_ansi(ansi);
    let registry = tracing_subscriber::registry().with(filter);
    match &args.log_path {
        Some(path) => {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
            registry.with(lines.with_writer(file)).init();
        }
        None => registry.with(lines.with_writer(std::io::stderr)).init(),
    }
    Ok(SetLogLevel(Arc::new(move |level| {
        if let Ok(level) = level.parse() {
            // Only fails when the log is gone, and then there is nothing to change.
            drop(handle.reload(targets(level)));
        }
    })))
}

/// The libraries' own events are for their developers: only what they warn of is ours to tell.
fn targets(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_targets(OURS.map(|target| (target, level)))
}

/// The crates whose events `--log-level` is about.
const OURS: [&str; 5] =
    ["palanquin", "palanquin_config", "palanquin_filters", "palanquin_tls", "palanquin_xds_client"];

/// Tells the result on standard output. Whoever closed it does not want to know.
fn tell(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

fn fail(text: &str) -> ExitCode {
    drop(writeln!(std::io::stderr(), "{text}"));
    ExitCode::FAILURE
}
