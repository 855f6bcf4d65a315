# Two commands do everything: `make demo` and `make test`. Both find or fetch a nats-server first.

SHELL := /bin/sh
CARGO ?= cargo

.PHONY: demo test test-otlp check check-secrets bench nats-server clean

# Broker, worker and 64 vehicles on this machine for a minute. DEMO="--vehicles 200 --hz 10" changes it.
demo: nats-server
	$(CARGO) run --release --locked -- demo --nats-server "$$(scripts/nats-server)" $(DEMO)

test: nats-server
	NATS_SERVER_BIN="$$(scripts/nats-server)" $(CARGO) test --locked

# Lints and tests of what only a build with the exporter of spans has.
test-otlp:
	$(CARGO) clippy --locked --all-targets --features otlp -- -D warnings
	$(CARGO) test --locked --features otlp --lib telemetry
	$(CARGO) test --locked --features otlp --test integration traces

# The script that makes keys and certificates, and the secured broker with them. Needs openssl.
check-secrets: nats-server
	$(CARGO) build --locked
	deploy/nats/check target/debug/carla-rl "$$(scripts/nats-server)"

# Formatting, lints and docs, all warnings being errors.
check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

# On a GPU: MODEL_DEVICE=metal MODEL_PRECISION=float16 make bench BENCH="--features metal forward"
bench:
	RAYON_NUM_THREADS=1 $(CARGO) bench --locked $(BENCH)

# The broker: $NATS_SERVER_BIN, one on the path, or fetched into .tools/.
nats-server:
	@scripts/nats-server > /dev/null

clean:
	$(CARGO) clean
	rm -rf .tools demo.svg
