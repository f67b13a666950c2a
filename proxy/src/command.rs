//! What each command does.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use palanquin_config::extension::Registry as Filters;
use palanquin_config::file::UnknownFields;
use palanquin_config::lower::Environment;
use palanquin_config::short;
use palanquin_filter_api::stats;
use tracing_subscriber::EnvFilter;

use crate::cli::Cli;
use crate::cli::Command;
use crate::cli::Mode;
use crate::cli::RunArgs;
use crate::config_source::ConfigSource;
use crate::listener::ActiveListener;
use crate::server::Options;
use crate::server::Running;
use crate::server::Signals;
use crate::upstream::Cluster;

/// Runs a command line.
pub fn run(cli: Cli, filters: Filters) -> ExitCode {
    match cli.command {
        Some(Command::Check { file }) => {
            let source = ConfigSource { path: Some(file), ..ConfigSource::default() };
            check(&source, &filters)
        }
        Some(Command::Expand { file }) => expand(&file),
        Some(Command::Demo(args)) => crate::demo::run(&args, filters),
        None => serve(&cli.run, filters),
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

fn serve(args: &RunArgs, filters: Filters) -> ExitCode {
    if let Err(error) = start_log(args) {
        return fail(&format!("cannot write the log: {error}"));
    }
    let source = source(args);
    if args.mode != Mode::Serve {
        return check(&source, &filters);
    }
    for flag in args.without_effect.given() {
        tracing::warn!(flag, "this flag has no effect");
    }
    let concurrency = args.concurrency.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    });
    let options = Options {
        concurrency,
        drain_time: args.drain_time(),
        source,
        signals: Signals::Handle,
    };
    match Running::start(options, filters) {
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
        if let Err(error) = Cluster::new(std::sync::Arc::clone(cluster), &stats, None) {
            errors.push(format!("cluster {}: {error}", cluster.name));
        }
    }
    for listener in &usable.ir.listeners {
        let active = ActiveListener::build(std::sync::Arc::clone(listener), &stats);
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

fn start_log(args: &RunArgs) -> std::io::Result<()> {
    let filter = EnvFilter::default().add_directive(args.log_level.filter().into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match &args.log_path {
        Some(path) => {
            let path: &PathBuf = path;
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
            builder.with_ansi(false).with_writer(file).init();
        }
        None => builder.with_writer(std::io::stderr).init(),
    }
    Ok(())
}

/// Tells the result on standard output. Whoever closed it does not want to know.
fn tell(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

fn fail(text: &str) -> ExitCode {
    drop(writeln!(std::io::stderr(), "{text}"));
    ExitCode::FAILURE
}
