//! Subsets of hosts by label: Envoy's `SubsetLoadBalancer`.
//!
//! For each configured set of keys, hosts that carry all of them are grouped by their values. A request
//! names keys and values; it is served by the subset of exactly those, or by the fallback.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;

use smallvec::SmallVec;

use palanquin_config::ir::cluster::SubsetFallback;
use palanquin_config::ir::cluster::Subsets;
use palanquin_filter_api::MetadataMap;
use palanquin_filter_api::MetadataValue;

use super::group::Builder;
use super::group::Group;
use crate::upstream::host_set::Member;

/// The labels a request asks for, from up to three places; later ones win.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Labels<'a> {
    /// Of the route.
    pub(crate) route: &'a [(Arc<str>, MetadataValue)],
    /// Of the weighted cluster chosen by the route.
    pub(crate) weighted_cluster: &'a [(Arc<str>, MetadataValue)],
    /// Of a filter, as the tenant's.
    pub(crate) filter: &'a [(Arc<str>, Arc<str>)],
}

/// The subsets of a host set.
#[derive(Debug)]
pub(crate) struct SubsetIndex {
    by_digest: HashMap<u64, SmallVec<[Subset; 1]>>,
    hasher: foldhash::quality::FixedState,
    fallback: Option<Group>,
    any: bool,
}

#[derive(Debug)]
struct Subset {
    labels: OwnLabels,
    group: Group,
}

/// Where a request with labels goes.
#[derive(Debug)]
pub(crate) enum Selected<'a> {
    /// To any host: `ANY_ENDPOINT`.
    Any,
    /// To the default subset.
    Fallback(&'a Group),
    /// Nowhere.
    None,
    /// To the subset it asked for.
    Subset(&'a Group),
}

/// A label value as a request or a host gives it.
#[derive(Clone, Copy)]
enum Value<'a> {
    Any(&'a MetadataValue),
    Text(&'a str),
}

/// Labels of a subset, by key.
type OwnLabels = Vec<(Arc<str>, MetadataValue)>;

/// Labels of a request, by key.
type Wanted<'a> = SmallVec<[(&'a str, Value<'a>); 4]>;

impl SubsetIndex {
    /// Groups `members` as `config` says.
    pub(crate) fn build(config: &Subsets, members: &[Member], builder: &mut Builder<'_>) -> Self {
        let mut index = Self {
            by_digest: HashMap::new(),
            hasher: foldhash::quality::FixedState::default(),
            fallback: None,
            any: false,
        };
        for keys in &config.selectors {
            // In order of appearance, so that equal configurations give equal schedules.
            let mut found: Vec<(OwnLabels, Vec<u32>)> = Vec::new();
            let mut known: HashMap<u64, SmallVec<[usize; 1]>> = HashMap::new();
            for (place, member) in (0_u32..).zip(members) {
                let Some(labels) = labels_of(member, keys.iter()) else { continue };
                let digest = index.digest(labels.iter().map(|(k, v)| (&**k, Value::Any(v))));
                let same = known.entry(digest).or_default();
                if let Some(i) = same.iter().find(|i| found[**i].0 == labels) {
                    found[*i].1.push(place);
                } else {
                    same.push(found.len());
                    found.push((labels, vec![place]));
                }
            }
            for (labels, places) in found {
                let digest = index.digest(labels.iter().map(|(k, v)| (&**k, Value::Any(v))));
                let group = builder.group(&places);
                index.by_digest.entry(digest).or_default().push(Subset { labels, group });
            }
        }
        match &config.fallback {
            SubsetFallback::NoFallback => {}
            SubsetFallback::AnyEndpoint => index.any = true,
            SubsetFallback::DefaultSubset(labels) => {
                let places: Vec<u32> = (0_u32..)
                    .zip(members)
                    .filter(|(_, member)| carries(&member.endpoint.labels, labels))
                    .map(|(place, _)| place)
                    .collect();
                index.fallback = Some(builder.group(&places));
            }
        }
        index
    }

    /// Finds the hosts for `labels`.
    pub(crate) fn select(&self, labels: &Labels<'_>) -> Selected<'_> {
        let wanted = labels.merged();
        if !wanted.is_empty() {
            let same = self.by_digest.get(&self.digest(wanted.iter().copied()));
            let subset = same.into_iter().flatten().find(|subset| subset.is(&wanted));
            if let Some(subset) = subset {
                return Selected::Subset(&subset.group);
            }
        }
        match &self.fallback {
            Some(group) => Selected::Fallback(group),
            None if self.any => Selected::Any,
            None => Selected::None,
        }
    }

    fn digest<'v>(&self, labels: impl Iterator<Item = (&'v str, Value<'v>)>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for (key, value) in labels {
            key.hash(&mut hasher);
            match value {
                Value::Any(value) => hash_value(value, &mut hasher),
                Value::Text(text) => hash_text(text, &mut hasher),
            }
        }
        hasher.finish()
    }
}

impl Subset {
    fn is(&self, wanted: &Wanted<'_>) -> bool {
        self.labels.len() == wanted.len()
            && self.labels.iter().zip(wanted).all(|((key, own), (name, value))| {
                **key == **name
                    && match value {
                        Value::Any(value) => own == *value,
                        Value::Text(text) => {
                            matches!(own, MetadataValue::String(own) if **own == **text)
                        }
                    }
            })
    }
}

impl<'a> Labels<'a> {
    /// Each key once, sorted.
    fn merged(&self) -> Wanted<'a> {
        let mut wanted = Wanted::new();
        let mut put = |key: &'a str, value| match wanted.iter_mut().find(|(known, _)| *known == key)
        {
            Some((_, known)) => *known = value,
            None => wanted.push((key, value)),
        };
        for (key, value) in self.route.iter().chain(self.weighted_cluster) {
            put(key, Value::Any(value));
        }
        for (key, value) in self.filter {
            put(key, Value::Text(value));
        }
        wanted.sort_unstable_by_key(|(key, _)| *key);
        wanted
    }
}

/// The member's labels under exactly `keys` (sorted), if it carries them all.
fn labels_of<'k>(member: &Member, keys: impl Iterator<Item = &'k Arc<str>>) -> Option<OwnLabels> {
    keys.map(|key| Some((Arc::clone(key), member.endpoint.labels.get(key)?.clone()))).collect()
}

fn carries(labels: &MetadataMap, wanted: &MetadataMap) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn hash_text(text: &str, hasher: &mut impl Hasher) {
    3_u8.hash(hasher);
    text.hash(hasher);
}

fn hash_value(value: &MetadataValue, hasher: &mut impl Hasher) {
    match value {
        MetadataValue::Null => 0_u8.hash(hasher),
        MetadataValue::Bool(value) => (1_u8, value).hash(hasher),
        // 0.0 and -0.0 are equal, so they hash alike
        MetadataValue::Number(value) => (2_u8, (value + 0.0).to_bits()).hash(hasher),
        MetadataValue::String(text) => hash_text(text, hasher),
        MetadataValue::List(values) => {
            (4_u8, values.len()).hash(hasher);
            for value in values {
                hash_value(value, hasher);
            }
        }
        MetadataValue::Struct(fields) => {
            (5_u8, fields.len()).hash(hasher);
            for (key, value) in fields {
                key.hash(hasher);
                hash_value(value, hasher);
            }
        }
    }
}
