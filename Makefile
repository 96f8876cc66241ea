# Porthole. `make help` lists the targets; `make sim` and `make test` are the
# two that a fresh machine needs.

GO     ?= go
PORT   ?= 8443
HTTP_PORT  ?= 8080
ADMIN_PORT ?= 9100
SERIAL_PORT ?= 2217
ARGS   ?=
export GOFLAGS ?= -buildvcs=false

.DEFAULT_GOAL := help
.PHONY: firmware-test firmware-size help sim server loadtest loadtest-nightly loadtest-max test race fuzz bench bench-serve lint nightly deps build hil firmware tui conformance board loop demo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PORT=$(PORT) HTTP_PORT=$(HTTP_PORT) ADMIN_PORT=$(ADMIN_PORT) choose the ports, ARGS=\"…\" adds flags: make sim ARGS=\"--source DIR\""

# A Ctrl-C that ends one of these also ends make, which then reports 130 for
# itself whatever the program said: that is make's own rule, and no recipe can
# change it. bin/rig and bin/porthole end with 0.
sim: ## run server, simulated camera and demo page on this machine
	@mkdir -p bin && $(GO) build -o bin/rig ./cmd/rig
	@exec bin/rig sim --port $(PORT) --http-port $(HTTP_PORT) --admin-port $(ADMIN_PORT) --serial 127.0.0.1:$(SERIAL_PORT) $(ARGS)

server: ## build the server and run it with a development certificate
	@mkdir -p bin && $(GO) build -o bin/porthole ./cmd/porthole
	@exec bin/porthole serve --dev --listen 127.0.0.1:$(PORT) --http 127.0.0.1:$(HTTP_PORT) --admin 127.0.0.1:$(ADMIN_PORT) $(ARGS)

build: ## build both binaries into bin/
	mkdir -p bin && $(GO) build -trimpath -ldflags=-s -o bin/ ./cmd/...

loadtest: ## 200 viewers for 20 s against a feed of its own, with JUnit
	@mkdir -p bin artifacts && $(GO) build -o bin/rig ./cmd/rig
	./scripts/loadtest.sh bin/rig load --profile loads/ci.txt --junit artifacts/load.xml --html artifacts/load.html $(ARGS)

loadtest-nightly: ## 5,000 viewers for two minutes, a weekend's visitors, and faults
	@mkdir -p bin artifacts && $(GO) build -o bin/rig ./cmd/rig
	./scripts/loadtest.sh bin/rig load --viewers 5000 --duration 2m --ramp 20s --junit artifacts/load-5000.xml --html artifacts/load-5000.html $(ARGS)
	./scripts/loadtest.sh bin/rig load --profile loads/weekend.txt --html artifacts/load-weekend.html
	./scripts/loadtest.sh bin/rig load --profile loads/front-page.txt --html artifacts/load-front-page.html
	./scripts/loadtest.sh bin/rig load --profile loads/hard-weather.txt --html artifacts/load-hard-weather.html
	./scripts/loadtest.sh bin/rig load --profile loads/changes.txt --html artifacts/load-changes.html

loadtest-max: ## the largest crowd that passes here
	@mkdir -p bin artifacts && $(GO) build -o bin/rig ./cmd/rig
	bin/rig load find-max --from 1000 --to 15000 --duration 30s --ramp 12s --json artifacts/load-max.json --html artifacts/load-max.html $(ARGS)

board: ## run a simulated board alone, on a serial port over the network
	@mkdir -p bin && $(GO) build -o bin/rig ./cmd/rig
	@exec bin/rig board --serial 127.0.0.1:$(SERIAL_PORT) $(ARGS)

tui: ## server, camera and board on one screen; ARGS="--server URL" attaches
	@mkdir -p bin && $(GO) build -o bin/rig ./cmd/rig
	@exec bin/rig tui $(ARGS)

demo: ## record the dashboard for 72 s and make the README's picture of it anew
	@mkdir -p bin artifacts && $(GO) build -o bin/rig ./cmd/rig
	bin/rig tui --plain --seed 7 --for 72s --script scripts/demo.txt --record artifacts/demo.jsonl >artifacts/demo.log
	bin/rig tui --replay artifacts/demo.jsonl --export docs/tui.svg
	chmod 644 docs/tui.svg

conformance: deps ## let foreign flashers flash the simulated board
	CONFORMANCE_REQUIRE=pyserial $(GO) test -count=1 -v ./internal/conformance

hil: ## run all shipped scenarios on the simulated board, with JUnit
	@mkdir -p bin artifacts && $(GO) build -o bin/rig ./cmd/rig
	bin/rig hil scenarios/*.txt --junit artifacts/hil.xml $(ARGS)

firmware: ## build the camera firmware for this machine: bin/porthole-fw
	@$(MAKE) -s -C firmware all
	@mkdir -p bin && cp firmware/build/porthole-fw bin/

firmware-test: ## the tests of the firmware's portable core, with sanitizers
	@$(MAKE) -s -C firmware syntax test

firmware-size: ## the size of the portable core
	@$(MAKE) -s -C firmware size

test: deps firmware-test ## all tests, with the race detector where it helps
	./scripts/test.sh

race: ## the tests of everything concurrent, with the race detector, without the cache
	$(GO) test -race -count=1 ./...

fuzz: ## every fuzz target for FUZZTIME (5000x: the same inputs each time; 10m: explore)
	./scripts/fuzz.sh $${FUZZTIME:-5000x}

bench: ## all benchmarks, and the figures that need virtual time
	$(GO) test -run '^$$' -bench . -benchmem ./...
	PORTHOLE_MEASURE=1 $(GO) test -count=1 -v -run Measure ./... | grep -v -e '^=== ' -e 'no test files' -e 'no tests to run'

bench-serve: deps ## the public side beside nginx, with 18,500 viewers, and under attack (6 minutes)
	./scripts/bench-serve.sh $(ARGS)

lint: deps ## gofmt, vet, go fix, shellcheck
	./scripts/lint.sh

nightly: ## the long runs: fuzzing 10 minutes a target, 100,000 fault schedules, everything marked long
	PORTHOLE_LONG=1 PORTHOLE_SCHEDULES=100000 $(GO) test -count=1 -timeout 8h ./...
	FUZZTIME=$${FUZZTIME:-10m} $(MAKE) fuzz
	$(MAKE) loadtest-nightly

deps: ## install what the tests need (Debian, root), or say how
	@./scripts/deps.sh

loop: ## make the built-in loop of the server anew
	$(GO) test ./server -run TestEmbeddedLoop -count=1 -args -update
