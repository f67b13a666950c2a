//! The table of pages: one line each for dispatch, help and the home page.

use std::fmt::Write as _;

use axum::body::Body;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use regex::Regex;

use super::{AdminState, Command, ServerState};
use super::{clusters, config_dump, guard, listeners, memory, reply, server_info, stats};

/// A page.
struct Page {
    path: &'static str,
    help: &'static str,
    /// It changes something: POST only.
    mutates: bool,
    serve: fn(&AdminState, &Query<'_>) -> Response<Body>,
}

const fn get(
    path: &'static str,
    help: &'static str,
    serve: fn(&AdminState, &Query<'_>) -> Response<Body>,
) -> Page {
    Page { path, help, mutates: false, serve }
}

const fn post(
    path: &'static str,
    help: &'static str,
    serve: fn(&AdminState, &Query<'_>) -> Response<Body>,
) -> Page {
    Page { path, help, mutates: true, serve }
}

/// All pages, sorted.
static PAGES: &[Page] = &[
    get("/", "Admin home page", home),
    get("/certs", "print certs on machine", certs),
    get("/clusters", "upstream cluster status", clusters::serve),
    get("/config_dump", "dump current configuration", config_dump::serve),
    post("/drain_listeners", "drain listeners", drain_listeners),
    post("/healthcheck/fail", "cause the server to fail health checks", healthcheck_fail),
    post("/healthcheck/ok", "cause the server to pass health checks", healthcheck_ok),
    get("/help", "print out list of admin commands", help),
    get("/listeners", "print listener info", listeners::serve),
    post("/logging", "change the logging level", logging),
    get("/memory", "print current allocation/heap usage", memory::serve),
    post("/quitquitquit", "exit the server", quit),
    get("/ready", "print server state, return 200 if LIVE, otherwise return 503", ready),
    post("/reopen_logs", "reopen access logs", reopen_logs),
    get("/server_info", "print server version/status information", server_info::serve),
    get("/stats", "print server stats", stats::serve),
    get("/stats/prometheus", "print server stats in prometheus format", stats::serve_prometheus),
    get("/tenants", "print tenants and what they do", tenants),
];

/// Serves a request. `guarded`: it came over TCP, so perhaps from a browser.
pub(super) fn serve<B>(state: &AdminState, request: &Request<B>, guarded: bool) -> Response<Body> {
    let path = request.uri().path();
    let page = PAGES.iter().find(|page| page.path == path);
    let mutates = page.is_some_and(|page| page.mutates);
    if guarded {
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        if let Err(refused) = guard::check(request.headers(), authority, mutates) {
            return reply::text(StatusCode::FORBIDDEN, refused.to_string());
        }
    }
    let Some(page) = page else {
        let text = format!("invalid path. {}", commands());
        return reply::text(StatusCode::NOT_FOUND, text);
    };
    if page.mutates && request.method() != Method::POST {
        let text = format!("Method {} not allowed, POST required.", request.method());
        return reply::text(StatusCode::METHOD_NOT_ALLOWED, text);
    }
    (page.serve)(state, &Query(request.uri().query().unwrap_or_default()))
}

/// The query of a request.
pub(super) struct Query<'a>(&'a str);

impl Query<'_> {
    /// The value of a parameter, percent-decoded; empty when it has none.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.pairs().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The value as a regular expression; an answer when it is none.
    pub(super) fn regex(&self, name: &str) -> Result<Option<Regex>, Box<Response<Body>>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        Regex::new(&text).map(Some).map_err(|error| {
            let text = format!("Invalid re2 regex: {error}\n");
            Box::new(reply::text(StatusCode::BAD_REQUEST, text))
        })
    }

    /// Refuses parameters that Envoy has and we do not: they would change the answer.
    pub(super) fn refuse(&self, unsupported: &[&str]) -> Result<(), Box<Response<Body>>> {
        match self.pairs().find(|(key, _)| unsupported.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) => {
                let text = format!("parameter {key} is not supported\n");
                Err(Box::new(reply::text(StatusCode::BAD_REQUEST, text)))
            }
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        self.0.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
    }
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                bytes = ahead;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn commands() -> String {
    let mut out = String::from("admin commands are:\n");
    for page in PAGES {
        let method = if page.mutates { " (POST)" } else { "" };
        let _ = writeln!(out, "  {}{method}: {}", page.path, page.help);
    }
    out
}

fn help(_: &AdminState, _: &Query<'_>) -> Response<Body> {
    reply::text(StatusCode::OK, commands())
}

/// Nothing on this page comes from configuration or requests, so nothing needs escaping.
fn home(_: &AdminState, _: &Query<'_>) -> Response<Body> {
    let mut out = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Palanquin Admin</title></head><body>\n<table>\n",
    );
    for Page { path, help, mutates, .. } in PAGES {
        let name = path.trim_start_matches('/');
        let link = if *mutates {
            format!("<form action=\"{name}\" method=\"post\"><button>{name}</button></form>")
        } else {
            format!("<a href=\"{name}\">{name}</a>")
        };
        let _ = writeln!(out, "<tr><td>{link}</td><td>{help}</td></tr>");
    }
    out.push_str("</table>\n</body></html>\n");
    reply::html(out)
}

fn ready(state: &AdminState, _: &Query<'_>) -> Response<Body> {
    let now = state.health.state();
    let status = match now {
        ServerState::Live => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    reply::text(status, format!("{}\n", now.name()))
}

fn certs(state: &AdminState, _: &Query<'_>) -> Response<Body> {
    reply::json(&serde_json::json!({ "certificates": state.facts.certificates() }))
}

fn tenants(state: &AdminState, _: &Query<'_>) -> Response<Body> {
    reply::json(&state.facts.tenants())
}

fn healthcheck_fail(state: &AdminState, _: &Query<'_>) -> Response<Body> {
    state.health.fail(true);
    reply::ok()
}

fn healthcheck_ok(state: &AdminState, _: &Query<'_>) -> Response<Body> {
    state.health.fail(false);
    reply::ok()
}

fn reopen_logs(state: &AdminState, _: &Query<'_>) -> Response<Body> {
    if state.logs.reopen() { reply::ok() } else { busy() }
}

fn quit(state: &AdminState, _: &Query<'_>) -> Response<Body> {
    command(state, Command::Quit)
}

fn drain_listeners(state: &AdminState, query: &Query<'_>) -> Response<Body> {
    let is_set = |name| query.get(name).is_some();
    command(
        state,
        Command::DrainListeners {
            graceful: is_set("graceful"),
            inbound_only: is_set("inboundonly"),
            skip_exit: is_set("skip_exit"),
        },
    )
}

fn logging(state: &AdminState, query: &Query<'_>) -> Response<Body> {
    if let Err(refused) = query.refuse(&["paths", "group"]) {
        return *refused;
    }
    let level = match query.get("level").as_deref() {
        Some("critical" | "error") => "error",
        Some("debug") => "debug",
        Some("info") => "info",
        Some("off") => "off",
        Some("trace") => "trace",
        Some("warn" | "warning") => "warn",
        _ => {
            let text = "usage: /logging?level=<level>; One of (trace, debug, info, warning, error, critical, off)\n";
            return reply::text(StatusCode::BAD_REQUEST, text);
        }
    };
    command(state, Command::LogLevel(level))
}

fn command(state: &AdminState, command: Command) -> Response<Body> {
    if state.commands.try_send(command).is_ok() { reply::ok() } else { busy() }
}

fn busy() -> Response<Body> {
    reply::text(StatusCode::SERVICE_UNAVAILABLE, "busy; try again\n")
}
