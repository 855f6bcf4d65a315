# syntax=docker/dockerfile:1

# The worker for NVIDIA's GPUs; from the top folder:
#
#   docker build --file deploy/docker/cuda.Dockerfile --tag carla-rl-cuda:0.1.0 .
#   docker build --file deploy/docker/cuda.Dockerfile --build-arg CUDA_COMPUTE_CAP=90 ...
#
# It needs the NVIDIA container toolkit and a driver for CUDA 13 where it runs, not where it is built.

ARG RUST_IMAGE=rust:1.95-bookworm
ARG CUDA_VERSION=13.0.2

FROM ${RUST_IMAGE} AS rust

FROM nvidia/cuda:${CUDA_VERSION}-devel-ubuntu24.04 AS build
COPY --from=rust /usr/local/cargo /usr/local/cargo
COPY --from=rust /usr/local/rustup /usr/local/rustup
ENV CARGO_HOME=/usr/local/cargo \
    RUSTUP_HOME=/usr/local/rustup \
    PATH=/usr/local/cargo/bin:/usr/local/cuda/bin:${PATH}
# The oldest GPU that the kernels shall run on; newer ones translate them at the first start. 80 is
# Ampere (A100), 89 Ada (RTX 4090, L4), 90 Hopper (H100). A build machine need not have one.
ARG CUDA_COMPUTE_CAP=80
ENV CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP}
# Cargo features, with commas between them; cuda must be one of them.
ARG FEATURES=cuda
WORKDIR /src

# As in ../../Dockerfile: the dependencies, kernels among them, in a layer of their own.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches tests/integration \
    && touch src/lib.rs benches/carla_rl.rs tests/integration/main.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked --features "${FEATURES}"

COPY config config
COPY src src
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --features "${FEATURES}" \
    && strip target/release/carla-rl

FROM nvidia/cuda:${CUDA_VERSION}-base-ubuntu24.04
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="carla-rl-cuda" \
      org.opencontainers.image.description="Inference worker for reinforcement-learning driving policies, on CUDA" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# What the program links beyond the CUDA runtime of the base. The base's package list belongs to its
# CUDA release, so these names lead to one version each.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libcublas-13-0 libcurand-13-0 \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=65532 --group=65532 /var/cache/cuda

WORKDIR /
COPY --from=build /src/target/release/carla-rl /carla-rl
COPY config /config
COPY artifacts /artifacts
COPY LICENSE /LICENSE

# No trial start here, unlike the image for the CPU: the program links libcuda.so.1, which the
# container toolkit brings in at run time.
#
# The driver translates the kernels for its GPU at the first start and keeps them in
# CUDA_CACHE_PATH: with a volume there, later starts are quick.
ENV SERVER_HOST=0.0.0.0 \
    MODEL_DEVICE=cuda \
    CUDA_CACHE_PATH=/var/cache/cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
EXPOSE 8080
USER 65532:65532

STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 CMD ["/carla-rl", "probe", "--ready"]
ENTRYPOINT ["/carla-rl"]
CMD ["worker", "--profile", "production"]
