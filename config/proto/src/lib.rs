//! Envoy's v3 API as generated protobuf types, with the descriptor.
