//! Starts a proxy and its surroundings on their CPUs, and takes one measurement.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::load::Report;
use crate::macro_run::peers::Peer;
use crate::macro_run::ports::Ports;
use crate::macro_run::workloads::{Door, Workload};
use crate::tools::process;

const PROXY_CPU: &str = "0";
const TOOLS_CPU: &str = "1";
/// Connections of the memory measurement.
pub(super) const IDLE_CONNECTIONS: u64 = 1000;

/// Memory in KiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Idle {
    pub(super) empty_kib: u64,
    pub(super) per_connection_kib: f64,
}

/// The surroundings: an origin and a trace collector that run as long as this lives.
pub(super) struct Bench {
    ports: Ports,
    folder: PathBuf,
    seconds: f64,
    _tools: Vec<Running>,
}

/// A child process that is ended with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; that is found out elsewhere.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Bench {
    pub(super) fn start(ports: &Ports, folder: &Path, seconds: f64) -> Result<Self> {
        let port = |port: u16| port.to_string();
        let origin = [
            "origin".to_owned(),
            "--h1".to_owned(),
            port(ports.origin_h1),
            "--h2".to_owned(),
            port(ports.origin_h2),
            "--h2-mtls".to_owned(),
            port(ports.origin_mtls),
            "--certs".to_owned(),
            folder.display().to_string(),
        ];
        let collector = ["collector".to_owned(), "--port".to_owned(), port(ports.collector)];
        let own = own_path()?;
        let command = |arguments: &[String]| -> Vec<String> {
            std::iter::once(own.clone()).chain(arguments.iter().cloned()).collect()
        };
        let tools = vec![
            spawn(TOOLS_CPU, &command(&origin), &folder.join("origin.log"))?,
            spawn(TOOLS_CPU, &command(&collector), &folder.join("collector.log"))?,
        ];
        for door in [ports.origin_h1, ports.collector] {
            wait_until(Duration::from_secs(10), || {
                TcpStream::connect((Ipv4Addr::LOCALHOST, door)).ok().map(drop)
            })
            .context("origin or collector does not listen")?;
        }
        Ok(Self { ports: ports.clone(), folder: folder.to_owned(), seconds, _tools: tools })
    }

    /// Loads a fresh process of this peer, in a closed loop or at a fixed rate.
    pub(super) fn load(
        &self,
        peer: &Peer,
        workload: &Workload,
        rate: Option<f64>,
    ) -> Result<Report> {
        let proxy = self.proxy(peer, workload.is_traced())?;
        let mut arguments = self.load_arguments(workload.door, &proxy);
        arguments.extend(workload.flags.iter().map(|flag| (*flag).to_owned()));
        let warm_up = (self.seconds / 4.0).clamp(0.3, 1.0);
        arguments.extend(["--warm-up".to_owned(), warm_up.to_string()]);
        arguments.extend(["--duration".to_owned(), self.seconds.to_string()]);
        if let Some(rate) = rate {
            arguments.extend(["--rate".to_owned(), rate.to_string()]);
        }
        let report = tool(&arguments)?;
        if report.answers == 0 {
            bail!("no request was answered ({} errors)", report.errors);
        }
        Ok(report)
    }

    /// Memory of a fresh process, and what a thousand idle connections add.
    pub(super) fn idle(&self, peer: &Peer) -> Result<Idle> {
        let proxy = self.proxy(peer, false)?;
        pause(Duration::from_millis(700));
        let empty_kib = process::resident(&[proxy.0.id()]);
        let mut arguments = self.load_arguments(Door::Http1, &proxy);
        arguments.extend([
            "--idle".to_owned(),
            "--connections".to_owned(),
            IDLE_CONNECTIONS.to_string(),
        ]);
        let report = tool(&arguments)?;
        let grown = report.resident_kib.saturating_sub(empty_kib);
        #[allow(clippy::cast_precision_loss, reason = "KiB of a process are far below 2^52")]
        let per_connection_kib = grown as f64 / IDLE_CONNECTIONS as f64;
        Ok(Idle { empty_kib, per_connection_kib })
    }

    /// Milliseconds from `exec` to the first answered request, the median of `count` starts.
    pub(super) fn start_up(&self, peer: &Peer, count: usize) -> Result<f64> {
        let mut times = Vec::new();
        for _ in 0..count {
            let began = Instant::now();
            let _proxy = self.proxy(peer, false)?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }

    fn load_arguments(&self, door: Door, proxy: &Running) -> Vec<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, door.port(&self.ports)));
        vec![
            "load".to_owned(),
            "--address".to_owned(),
            address.to_string(),
            "--certs".to_owned(),
            self.folder.display().to_string(),
            "--processes".to_owned(),
            proxy.0.id().to_string(),
        ]
    }

    /// A process of this peer that has answered a request.
    fn proxy(&self, peer: &Peer, traced: bool) -> Result<Running> {
        let log = self.folder.join(format!("{}.log", peer.name));
        let mut running = spawn(PROXY_CPU, &peer.command(traced), &log)?;
        let ready = wait_until(Duration::from_secs(20), || {
            if matches!(running.0.try_wait(), Ok(Some(_)) | Err(_)) {
                return Some(false);
            }
            answers(self.ports.h1).then_some(true)
        });
        if ready == Some(true) {
            return Ok(running);
        }
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(5).collect();
        bail!("{} does not answer; its log ends with: {}", peer.name, last.join(" / "))
    }
}

/// Whether a request is answered with 200.
fn answers(port: u16) -> bool {
    let Ok(mut socket) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let mut head = [0; 12];
    let limit = Some(Duration::from_secs(2));
    socket.set_read_timeout(limit).is_ok()
        && socket.write_all(b"GET /1k HTTP/1.1\r\nhost: localhost\r\n\r\n").is_ok()
        && socket.read_exact(&mut head).is_ok()
        && head.ends_with(b"200")
}

/// Runs a command on one CPU. `taskset` and `nice` replace themselves by it, so the id is the command's own.
fn spawn(cpu: &str, command: &[String], log: &Path) -> Result<Running> {
    let out = File::create(log).with_context(|| log.display().to_string())?;
    let child = Command::new("taskset")
        .args(["-c", cpu])
        .args(command)
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out)
        .env_remove("RUST_LOG")
        .spawn()
        .context("taskset (of util-linux) cannot be run")?;
    Ok(Running(child))
}

/// Runs the load generator and reads its report.
fn tool(arguments: &[String]) -> Result<Report> {
    let output = Command::new("taskset")
        .args(["-c", TOOLS_CPU, &own_path()?])
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn own_path() -> Result<String> {
    Ok(std::env::current_exe()?.display().to_string())
}

/// Asks every 200 microseconds until there is an answer or the time is over.
fn wait_until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        pause(Duration::from_micros(200));
    }
    None
}

#[allow(
    clippy::disallowed_methods,
    reason = "a measuring tool waits for other processes, it serves nobody"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
