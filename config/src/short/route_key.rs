//! The key of a route: `[METHOD[|METHOD]] [HOST]PATH`.

use std::cmp::Reverse;

/// What a key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RouteKey {
    /// None: any.
    pub(super) methods: Vec<String>,
    /// In lower case; `None`: any host.
    pub(super) host: Option<String>,
    /// With a slash at its end a prefix, else the whole path.
    pub(super) path: String,
}

impl RouteKey {
    /// Reads a key.
    ///
    /// # Errors
    /// A text that says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (methods, place) = match text.split_once(' ') {
            Some((methods, place)) => (methods, place.trim()),
            None => ("", text),
        };
        let methods: Vec<_> = methods.split('|').filter(|m| !m.is_empty()).collect();
        for method in &methods {
            if !method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
                return Err(format!(
                    "{method:?} is not a method: write it in capitals, such as GET or GET|HEAD"
                ));
            }
        }
        if place.contains(' ') {
            return Err(format!("{text:?} has too many words: write METHOD HOST/PATH"));
        }
        let slash = place.find('/').ok_or_else(|| {
            format!("{place:?} has no path: write {place}/ for everything on this host")
        })?;
        let (host, path) = place.split_at(slash);
        if host.contains(':') {
            return Err(format!("{host:?} must not have a scheme or port"));
        }
        if host.trim_start_matches("*.").contains('*') {
            return Err(format!("{host:?}: a * can only be the first label, as in *.example.com"));
        }
        if path.contains(['?', '#', '*']) {
            return Err(format!(
                "{path:?} must not have ?, # or *: a path that ends in / means all below it"
            ));
        }
        Ok(Self {
            methods: methods.into_iter().map(str::to_owned).collect(),
            host: (!host.is_empty()).then(|| host.to_ascii_lowercase()),
            path: path.to_owned(),
        })
    }

    /// Whether everything below the path matches too.
    pub(super) fn is_prefix(&self) -> bool {
        self.path.ends_with('/')
    }

    /// Orders the routes of a host: the most specific first.
    pub(super) fn order(&self) -> impl Ord + use<> {
        (self.is_prefix(), Reverse(self.path.len()), self.methods.is_empty())
    }

    /// Whether a request for `host` (or for all hosts of that wildcard) can match, and how closely:
    /// the same host, then wildcards from the longest on, then any host.
    pub(super) fn covers(&self, host: Option<&str>) -> Option<impl Ord + use<>> {
        let closeness = match (&self.host, host) {
            (None, _) => usize::MAX,
            (Some(own), Some(host)) if own == host => 0,
            (Some(own), Some(host)) => {
                let suffix = own.strip_prefix('*')?;
                if !host.ends_with(suffix) {
                    return None;
                }
                usize::MAX - suffix.len()
            }
            (Some(_), None) => return None,
        };
        Some(closeness)
    }
}

#[cfg(test)]
mod tests {
    use super::RouteKey;

    fn key(text: &str) -> RouteKey {
        RouteKey::parse(text).unwrap()
    }

    #[test]
    fn method_host_and_path_are_told_apart() {
        let read = key("GET|HEAD API.example.com/v2/");
        assert_eq!(read.methods, ["GET", "HEAD"]);
        assert_eq!(read.host.as_deref(), Some("api.example.com"));
        assert_eq!(read.path, "/v2/");
        assert_eq!(key("/").host, None);
    }

    #[test]
    fn keys_that_would_silently_never_match_are_refused() {
        for text in ["api.example.com", "get /", "http://a/", "a.*.com/", "/a*", "GET POST /", ""] {
            assert!(RouteKey::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_most_specific_route_comes_first() {
        let mut keys = [key("/"), key("/a/"), key("POST /a/"), key("/a/b"), key("/a/b/")];
        keys.sort_by_key(RouteKey::order);
        let paths: Vec<_> =
            keys.iter().map(|key| format!("{}{}", key.methods.join(""), key.path)).collect();
        assert_eq!(paths, ["/a/b", "/a/b/", "POST/a/", "/a/", "/"]);
    }

    #[test]
    fn a_route_of_any_host_is_the_last_resort_of_every_host() {
        let same = key("a.b.c/").covers(Some("a.b.c"));
        let near = key("*.b.c/").covers(Some("a.b.c"));
        let far = key("*.c/").covers(Some("a.b.c"));
        let any = key("/").covers(Some("a.b.c"));
        assert!(same < near && near < far && far < any);
        assert!(key("x.y/").covers(Some("a.b.c")).is_none());
        assert!(key("x.y/").covers(None).is_none());
    }
}
