//! Secrets in files: named by the configuration, by a static secret, by a file that stands in for a service.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use palanquin_tests::certs::Identity;
use palanquin_tests::certs::Pki;
use palanquin_tests::config::bootstrap;
use palanquin_tests::config::bootstrap_of;
use palanquin_tests::proxy::Proxy;

use super::HOST;
use super::connected;
use super::listener;
use super::shows;

/// A certificate and its key in files that change.
struct Pair {
    directory: tempfile::TempDir,
}

impl Pair {
    fn of(identity: &Identity) -> Self {
        let pair = Self { directory: tempfile::tempdir().unwrap() };
        pair.write(identity);
        pair
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, identity: &Identity) {
        replace(&identity.certificate, &self.path("tls.crt"));
        replace(&identity.key, &self.path("tls.key"));
    }

    fn fields(&self) -> String {
        fields(self.directory.path())
    }
}

fn fields(directory: &Path) -> String {
    format!(
        "{{ certificate_chain: {{ filename: {0}/tls.crt }}, private_key: {{ filename: {0}/tls.key }} }}",
        directory.display()
    )
}

/// Replaces a file in one step.
fn replace(from: &Path, to: &Path) {
    let new = to.with_extension("new");
    fs::copy(from, &new).unwrap();
    fs::rename(new, to).unwrap();
}

#[tokio::test]
async fn files_of_a_context_are_watched() {
    let pki = Pki::new();
    let (first, second) = (pki.issue("first", &[HOST]), pki.issue("second", &[HOST]));
    let pair = Pair::of(&first);
    let context = format!("common_tls_context: {{ tls_certificates: [{}] }}", pair.fields());
    let proxy = Proxy::http(listener(&context), &[]).await;
    let address = proxy.address().await;
    shows(address, &pki, &first).await;
    let mut kept = connected(&proxy, &pki).await;
    pair.write(&second);
    shows(address, &pki, &second).await;
    assert_eq!(kept.get("/").await.text(), "hello");
    assert!(kept.is_open());
}

#[tokio::test]
async fn half_of_a_new_pair_changes_nothing_until_the_other_half_is_there() {
    let pki = Pki::new();
    let (first, second) = (pki.issue("first", &[HOST]), pki.issue("second", &[HOST]));
    let pair = Pair::of(&first);
    let secret = pair.directory.path().join("sds.yaml");
    fs::write(&secret, service("web", &format!("tls_certificate: {}", pair.fields()))).unwrap();
    let proxy = Proxy::http(listener(&file_source("web", &secret)), &[]).await;
    let address = proxy.address().await;
    shows(address, &pki, &first).await;
    replace(&second.certificate, &pair.path("tls.crt"));
    palanquin_tests::time::eventually("the half pair is noticed", async || {
        (proxy.stat("sds.web.key_rotation_failed").await > 0).then_some(())
    })
    .await;
    shows(address, &pki, &first).await;
    replace(&second.key, &pair.path("tls.key"));
    shows(address, &pki, &second).await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_symlink_swap_of_a_kubernetes_secret_rotates_the_pair_at_once() {
    let pki = Pki::new();
    let (first, second) = (pki.issue("first", &[HOST]), pki.issue("second", &[HOST]));
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for (version, identity) in [("..1", &first), ("..2", &second)] {
        fs::create_dir(root.join(version)).unwrap();
        fs::copy(&identity.certificate, root.join(version).join("tls.crt")).unwrap();
        fs::copy(&identity.key, root.join(version).join("tls.key")).unwrap();
    }
    std::os::unix::fs::symlink("..1", root.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), root.join(name)).unwrap();
    }
    let secret = format!(
        "name: web\ntls_certificate: {{ certificate_chain: {{ filename: {0}/tls.crt }}, private_key: {{ filename: {0}/tls.key }}, watched_directory: {{ path: {0} }} }}",
        root.display()
    );
    let context = "common_tls_context: { tls_certificate_sds_secret_configs: [{ name: web }] }";
    let text = bootstrap_of(&[listener(context).yaml()], &[]);
    let secrets =
        format!("static_resources:\n  secrets:\n  - {}\n", secret.replace('\n', "\n    "));
    let proxy = Proxy::start(&text.replacen("static_resources:\n", &secrets, 1)).await;
    let address = proxy.address().await;
    shows(address, &pki, &first).await;
    std::os::unix::fs::symlink("..2", root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    shows(address, &pki, &second).await;
}

#[tokio::test]
async fn a_file_that_stands_in_for_a_service_is_watched() {
    let pki = Pki::new();
    let (first, second) = (pki.issue("first", &[HOST]), pki.issue("second", &[HOST]));
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("sds.yaml");
    let text = |identity: &Identity| {
        service(
            "web",
            &format!(
                "tls_certificate: {{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }}",
                identity.certificate.display(),
                identity.key.display()
            ),
        )
    };
    fs::write(&secret, text(&first)).unwrap();
    let proxy = Proxy::start(&bootstrap(&[listener(&file_source("web", &secret))], &[])).await;
    let address = proxy.address().await;
    shows(address, &pki, &first).await;
    fs::write(directory.path().join("new"), text(&second)).unwrap();
    fs::rename(directory.path().join("new"), &secret).unwrap();
    shows(address, &pki, &second).await;
    assert_eq!(proxy.stat("sds.web.update_success").await, 2);
}

#[tokio::test]
async fn a_file_without_the_secret_leaves_the_listener_without_a_certificate() {
    let pki = Pki::new();
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("sds.yaml");
    fs::write(&secret, "resources: []").unwrap();
    let proxy = Proxy::start(&bootstrap(&[listener(&file_source("web", &secret))], &[])).await;
    let address = proxy.address().await;
    assert_eq!(super::shown(address, pki.client(None, &[])).await, None);
    let only = pki.issue("only", &[HOST]);
    let pair = Pair::of(&only);
    fs::write(&secret, service("web", &format!("tls_certificate: {}", pair.fields()))).unwrap();
    shows(address, &pki, &only).await;
}

/// A response with one secret.
fn service(name: &str, fields: &str) -> String {
    format!(
        "version_info: '1'\nresources:\n- '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret\n  name: {name}\n  {fields}\n"
    )
}

fn file_source(name: &str, path: &Path) -> String {
    super::named(
        name,
        &format!(
            "{{ resource_api_version: V3, path_config_source: {{ path: {} }} }}",
            path.display()
        ),
    )
}
