# reprise: `make run` answers a prompt on a real model, `make test` passes all tests. Both do their own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := build

PROMPT    ?= The capital of France is
FOLLOW_UP ?= It lies on the river
MODEL     ?=
PREFIX    ?= /usr/local
JSON      ?= cmd/reprise/testdata/bench/$(shell date -u +%Y-%m-%d)-$(shell git rev-parse --short HEAD 2>/dev/null || echo unknown).json
BENCH     ?=

SMALL   := third_party/build/models/gemma-3-270m
ENV     := . third_party/build/env.sh
# $ORIGIN/@executable_path make an installed binary find its libraries beside itself.
RPATH   := $(if $(filter Darwin,$(shell uname -s)),@executable_path,\$$ORIGIN)/../lib/reprise
LDFLAGS  = -X reprise/cmd/internal/version.Commit=$(shell git rev-parse --short HEAD 2>/dev/null || echo unknown) -extldflags '-Wl,-rpath,$(RPATH)/mlx/lib,-rpath,$(RPATH)/blas/lib'

.PHONY: build libraries binary model run serve test check-darwin bench parity prove install env clean fmt

build: model ## everything: libraries, binary, the small model imported into the build cache

libraries:
	@third_party/setup.sh

binary: libraries
	@$(ENV) && go build -ldflags "$(LDFLAGS)" -o bin/reprise ./cmd/reprise

model: binary
	@third_party/setup.sh model

run: build ## PROMPT="…" MODEL=<dir or hub id>
	@bin/reprise run --max-tokens 32 $(if $(MODEL),--model "$(MODEL)") --follow-up "$(FOLLOW_UP)" -- "$(PROMPT)"

serve: build
	@bin/reprise serve $(if $(MODEL),--model "$(MODEL)")

test: build
	@third_party/valkey.sh
	@$(ENV) && go vet ./... && go test -timeout 20m ./...

check-darwin: ## cross-compiles and links for macOS arm64, every symbol resolved
	@third_party/setup.sh darwin
	@. third_party/build/darwin.sh && go build -ldflags "-s -w -extldflags '-Wl,-rpath,@executable_path/../lib/reprise/mlx/lib'" -o bin/reprise-darwin-arm64 ./cmd/reprise && go vet ./...
	@rm -f -- -.o # zig leaves it when cgo asks which flags it knows
	@file bin/reprise-darwin-arm64 2>/dev/null || true

bench: build ## this runner beside llama.cpp and mlx-lm, 15 minutes: BENCH="--rounds 5 --engines reprise,llama.cpp" JSON=<file>
	@third_party/peers.sh
	@bin/reprise bench peers --json "$(JSON)" $(BENCH)
	@echo "written to $(JSON); bin/reprise bench peers --readme $(JSON) prints the README's section"

parity: build ## regenerates the reference values and compares them with the committed ones
	@model/parity/run.sh

prove: build ## every line of acceptance.md that this machine can show, in full
	@cmd/reprise/testdata/prove.sh

install: build ## PREFIX=/usr/local: binary and libraries, relocatable
	@third_party/install.sh "$(PREFIX)"

env: ## eval "$$(make -s env)" makes plain go build and go test work
	@third_party/setup.sh env

fmt:
	@gofmt -w cmd kvcache mlx model server

clean: ## the binary and the links; the build cache stays
	@rm -rf bin third_party/build
