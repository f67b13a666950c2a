//! Where the definitions come from: the `envoy-types` package of the registry, and our own files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorSet;

/// All definitions, in two forms.
pub(crate) struct Source {
    /// With options and their extensions (`validate.rules`).
    pub(crate) pool: DescriptorPool,
    /// As plain descriptors, which lose extensions but can be pruned and compiled.
    pub(crate) files: FileDescriptorSet,
}

/// Reads both sources. `crate_dir` is the folder of this tool.
pub(crate) fn load(crate_dir: &Path) -> Result<Source> {
    let packed = envoy_types(crate_dir)?.join("src/generated/types.bin");
    let envoy = std::fs::read(&packed).with_context(|| format!("reading {}", packed.display()))?;
    let ours = compile_ours(&crate_dir.join("../proto"))?;

    let mut pool = DescriptorPool::decode(envoy.as_slice())?;
    pool.decode_file_descriptor_set(ours.as_slice())?;
    let mut files = FileDescriptorSet::decode(envoy.as_slice())?;
    files.file.extend(FileDescriptorSet::decode(ours.as_slice())?.file);
    Ok(Source { pool, files })
}

/// The folder to which cargo unpacked the package.
fn envoy_types(crate_dir: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1"])
        .current_dir(crate_dir)
        .output()
        .context("running cargo metadata")?;
    anyhow::ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("no packages in the metadata")?;
    let package = packages
        .iter()
        .find(|package| package["name"] == "envoy-types")
        .context("envoy-types is not among the packages")?;
    let manifest = package["manifest_path"].as_str().context("no manifest path")?;
    Ok(Path::new(manifest).parent().context("a manifest has a folder")?.to_owned())
}

/// Compiles the definitions that the package lacks.
fn compile_ours(include: &Path) -> Result<Vec<u8>> {
    let mut compiler = protox::Compiler::new([include])?;
    compiler.include_imports(false).include_source_info(false);
    compiler.open_files([
        "palanquin/tenant/v1/tenant.proto",
        "udpa/type/v1/typed_struct.proto",
        "xds/type/v3/typed_struct.proto",
    ])?;
    Ok(compiler.encode_file_descriptor_set())
}
