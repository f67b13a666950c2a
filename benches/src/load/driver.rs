//! The loop: connections, due moments, the window of measurement.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;

use crate::load::connection::{Codec, Connection, Progress};
use crate::load::{Options, Protocol, Report, h1, h2};
use crate::tools::histogram::Histogram;
use crate::tools::poll::{Interest, Poll, connect};
use crate::tools::process;
use crate::tools::stream::{Filled, Flushed, Stream};

/// Connections that may be in their first exchange at once when many are opened to be idle.
const OPENING: usize = 64;

pub(super) struct Driver<'a> {
    options: &'a Options,
    tls: Option<Arc<ClientConfig>>,
    request: Rc<[u8]>,
    poll: Poll,
    connections: Vec<Connection>,
    /// Connections with room for a request; fixed rate only.
    free: VecDeque<usize>,
    /// Moments of requests that wait for a connection.
    backlog: VecDeque<u64>,
    start: Instant,
    measuring: bool,
    latency: Histogram,
    answers: u64,
    errors: u64,
    scratch: Vec<u8>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(options: &'a Options, tls: Option<Arc<ClientConfig>>) -> Result<Self> {
        let request = match options.protocol {
            Protocol::H1 => h1::request(options),
            Protocol::H2 if options.post.is_some() || options.reconnect => {
                bail!("--post and --reconnect are for HTTP/1")
            }
            Protocol::H2 => h2::block(options),
        };
        Ok(Self {
            options,
            tls,
            request,
            poll: Poll::new()?,
            connections: Vec::new(),
            free: VecDeque::new(),
            backlog: VecDeque::new(),
            start: Instant::now(),
            measuring: false,
            latency: Histogram::default(),
            answers: 0,
            errors: 0,
            scratch: vec![0; 256 * 1024],
        })
    }

    /// Warms up, then counts for the duration.
    pub(super) fn measure(mut self) -> Result<Report> {
        for index in 0..self.options.connections {
            let connection = self.open()?;
            self.poll.add(connection.stream.socket(), index as u64, Interest::Read)?;
            self.connections.push(connection);
            self.free.extend(std::iter::repeat_n(index, self.options.streams));
            if self.options.rate.is_none() {
                self.fill(index)?;
            }
        }
        self.run_for(Duration::from_secs_f64(self.options.warm_up))?;
        self.measuring = true;
        let (began, before) = (Instant::now(), process::run_time(&self.options.processes));
        self.run_for(Duration::from_secs_f64(self.options.duration))?;
        let spent = process::run_time(&self.options.processes).saturating_sub(before);
        let elapsed = began.elapsed().as_secs_f64();
        let (answers, spent) = (precise(self.answers), precise(spent));
        Ok(Report {
            answers: self.answers,
            errors: self.errors,
            rate: answers / elapsed,
            cpu_us: spent / 1e3 / answers.max(1.0),
            p50: self.latency.quantile(0.5),
            p99: self.latency.quantile(0.99),
            utilisation: spent / 1e9 / elapsed,
            backlog: self.backlog.len(),
            resident_kib: process::resident(&self.options.processes),
        })
    }

    /// Opens all connections, has one answer on each, and leaves them open. Gives the number of failures.
    pub(super) fn settle(&mut self, limit: Duration) -> Result<u64> {
        let end = Instant::now() + limit;
        let mut opened = 0;
        while self.answers < self.options.connections as u64 {
            let opening = opened - usize::try_from(self.answers)?;
            if opened < self.options.connections && opening < OPENING {
                let connection = self.open()?;
                self.poll.add(connection.stream.socket(), opened as u64, Interest::Read)?;
                self.connections.push(connection);
                self.fill(opened)?;
                opened += 1;
                continue;
            }
            if Instant::now() > end || self.errors > 100 {
                bail!(
                    "{} of {opened} connections were answered, {} failed",
                    self.answers,
                    self.errors
                );
            }
            self.turn(Some(Duration::from_millis(100)))?;
        }
        // What the proxy does after an answer (returning buffers) is done within a moment.
        self.run_for(Duration::from_millis(500))?;
        Ok(self.errors)
    }

    fn open(&self) -> Result<Connection> {
        let tls = match &self.tls {
            Some(config) => {
                let name = ServerName::try_from("localhost").context("a valid name")?;
                Some(rustls::Connection::Client(ClientConnection::new(config.clone(), name)?))
            }
            None => None,
        };
        let codec = match self.options.protocol {
            Protocol::H1 => Codec::Http1(h1::Client::new(self.request.clone())),
            Protocol::H2 => {
                Codec::Http2(h2::Client::new(self.request.clone(), self.options.streams))
            }
        };
        let stream = Stream::new(connect(self.options.address)?, tls);
        Ok(Connection { stream, codec, interest: Interest::Read, answers: 0 })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn run_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        let began = self.now();
        let mut sent = 0.0;
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            let mut wait = end - now;
            if let Some(rate) = self.options.rate {
                let distance = 1e9 / rate;
                let passed = precise(self.now() - began);
                while sent * distance <= passed {
                    self.backlog.push_back(began + whole(sent * distance));
                    sent += 1.0;
                }
                self.dispatch()?;
                wait = wait.min(Duration::from_nanos(whole(sent * distance - passed)));
            }
            self.turn(Some(wait))?;
        }
    }

    /// Gives due requests to free connections.
    fn dispatch(&mut self) -> Result<()> {
        while !self.backlog.is_empty() {
            let Some(index) = self.free.pop_front() else { return Ok(()) };
            if let Some(due) = self.backlog.pop_front() {
                let connection = &mut self.connections[index];
                connection.codec.send(&mut connection.stream.output, due);
                self.flush(index)?;
            }
        }
        Ok(())
    }

    /// Sends as many requests as the connection has room for.
    fn fill(&mut self, index: usize) -> Result<()> {
        let now = self.now();
        let connection = &mut self.connections[index];
        while connection.codec.room() > 0 {
            connection.codec.send(&mut connection.stream.output, now);
        }
        self.flush(index)
    }

    fn turn(&mut self, wait: Option<Duration>) -> Result<()> {
        let mut ready = Vec::new();
        self.poll.wait(wait, &mut ready);
        for token in ready {
            self.serve(usize::try_from(token)?)?;
        }
        Ok(())
    }

    fn serve(&mut self, index: usize) -> Result<()> {
        let mut progress = Progress::default();
        let connection = &mut self.connections[index];
        match connection.stream.fill(&mut self.scratch) {
            Filled::Closed => progress.broken = true,
            Filled::Nothing => {}
            Filled::Data => connection.codec.advance(&mut connection.stream, &mut progress),
        }
        let now = self.now();
        self.errors += progress.refused;
        let connection = &mut self.connections[index];
        connection.answers += progress.answered.len() as u64;
        for due in &progress.answered {
            if self.measuring {
                self.latency.record(now.saturating_sub(*due));
            }
        }
        if self.measuring || self.options.idle {
            self.answers += progress.answered.len() as u64;
        }
        let finished = progress.answered.len() + usize::try_from(progress.refused)?;
        let done = self.options.reconnect && finished > 0;
        if progress.broken || done {
            return self.replace(index, done);
        }
        if self.options.rate.is_some() {
            self.free.extend(std::iter::repeat_n(index, finished));
            self.dispatch()?;
        } else if !self.options.idle {
            return self.fill(index);
        }
        self.flush(index)
    }

    /// A new connection in the place of one that is used up or broken.
    fn replace(&mut self, index: usize, expected: bool) -> Result<()> {
        let lost = self.connections[index].codec.pending();
        if !expected {
            self.errors += (lost as u64).max(1);
            if self.errors > 10_000 {
                bail!("more than 10000 failures; the proxy does not answer");
            }
        }
        let connection = self.open()?;
        self.poll.add(connection.stream.socket(), index as u64, Interest::Read)?;
        self.connections[index] = connection;
        if self.options.rate.is_none() {
            return self.fill(index);
        }
        let back = if expected { self.options.streams } else { lost };
        self.free.extend(std::iter::repeat_n(index, back));
        self.dispatch()
    }

    fn flush(&mut self, index: usize) -> Result<()> {
        let connection = &mut self.connections[index];
        let interest = match connection.stream.flush() {
            Flushed::Blocked => Interest::ReadWrite,
            // A peer that is gone is seen by the next read.
            Flushed::All | Flushed::Closed => Interest::Read,
        };
        if interest != connection.interest {
            connection.interest = interest;
            self.poll.change(connection.stream.socket(), index as u64, interest)?;
        }
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts and nanoseconds of one run are below 2^52")]
fn precise(number: u64) -> f64 {
    number as f64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "moments of a run are positive and far below 2^64 ns"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}
