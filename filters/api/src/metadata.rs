//! Metadata: structured facts under a namespace, as Envoy's `Metadata.filter_metadata`.

use std::collections::BTreeMap;
use std::sync::Arc;

/// One value, as `google.protobuf.Value`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum MetadataValue {
    /// JSON null.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text.
    String(Arc<str>),
    /// A list.
    List(Vec<Self>),
    /// Fields by name.
    Struct(MetadataMap),
}

/// Fields by name, as `google.protobuf.Struct`.
pub type MetadataMap = BTreeMap<Arc<str>, MetadataValue>;

/// Metadata by namespace. Empty metadata costs nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DynamicMetadata(BTreeMap<Arc<str>, MetadataMap>);

impl DynamicMetadata {
    /// The fields under `namespace`.
    pub fn namespace(&self, namespace: &str) -> Option<&MetadataMap> {
        self.0.get(namespace)
    }

    /// Merges `fields` into `namespace`; a field that is there already is replaced.
    pub fn merge(&mut self, namespace: &str, fields: MetadataMap) {
        self.0.entry(Arc::from(namespace)).or_default().extend(fields);
    }

    /// The value at `path` under `namespace`, descending through structs.
    pub fn get(&self, namespace: &str, path: &[impl AsRef<str>]) -> Option<&MetadataValue> {
        let (first, rest) = path.split_first()?;
        let mut value = self.namespace(namespace)?.get(first.as_ref())?;
        for segment in rest {
            let MetadataValue::Struct(fields) = value else { return None };
            value = fields.get(segment.as_ref())?;
        }
        Some(value)
    }

    /// Every namespace with its fields.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &MetadataMap)> {
        self.0.iter()
    }

    /// True when nothing is there.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
