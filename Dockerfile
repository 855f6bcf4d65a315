# syntax=docker/dockerfile:1

# The worker on the CPU. For NVIDIA's GPUs: deploy/docker/cuda.Dockerfile.
#
#   docker build --tag carla-rl:0.1.0 .
#   docker build --tag carla-rl:0.1.0 --build-arg FEATURES=otlp .

ARG RUST_IMAGE=rust:1.95-bookworm
# Debian 12 as in the build, so the same C library; no shell, no package manager; user 65532.
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS build
# Cargo features, with commas between them.
ARG FEATURES=""
WORKDIR /src

# The dependencies by themselves, with empty sources of our own: this layer stays as long as the
# lock file does.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches tests/integration \
    && touch src/lib.rs benches/carla_rl.rs tests/integration/main.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked --features "${FEATURES}"

COPY config config
COPY src src
# Cargo goes by the time of change, and these files are older than the empty ones just built.
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --features "${FEATURES}" \
    && strip target/release/carla-rl

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="carla-rl" \
      org.opencontainers.image.description="Inference worker for reinforcement-learning driving policies" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Settings and artifacts are looked for in the working directory.
WORKDIR /
COPY --from=build /src/target/release/carla-rl /carla-rl
COPY config /config
COPY artifacts /artifacts
COPY LICENSE /LICENSE

# Inside a container, loopback would shut out probes and metrics.
ENV SERVER_HOST=0.0.0.0
EXPOSE 8080
USER 65532:65532

# An image whose program doesn't start, or whose example doesn't verify, is not to be made.
RUN ["/carla-rl", "--version"]
# hadolint ignore=DL3059
RUN ["/carla-rl", "worker", "--check"]

# SIGTERM starts the drain. Exec form throughout: no shell stands between it and the program.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["/carla-rl", "probe", "--ready"]
ENTRYPOINT ["/carla-rl"]
CMD ["worker", "--profile", "production"]
