//! The field table: what the protobuf definitions say about each message, without the definitions.
//!
//! It serves everything that handles messages by name: reading YAML, writing JSON, naming the
//! fields a configuration sets. Being constant data it costs no start-up time, where decoding a
//! descriptor set of Envoy's size takes 10 ms and several megabytes. It covers more messages than
//! there is Rust code for, so that files may name any of Envoy's extensions.
//!
//! The tables under `generated` are written by `config/proto/gen`.

mod rule;
#[allow(clippy::all, clippy::pedantic, reason = "generated tables")]
mod tables;

pub use rule::Rule;

pub(crate) use tables::{ENUMS, MESSAGES};

/// A message type.
#[derive(Debug)]
pub struct Message(
    pub(crate) &'static str,
    pub(crate) &'static [Field],
    pub(crate) &'static [Oneof],
);

/// One field of a message: number, name, kind, label, oneof (255: none), flags, rules.
#[derive(Debug)]
pub struct Field(
    pub(crate) u32,
    pub(crate) &'static str,
    pub(crate) Kind,
    pub(crate) Label,
    pub(crate) u8,
    pub(crate) u8,
    pub(crate) &'static [Rule],
);

/// A oneof: name, and whether one of its fields must be set (`validate.required`).
#[derive(Debug)]
pub struct Oneof(pub(crate) &'static str, pub(crate) bool);

/// An enum type: full name and `(number, name)` in order of declaration, aliases included.
#[derive(Debug)]
pub struct Enum(pub(crate) &'static str, pub(crate) &'static [(i32, &'static str)]);

/// The protobuf type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are protobuf's own")]
pub enum Kind {
    Bool,
    Bytes,
    Double,
    /// An index; see [`Field::enumeration`].
    Enum(u16),
    Fixed32,
    Fixed64,
    Float,
    Int32,
    Int64,
    /// An index; see [`Field::message`].
    Message(u16),
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
    String,
    Uint32,
    Uint64,
}

/// How often a field may occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// A map; the kind is a message of the fields `key` = 1 and `value` = 2.
    Map,
    /// `optional`: an explicit zero differs from absence.
    Optional,
    /// A list.
    Repeated,
    /// At most once; a scalar's zero is the same as absence.
    Singular,
}

/// The fields named `udpa.annotations.sensitive`: keys, passwords, inline secrets.
pub(crate) const SENSITIVE: u8 = 1;
/// The fields marked `deprecated`.
pub(crate) const DEPRECATED: u8 = 2;

/// Finds a message by its full name, such as `envoy.config.cluster.v3.Cluster`.
pub fn message(full_name: &str) -> Option<&'static Message> {
    let index = MESSAGES.binary_search_by(|message| message.0.cmp(full_name)).ok()?;
    MESSAGES.get(index)
}

/// Finds the message of an `Any`: what follows the last slash of the URL is its full name.
pub fn message_of_url(type_url: &str) -> Option<&'static Message> {
    message(type_url.rsplit('/').next().unwrap_or(type_url))
}

/// Every message, in order of full name.
pub fn messages() -> &'static [Message] {
    MESSAGES
}

impl Message {
    /// The full name, without a leading dot.
    pub fn full_name(&self) -> &'static str {
        self.0
    }

    /// The name without its package, for texts: `Cluster`.
    pub fn name(&self) -> &'static str {
        self.0.rsplit('.').next().unwrap_or(self.0)
    }

    /// The fields in order of declaration.
    pub fn fields(&self) -> &'static [Field] {
        self.1
    }

    /// The oneofs; [`Field::oneof_index`] points into them.
    pub fn oneofs(&self) -> &'static [Oneof] {
        self.2
    }

    /// Finds a field by its number on the wire.
    pub fn field(&self, number: u32) -> Option<&'static Field> {
        self.1.iter().find(|field| field.0 == number)
    }

    /// Finds a field by its protobuf name or by its JSON (lowerCamelCase) name.
    pub fn field_named(&self, name: &str) -> Option<&'static Field> {
        let exact = self.1.iter().find(|field| field.1 == name);
        exact.or_else(|| self.1.iter().find(|field| is_json_name(field.1, name)))
    }
}

impl Field {
    /// The number on the wire.
    pub fn number(&self) -> u32 {
        self.0
    }

    /// The name in the protobuf definition.
    pub fn name(&self) -> &'static str {
        self.1
    }

    /// The type of the value, or of a list's items.
    pub fn kind(&self) -> Kind {
        self.2
    }

    /// How often it may occur.
    pub fn label(&self) -> Label {
        self.3
    }

    /// The oneof it belongs to, as an index into [`Message::oneofs`].
    pub fn oneof_index(&self) -> Option<usize> {
        (self.4 != u8::MAX).then_some(usize::from(self.4))
    }

    /// Whether its value must not be shown (`udpa.annotations.sensitive`).
    pub fn is_sensitive(&self) -> bool {
        self.5 & SENSITIVE != 0
    }

    /// Whether Envoy calls it deprecated.
    pub fn is_deprecated(&self) -> bool {
        self.5 & DEPRECATED != 0
    }

    /// What its value must satisfy (`validate.rules`).
    pub fn rules(&self) -> &'static [Rule] {
        self.6
    }

    /// The message type of the value, when it is one.
    pub fn message(&self) -> Option<&'static Message> {
        match self.2 {
            Kind::Message(index) => MESSAGES.get(usize::from(index)),
            _ => None,
        }
    }

    /// The enum type of the value, when it is one.
    pub fn enumeration(&self) -> Option<&'static Enum> {
        match self.2 {
            Kind::Enum(index) => ENUMS.get(usize::from(index)),
            _ => None,
        }
    }
}

impl Oneof {
    /// Its name in the definition.
    pub fn name(&self) -> &'static str {
        self.0
    }

    /// Whether one of its fields must be set.
    pub fn is_required(&self) -> bool {
        self.1
    }
}

impl Enum {
    /// The full name, without a leading dot.
    pub fn full_name(&self) -> &'static str {
        self.0
    }

    /// The name without its package, for texts.
    pub fn name(&self) -> &'static str {
        self.0.rsplit('.').next().unwrap_or(self.0)
    }

    /// Numbers and names in order of declaration.
    pub fn values(&self) -> &'static [(i32, &'static str)] {
        self.1
    }

    /// The number of a value.
    pub fn number(&self, name: &str) -> Option<i32> {
        self.1.iter().find(|value| value.1 == name).map(|value| value.0)
    }

    /// The first name of a number.
    pub fn name_of(&self, number: i32) -> Option<&'static str> {
        self.1.iter().find(|value| value.0 == number).map(|value| value.1)
    }
}

/// Whether `json` is `name` in lowerCamelCase, as protobuf's JSON mapping derives it.
pub fn is_json_name(name: &str, json: &str) -> bool {
    let mut wanted = json.chars();
    let mut upper = false;
    for character in name.chars() {
        if character == '_' {
            upper = true;
            continue;
        }
        let character = if upper { character.to_ascii_uppercase() } else { character };
        upper = false;
        if wanted.next() != Some(character) {
            return false;
        }
    }
    wanted.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::{Label, message, message_of_url, messages};

    #[test]
    fn messages_are_found_by_name_and_by_url() {
        let cluster = message("envoy.config.cluster.v3.Cluster").unwrap();
        assert_eq!(cluster.name(), "Cluster");
        assert!(message_of_url("type.googleapis.com/envoy.config.cluster.v3.Cluster").is_some());
        assert!(message("envoy.config.cluster.v3.Clutser").is_none());
    }

    #[test]
    fn fields_are_found_by_both_of_their_names() {
        let cluster = message("envoy.config.cluster.v3.Cluster").unwrap();
        let by_name = cluster.field_named("connect_timeout").unwrap();
        let by_json = cluster.field_named("connectTimeout").unwrap();
        assert_eq!(by_name.number(), by_json.number());
        assert!(cluster.field_named("connectTimeou").is_none());
    }

    #[test]
    fn every_message_and_enum_index_is_valid() {
        for message in messages() {
            for field in message.fields() {
                match field.kind() {
                    super::Kind::Message(_) => assert!(field.message().is_some()),
                    super::Kind::Enum(_) => assert!(field.enumeration().is_some()),
                    _ => assert_ne!(field.label(), Label::Map, "{}", field.name()),
                }
            }
        }
    }

    #[test]
    fn private_keys_are_marked_sensitive() {
        let certificate =
            message("envoy.extensions.transport_sockets.tls.v3.TlsCertificate").unwrap();
        assert!(certificate.field_named("private_key").unwrap().is_sensitive());
        assert!(!certificate.field_named("certificate_chain").unwrap().is_sensitive());
    }
}
