//! The command line: Envoy's flags, and a few commands of our own.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use palanquin_config::lower::Identity;

use crate::cert::CertArgs;

/// An L7 service-mesh proxy that speaks Envoy's configuration.
#[derive(Debug, Parser)]
#[command(name = "palanquin", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// A command; without one the proxy runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How it runs.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reads a configuration and tells everything that is wrong with it.
    Check {
        /// The file: an Envoy bootstrap or the short form.
        file: PathBuf,
    },
    /// Prints a configuration in the short form as the Envoy bootstrap that it stands for.
    Expand {
        /// The file.
        file: PathBuf,
    },
    /// Starts a small mesh on loopback and tells what to try.
    Demo(DemoArgs),
    /// Makes certificates to try things out with: an authority, a server, clients.
    Cert(CertArgs),
}

/// Settings of the demo.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// The first of the ports used; 0 lets the system choose.
    #[arg(long, default_value_t = 10000)]
    pub port: u16,
}

/// How the proxy runs. Names and meaning are Envoy's.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The configuration: an Envoy v3 bootstrap (YAML or JSON), or the short form.
    #[arg(short = 'c', long = "config-path", value_name = "FILE")]
    pub config_path: Option<PathBuf>,
    /// A bootstrap as text, merged over the file's.
    #[arg(long, value_name = "YAML")]
    pub config_yaml: Option<String>,
    /// Whether to serve, or only to check the configuration.
    #[arg(long, value_enum, default_value_t = Mode::Serve)]
    pub mode: Mode,
    /// Worker threads; default: one for each core this process may use.
    #[arg(long)]
    pub concurrency: Option<usize>,
    /// `node.id`.
    #[arg(long, value_name = "ID")]
    pub service_node: Option<String>,
    /// `node.cluster`.
    #[arg(long, value_name = "NAME")]
    pub service_cluster: Option<String>,
    /// `node.locality.zone`.
    #[arg(long, value_name = "ZONE")]
    pub service_zone: Option<String>,
    /// How much is logged; default: what the short form's `log.level` says, or info.
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// Where the log goes; default: standard error.
    #[arg(long, value_name = "FILE")]
    pub log_path: Option<PathBuf>,
    /// How long requests in flight may take when the process is asked to end (seconds).
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub drain_time_s: u64,
    /// Writes the admin endpoint's address to this file.
    #[arg(long, value_name = "FILE")]
    pub admin_address_path: Option<PathBuf>,
    /// Fields of the bootstrap that no version knows are warnings rather than errors.
    #[arg(long)]
    pub allow_unknown_static_fields: bool,
    /// Flags of Envoy's that have no meaning here, so that its start scripts work unchanged.
    #[command(flatten)]
    pub without_effect: WithoutEffect,
}

impl RunArgs {
    /// What the flags say about us.
    pub fn identity(&self) -> Identity {
        Identity {
            id: self.service_node.clone(),
            cluster: self.service_cluster.clone(),
            zone: self.service_zone.clone(),
        }
    }

    /// `--drain-time-s`.
    pub fn drain_time(&self) -> Duration {
        Duration::from_secs(self.drain_time_s)
    }
}

/// Flags that Envoy knows and that change nothing here. One that was given is told in the log.
#[derive(Debug, Clone, Args)]
pub struct WithoutEffect {
    #[arg(long, hide = true)]
    disable_hot_restart: bool,
    #[arg(long, hide = true)]
    allow_unknown_fields: bool,
    #[arg(long, hide = true)]
    reject_unknown_dynamic_fields: bool,
    #[arg(long, hide = true)]
    ignore_unknown_dynamic_fields: bool,
    #[arg(long, hide = true)]
    skip_deprecated_logs: bool,
    #[arg(long, hide = true)]
    cpuset_threads: bool,
    #[arg(long, hide = true)]
    use_dynamic_base_id: bool,
    #[arg(long, hide = true)]
    base_id: Option<String>,
    #[arg(long, hide = true)]
    base_id_path: Option<PathBuf>,
    #[arg(long, hide = true)]
    component_log_level: Option<String>,
    #[arg(long, hide = true)]
    log_format: Option<String>,
    #[arg(long, hide = true)]
    log_format_escaped: bool,
    #[arg(long, hide = true)]
    enable_fine_grain_logging: bool,
    #[arg(long, hide = true)]
    file_flush_interval_msec: Option<u64>,
    #[arg(long, hide = true)]
    local_address_ip_version: Option<String>,
    #[arg(long, hide = true)]
    parent_shutdown_time_s: Option<u64>,
    #[arg(long, hide = true)]
    drain_strategy: Option<String>,
    #[arg(long, hide = true)]
    restart_epoch: Option<u32>,
    #[arg(long, hide = true)]
    bootstrap_version: Option<u32>,
    #[arg(long, hide = true)]
    stats_tag: Vec<String>,
}

impl WithoutEffect {
    /// The flags that were given and would change something in Envoy.
    pub fn given(&self) -> Vec<&'static str> {
        // Of the others nothing follows here: there is no hot restart, and both forms of logs are ours.
        let given = [
            ("--component-log-level", self.component_log_level.is_some()),
            ("--cpuset-threads", self.cpuset_threads),
            ("--drain-strategy", self.drain_strategy.is_some()),
            ("--enable-fine-grain-logging", self.enable_fine_grain_logging),
            ("--file-flush-interval-msec", self.file_flush_interval_msec.is_some()),
            ("--local-address-ip-version", self.local_address_ip_version.as_deref() == Some("v6")),
            ("--log-format", self.log_format.is_some()),
            ("--reject-unknown-dynamic-fields", self.reject_unknown_dynamic_fields),
            ("--restart-epoch", self.restart_epoch.is_some_and(|epoch| epoch > 0)),
            ("--stats-tag", !self.stats_tag.is_empty()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }
}

/// `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Serve.
    Serve,
    /// Check the configuration, load what it refers to, and end.
    Validate,
    /// As validate.
    #[value(name = "init_only")]
    InitOnly,
}

/// `--log-level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// Each connection.
    Debug,
    /// Rare events.
    Info,
    /// What degrades service.
    #[value(alias = "warning")]
    Warn,
    /// What someone must act on.
    Error,
    /// As error.
    Critical,
    /// Nothing.
    Off,
}

impl LogLevel {
    /// The level as `tracing` knows it.
    pub fn filter(self) -> tracing_subscriber::filter::LevelFilter {
        use tracing_subscriber::filter::LevelFilter;
        match self {
            Self::Trace => LevelFilter::TRACE,
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error | Self::Critical => LevelFilter::ERROR,
            Self::Off => LevelFilter::OFF,
        }
    }
}
