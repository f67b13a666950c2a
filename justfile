# Short names for what one does often. `just` lists them.

_default:
    @just --list --unsorted

# what a push should have passed
check: fmt-check lint test doc deny

# rewrite the sources in the project's style
fmt:
    cargo fmt --all

# only say what `fmt` would change
fmt-check:
    cargo fmt --all --check

# clippy, warnings are errors
lint:
    .ci/run lint

# all tests that need nothing but Rust and a C compiler
test *ARGS:
    cargo test --workspace {{ARGS}}

# the API documentation, broken links are errors
doc:
    .ci/run doc

# licences, duplicates, sources and advisories of dependencies
deny:
    .ci/run deny

# a small mesh on loopback, with commands to try
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# against Envoy, go-control-plane, an OpenTelemetry collector, curl, grpcio
interop *SUITES:
    tests/interop/run {{SUITES}}

# Palanquin, Envoy, nginx and HAProxy in one run; rewrites the table of docs/benchmarks.md
bench *ARGS:
    benches/macro/run {{ARGS}}

# count instructions and compare them with the baseline
micro *ARGS:
    benches/micro/run {{ARGS}}

# SM3 and SM4 on every path of this processor, beside RustCrypto and `--peer NAME=PROGRAM`
sm-bench *ARGS:
    cargo bench -p palanquin-sm --bench throughput -- {{ARGS}}

# look for secrets in the time of the SM algorithms; wants a quiet machine
sm-timing *ARGS:
    cargo bench -p palanquin-sm --bench timing -- {{ARGS}}

# every fuzz target for some seconds
fuzz *ARGS:
    tests/fuzz/smoke {{ARGS}}

# rewrite the protobuf code from Envoy's API
protos:
    cargo run -p palanquin-proto-gen

# everything, as on a fresh machine
ci:
    .ci/run
