# GNU make over meson and ninja. `make help` lists what there is; each target is one call of a program in
# tools/ or bench/, so the same can be had without make.

LISTEN ?= 127.0.0.1:8640
STORE ?= punctual.db
APPLY ?= examples/punctual.yaml
N ?= 30
POINTS ?= 22000
SEEDS ?= 2000
RUNS ?= 10000
ROWS ?=
QUICK ?=
END ?=
PERF ?=
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup build run demo test unit http python faults crash chaos wheels tsan check format lock bench fresh clean install uninstall power sim mutants

help: ## this list
	@echo "make TARGET [NAME=value ...]"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | \
	    while IFS='|' read -r target words; do printf '%-12s %s\n' "$$target" "$$words"; done

setup: ## install the Debian packages that building, running and testing need
	@tools/setup build test

build: ## build the server as it is released: build/punctual
	@tools/setup build
	@tools/build release punctual

run: build ## install what is missing, build, start the server with the example tasks and show runs (LISTEN, STORE, APPLY)
	@tools/run $(LISTEN) $(STORE) $(APPLY)

demo: build ## a FastAPI service beside the server, and a day of its work in seconds (END=1 ends after it)
	@tools/setup demo
	@tools/demo $(if $(END),--end)

test: ## install what is missing, build with sanitizers and run the tests
	@tools/setup build test
	@tools/test check unit http python faults wheels+crash=$(N)+chaos=$(RUNS) power=$(POINTS) sim=$(SEEDS) mutants=5

unit: ## only the units and the store suite
	@tools/setup build test
	@tools/test unit

http: ## only the tests from outside, against a real server (K=words selects)
	@tools/setup build test
	@tools/test http

python: ## only the Python client: ruff, types, its tests against a real server (K=words selects)
	@tools/setup build test
	@tools/test python

faults: ## only faults from outside: hostile receivers and clients, children, disks, clocks (K=words selects)
	@tools/setup build test
	@tools/test faults

power: ## only the power cuts and failing calls under the store (POINTS=22000)
	@tools/setup build test
	@tools/test power=$(POINTS)

crash: ## only the crash test: kill -9 at N random moments (N=30)
	@tools/setup build test
	@tools/test crash=$(N)

chaos: ## only the chaos test: app, queue workers and server killed during so many runs (RUNS=10000)
	@tools/setup build test
	@tools/test chaos=$(RUNS)

sim: ## only the simulator: whole days with faults, from SEEDS seeds (SEEDS=2000)
	@tools/setup build test
	@tools/test sim=$(SEEDS)

mutants: ## only the seeded bugs: each must be caught by a test
	@tools/setup build test
	@tools/test mutants

tsan: ## build with clang's thread sanitizer; run what uses threads
	@tools/setup build test tsan
	@tools/test tsan

check: ## what CI runs, as .ci/run does: layers, format, all tests, thread sanitizer
	@.ci/run

wheels: ## build the Python packages, client and server, into build/wheels
	@tools/setup build wheels
	@tools/wheels

format: ## put C and Python files into the house's form
	@tools/setup test
	@tools/format

lock: ## write tests/requirements.lock and bench/requirements.lock anew from the .in beside them
	@tools/setup test
	@tools/lock

bench: ## measure, print the table, write it to bench/results (ROWS=create,batch; QUICK=1; PERF=1)
	@tools/setup build
	@tools/setup bench || echo "bench: what is missing is named in the result"
	@tools/build release punctual bench
	@$(PYTHON) bench/run $(if $(ROWS),--rows $(ROWS)) $(if $(QUICK),--quick) $(if $(PERF),--perf)

fresh: ## try the README's two commands, and the quick start with Python, each in a newly made Debian 12 (needs root)
	@tools/setup fresh
	@tools/fresh
	@tools/fresh python

clean: ## remove what was built; stores stay
	rm -rf build build-asan build-tsan build-mutants .pytest_cache .ruff_cache .mypy_cache clients/python/dist .venv

install: build ## copy program, unit file and example to PREFIX (/usr/local) below DESTDIR
	install -D -m 755 build/punctual $(DESTDIR)$(PREFIX)/bin/punctual
	install -D -m 644 examples/punctual.yaml $(DESTDIR)$(PREFIX)/share/doc/punctual/examples/punctual.yaml
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/punctual/LICENSE
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@bindir@|$(PREFIX)/bin|' packaging/punctual.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/punctual.service

uninstall: ## remove what install copied
	rm -f $(DESTDIR)$(PREFIX)/bin/punctual $(DESTDIR)$(PREFIX)/lib/systemd/system/punctual.service
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/punctual
