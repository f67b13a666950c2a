//! The one way from protobuf to validated types.
