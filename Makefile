# Two commands do everything: `make demo` and `make test`. Both find or fetch a nats-server first.

SHELL := /bin/sh
CARGO ?= cargo

.PHONY: demo demo-gym test test-client test-otlp faults soak fuzz check check-secrets bench nats-server clean

# Broker, worker and 64 vehicles on this machine for a minute. DEMO="--vehicles 200 --hz 10" changes it.
demo: nats-server
	$(CARGO) run --release --locked -- demo --nats-server "$$(scripts/nats-server)" $(DEMO)

# The same with 8 Python processes that drive highway-env. DEMO="--vehicles 16 --hz 10" changes it.
demo-gym: nats-server
	@scripts/python-env newest > /dev/null
	$(CARGO) run --release --locked -- demo --gym --nats-server "$$(scripts/nats-server)" --python "$$(scripts/python-env newest)" $(DEMO)

test: nats-server
	NATS_SERVER_BIN="$$(scripts/nats-server)" $(CARGO) test --locked
	$(MAKE) test-client

# The Python client against the program, with the oldest and the newest versions of what it needs.
# TESTS="-k hold" for some of them.
test-client: nats-server
	$(CARGO) build --locked
	@set -e; for versions in oldest newest; do \
		python="$$(scripts/python-env $$versions)"; \
		echo "clients/python with the $$versions versions: $$("$$python" --version)"; \
		NATS_SERVER_BIN="$$(scripts/nats-server)" "$$python" -m pytest clients/python/tests $(TESTS); \
	done

# Lints and tests of what only a build with the exporter of spans has.
test-otlp:
	$(CARGO) clippy --locked --all-targets --features otlp -- -D warnings
	$(CARGO) test --locked --features otlp --lib telemetry
	$(CARGO) test --locked --features otlp --test integration traces

# Minutes of faults for real processes, each with its promise: docs/reliability.md. Some of them only:
# make faults FAULTS="kill flood --json faults.json"
faults: nats-server
	NATS_SERVER_BIN="$$(scripts/nats-server)" $(CARGO) test --release --locked --test faults -- $(FAULTS)

# Ten million requests through one worker, and what its memory does. SOAK="--requests 1000000" for fewer.
soak: nats-server
	NATS_SERVER_BIN="$$(scripts/nats-server)" $(CARGO) test --release --locked --test faults -- soak $(SOAK)

# The script that makes keys and certificates, and the secured broker with them. Needs openssl.
check-secrets: nats-server
	$(CARGO) build --locked
	deploy/nats/check target/debug/carla-rl "$$(scripts/nats-server)"

# Formatting, lints and docs, all warnings being errors.
check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --test faults -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	@set -e; python="$$(scripts/python-env newest)"; cd clients/python; set -x; \
		"$$python" -m ruff format --check .; "$$python" -m ruff check .; "$$python" -m mypy

# On a GPU: MODEL_DEVICE=metal MODEL_PRECISION=float16 make bench BENCH="--features metal forward"
bench:
	RAYON_NUM_THREADS=1 $(CARGO) bench --locked $(BENCH)

# What strangers may send, a minute for each kind of it: fuzz/README.md.
FUZZ_SECONDS ?= 60
fuzz:
	@command -v cargo-fuzz > /dev/null || { echo "make fuzz: needs cargo-fuzz (cargo install cargo-fuzz) and a nightly toolchain" >&2; exit 1; }
	@cd fuzz && for target in request headers card weights checkpoint settings; do \
		mkdir -p work/$$target; \
		$(CARGO) +nightly fuzz run --sanitizer none $$target work/$$target corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 || exit 1; \
	done

# The broker: $NATS_SERVER_BIN, one on the path, or fetched into .tools/.
nats-server:
	@scripts/nats-server > /dev/null

clean:
	$(CARGO) clean
	rm -rf .tools demo.svg
