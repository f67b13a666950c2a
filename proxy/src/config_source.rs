//! Where the bootstrap comes from: a file in either form, text from the command line, or both.

use std::path::PathBuf;

use palanquin_config::diagnostic::FieldPath;
use palanquin_config::diagnostic::Problems;
use palanquin_config::diagnostic::Report;
use palanquin_config::diagnostic::Source;
use palanquin_config::file;
use palanquin_config::file::Form;
use palanquin_config::file::Loaded;
use palanquin_config::file::UnknownFields;
use palanquin_config::ir::bootstrap::Bootstrap as Ir;
use palanquin_config::lower::Environment;
use palanquin_config::lower::Identity;
use palanquin_config::lower::lower_bootstrap;
use palanquin_config::short;
use palanquin_config::support::unsupported;
use palanquin_proto::envoy::config::bootstrap::v3::Bootstrap;
use prost::Message;
use prost::Name;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct ConfigSource {
    /// The file.
    pub path: Option<PathBuf>,
    /// Text that is merged over it; alone it is the whole bootstrap.
    pub text: Option<String>,
    /// What the command line says about us.
    pub identity: Identity,
    /// Whether fields that no version knows are errors.
    pub unknown_fields: UnknownFields,
}

/// A bootstrap that can be used.
#[derive(Debug)]
pub struct Usable {
    /// As it came.
    pub message: Bootstrap,
    /// As it is used.
    pub ir: Ir,
    /// What it says that has no effect, with positions.
    pub warnings: Report,
    /// The level of our own log, which only the short form can tell.
    pub log_level: Option<String>,
}

/// Why there is no bootstrap.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Neither a file nor a text was given.
    #[error("no configuration: give one with -c FILE (or --config-yaml TEXT)")]
    Missing,
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// What it says cannot be used.
    #[error("{0}")]
    Invalid(Report),
}

impl ConfigSource {
    /// A source that is one text, for tests and the demo.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    /// Reads, expands, merges, checks and lowers.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn load(&self, environment: Environment<'_>) -> Result<Usable, ConfigError> {
        let (loaded, log_level) = self.read()?;
        let bytes = loaded.message.encode_to_vec();
        let mut problems = Problems::new();
        unsupported(&Bootstrap::type_url(), &bytes, &mut FieldPath::new(), &mut problems);
        match lower_bootstrap(environment, &loaded.message, &self.identity) {
            Ok(lowered) => {
                problems.append(lowered.warnings);
                let report = loaded.report(problems);
                if report.has_errors() {
                    return Err(ConfigError::Invalid(report));
                }
                Ok(Usable {
                    ir: lowered.value,
                    warnings: report,
                    message: loaded.message,
                    log_level,
                })
            }
            Err(rejected) => {
                problems.append(rejected.problems);
                Err(ConfigError::Invalid(loaded.report(problems)))
            }
        }
    }

    fn read(&self) -> Result<(Loaded<Bootstrap>, Option<String>), ConfigError> {
        let mut sources = Vec::new();
        if let Some(path) = &self.path {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| ConfigError::Read { path: name.clone(), error })?;
            if self.text.is_none() && file::form(&text) == Form::Short {
                let expanded = short::expand(&name, &text).map_err(ConfigError::Invalid)?;
                return Ok((expanded.loaded, expanded.log_level));
            }
            sources.push(Source::new(name, text));
        }
        if let Some(text) = &self.text {
            if self.path.is_none() && file::form(text) == Form::Short {
                let expanded =
                    short::expand("--config-yaml", text).map_err(ConfigError::Invalid)?;
                return Ok((expanded.loaded, expanded.log_level));
            }
            sources.push(Source::new("--config-yaml", text.as_str()));
        }
        if sources.is_empty() {
            return Err(ConfigError::Missing);
        }
        let loaded = file::load_merged_bootstrap(sources, self.unknown_fields)
            .map_err(ConfigError::Invalid)?;
        Ok((loaded, None))
    }
}
