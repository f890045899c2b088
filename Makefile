# kyc-agent. `make` lists the targets.

SHELL  := /bin/bash
GO     ?= go
# Neither make nor a shell may expand what comes from outside: git says what somebody has
# called a tag. So these are taken as they are, and `variables` checks them.
ifeq ($(origin PREFIX),undefined)
PREFIX := $(HOME)/.local
endif
override PREFIX := $(patsubst %/,%,$(value PREFIX))
override DESTDIR := $(value DESTDIR)
override BIN := $(or $(value BIN),bin)
override VERSION := $(or $(value VERSION),$(shell git describe --tags --always --dirty 2>/dev/null),(devel))
FUZZTIME ?= 10s
SOAK ?= 10m
GRACE ?= 60s
# What takes longest goes first, so that the rest runs beside it. The soak waits most of its time.
LONGEST := ./packaging ./cmd/kyc-agentd ./examples ./store/keyring
LONGEST_LONG := ./soak ./cmd/kyc-agentd ./packaging
# More flags for `go test`, such as TESTFLAGS='-run Login -v'.
TESTFLAGS ?=

NPM := internal/testpeer/npm
# The race detector needs a C compiler; without one the tests run all the same.
RACE = $(if $(shell command -v "$$($(GO) env CC)"),-race)
# Without this the race detector waits a second at the exit of each process.
test test-long quick: export GORACE ?= atexit_sleep_ms=0

# Units go where the user manager looks for them: in the home of a user who installs
# for themselves, in PREFIX/lib for everybody. packaging_test.go holds this true.
UNITDIR = $(if $(filter $(HOME)/%,$(PREFIX)/),$(HOME)/.config/systemd/user,$(PREFIX)/lib/systemd/user)
BINARIES := kyc-agentd kyc-token
# Linux lets no process of the user read the memory of a program whose file that user cannot
# read, from its first instruction on. kyc-agentd closes it only after the start of Go's
# runtime. Root's file in a package is closed to everybody by 0711, a user's own by 0111.
MODE := $(if $(DESTDIR),0711,0111)
# The tools that run kyc-token as their helper find it by these names.
LINKS    := git-credential-kyc terraform-credentials-kyc goauth-kyc
UNITS    := kyc-agentd.socket kyc-agentd.service kyc-agentd-extra.socket
# Manual pages and completions, below PREFIX/share.
SHARED   := man/man1/kyc-agentd.1 man/man1/kyc-token.1 man/man5/kyc-agent.toml.5 man/man7/kyc-agentd-api.7 $(LINKS:%=man/man1/%.1) \
	bash-completion/completions/kyc-agentd bash-completion/completions/kyc-token \
	zsh/site-functions/_kyc-agentd zsh/site-functions/_kyc-token \
	fish/vendor_completions.d/kyc-agentd.fish fish/vendor_completions.d/kyc-token.fish

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

.PHONY: build
build: $(BINARIES) ## both binaries into bin/: static, stripped

# Not PIE, whatever GOFLAGS say: relocation costs kyc-token a quarter of its time.
# The entry is in cmd/*/entry_linux.go.
ENTRY = $(if $(filter linux/amd64 linux/arm64,$(or $(GOOS),$(shell $(GO) env GOOS))/$(or $(GOARCH),$(shell $(GO) env GOARCH))),-E=main.entry)
.PHONY: $(BINARIES)
$(BINARIES): export VERSION := $(VERSION)
$(BINARIES): variables
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -buildmode=exe -ldflags="-s -w -buildid= $(ENTRY) -X main.version=$$VERSION" -o $(BIN)/$@ ./cmd/$@

# They are written by this machine's program, whichever one the binaries are for.
.PHONY: share
share: export GOOS :=
share: export GOARCH :=
share: variables
	@$(GO) run ./packaging/share -o $(BIN)/share

.PHONY: demo
demo: ## the whole product against a Cognito and a KYC API on this machine
	@$(GO) run ./examples/demo

.PHONY: recording
recording: ## docs/recording.svg anew, the picture of `make demo` in README.md
	@$(GO) run ./examples/recording

.PHONY: test
test: check ## check, then every test but the long ones; a peer that is missing is skipped by name
	$(if $(RACE),,@echo 'No C compiler: testing without the race detector; run: apt-get install gcc')
	$(GO) test $(RACE) -timeout=20m $(TESTFLAGS) $(LONGEST) ./...

.PHONY: quick
quick: ## the tests that take no more than a second or two, in under a minute
	$(GO) test -short $(TESTFLAGS) ./...

# A test is long when it calls testpeer.Long or testpeer.Rounds: that is how it is found.
.PHONY: test-long
test-long: ## the tests that take minutes: 500 kills, packages, booted Debians
	@calls='testpeer[.](Long|Rounds)[(]'; files=$$(grep -rlE --include='*_test.go' "$$calls" .); \
	tests=$$(awk -v calls="$$calls" '/^func /{split($$2, f, "("); name = f[1]} $$0 ~ calls {print name}' $$files | sort -u | paste -sd'|'); \
	set -x; KYC_TEST_LONG=1 $(GO) test $(RACE) -timeout=40m -run="^($$tests)$$" $(TESTFLAGS) $(LONGEST_LONG) $$(dirname $$files | sort -u)

.PHONY: integration
integration: ## docs/integrations.md with the real tools, as a table
	@set -o pipefail; $(GO) test -count=1 -v ./examples/integrations | grep -E '^(\||--- |FAIL|ok)|^ +--- (FAIL|SKIP)'

.PHONY: check
check: ## gofmt, go vet, staticcheck, go fix, actionlint
	@unformatted=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not gofmt'ed; run: gofmt -w" $$unformatted; exit 1; fi
	$(GO) vet ./...
	$(GO) tool -modfile=tools.mod staticcheck ./...
	$(GO) fix -diff ./...
	$(GO) tool -modfile=tools.mod actionlint -shellcheck= -pyflakes= .github/workflows/*.yml

# Without the database nothing is known, and that is not a finding.
.PHONY: vuln
vuln: ## known vulnerabilities in what is linked, by govulncheck; needs vuln.go.dev
	@out=$$($(GO) tool -modfile=tools.mod govulncheck ./... 2>&1); status=$$?; \
	case $$out in \
	*'fetching vulnerabilities: '*) echo "not checked, the database cannot be reached: $${out##*fetching vulnerabilities: }";; \
	*) echo "$$out"; exit $$status;; \
	esac

.PHONY: peers
peers: ## the npm programs some tests run against
	cd $(NPM) && npm ci --no-audit --no-fund --loglevel=error

.PHONY: bench
bench: ## the measurements, into bench/RESULTS.md
	$(GO) run ./bench

.PHONY: soak
soak: ## SOAK (10m) of kills and faults at random, GRACE=60s or 0s; SEED repeats a run
	$(GO) run ./soak -for $(SOAK) -grace $(GRACE) $(if $(SEED),-seed $(SEED)) $(if $(PHASES),-only $(PHASES))

.PHONY: soak-fleet
soak-fleet: ## SOAK of faults for 50 agents with one sign-in; ENGINE=postgres or kubernetes, AGENTS
	$(GO) run ./soak/fleet -engine $(or $(ENGINE),postgres) -agents $(or $(AGENTS),50) -for $(SOAK) -grace $(GRACE) $(if $(SEED),-seed $(SEED))

# A kube-apiserver is a Go program as any other, of 400 modules. The folder is that of
# engine.KubeBinaries.
KUBE ?= $(or $(KYC_KUBE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kyc-agent/kube-1.36.3)
.PHONY: kube
kube: ## etcd and kube-apiserver for the tests of a fleet, once, into your cache; 4 minutes on idle cores
	@mkdir -p "$(KUBE)"
	@[ -x "$(KUBE)/etcd" ] || CGO_ENABLED=0 $(GO) build -modfile=internal/testpeer/kube/kube.mod -trimpath -ldflags="-s -w" -o "$(KUBE)/etcd" go.etcd.io/etcd/server/v3
	@[ -x "$(KUBE)/kube-apiserver" ] || CGO_ENABLED=0 $(GO) build -modfile=internal/testpeer/kube/kube.mod -trimpath -ldflags="-s -w" -o "$(KUBE)/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s)
	@set -o pipefail; grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | \
	while IFS=: read -r file func; do \
		echo "$${file%/*} $${func#func }"; \
		$(GO) test -run='^$$' -fuzz="^$${func#func }$$" -fuzztime=$(FUZZTIME) "$${file%/*}" || exit 1; \
	done

.PHONY: install
install: variables build share ## binaries, links, units and manuals for PREFIX (~/.local); no root needed
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(UNITDIR)"
	install -m 0755 $(BIN)/kyc-token "$(DESTDIR)$(PREFIX)/bin/"
	install -m $(MODE) $(BIN)/kyc-agentd "$(DESTDIR)$(PREFIX)/bin/"
	for link in $(LINKS); do ln -sfn kyc-token "$(DESTDIR)$(PREFIX)/bin/$$link" || exit 1; done
	@for unit in $(UNITS); do \
		echo "install -m 0644 $$unit $(DESTDIR)$(UNITDIR)/"; \
		sed 's|/usr/bin/kyc-agentd |$(PREFIX)/bin/kyc-agentd |' packaging/systemd/$$unit \
		| install -m 0644 /dev/stdin "$(DESTDIR)$(UNITDIR)/$$unit" || exit 1; \
	done
	@for file in $(SHARED); do install -D -m 0644 $(BIN)/share/$$file "$(DESTDIR)$(PREFIX)/share/$$file" || exit 1; done
	@echo 'install -m 0644 manuals and completions $(DESTDIR)$(PREFIX)/share/'
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; *) echo; echo 'Not on your PATH yet: $(PREFIX)/bin';; esac
	@[ $(MODE) = 0711 ] || printf '\n%s\n%s\n' 'A program that runs as the owner of $(PREFIX)/bin/kyc-agentd can make that file readable' \
	'or replace it, and then read the secrets of an agent that starts. Packages install it as root.'
	@printf '\nNext:\n  systemctl --user enable --now kyc-agentd.socket\n  kyc-agentd login\n'

.PHONY: release
release: export GO := $(GO)
release: export VERSION := $(VERSION)
release: variables ## archives, .deb, .rpm, formula, SBOM and checksums of this tag or commit, into dist/
	@MAKE="$(MAKE)" packaging/release

.PHONY: publish
publish: release ## a release on GitHub of the tag $TAG, with the files of `make release`; needs gh
	@head -1 dist/CHANGES.md | grep -qF "[$${TAG#v}]" || [[ $$TAG == *-* ]] || \
	{ echo "CHANGELOG.md has no section [$${TAG#v}]: give [Unreleased] that name and commit it" >&2; exit 65; }
	@gh release create "$$TAG" --verify-tag --title "$$TAG" --notes-file dist/CHANGES.md dist/*

.PHONY: uninstall
uninstall: variables ## remove what install put there
	rm -f $(BINARIES:%="$(DESTDIR)$(PREFIX)/bin/%") $(LINKS:%="$(DESTDIR)$(PREFIX)/bin/%") $(UNITS:%="$(DESTDIR)$(UNITDIR)/%")
	rm -f $(SHARED:%="$(DESTDIR)$(PREFIX)/share/%")
	@printf '\nIf the agent was enabled, next:\n  systemctl --user disable --now kyc-agentd.socket\n'

# The prefix is written into a unit file, where blanks, % and quotes have a meaning; the
# version into programs, packages and a formula, by the shell and by sed.
.PHONY: variables
variables: export PREFIX := $(PREFIX)
variables: export DESTDIR := $(DESTDIR)
variables: export BIN := $(BIN)
variables: export VERSION := $(VERSION)
variables:
	@refuse() { printf '%s, not: %q\n' "$$1" "$$2" >&2; exit 64; }; \
	[[ $$PREFIX =~ ^/[A-Za-z0-9._/+@-]*$$ ]] || refuse 'PREFIX must be an absolute path of letters, digits and ./_+@-' "$$PREFIX"; \
	[[ $$DESTDIR =~ ^[A-Za-z0-9._/+@:,=~\ -]*$$ ]] || refuse 'DESTDIR must be a path of letters, digits, blanks and ./_+@:,=~-' "$$DESTDIR"; \
	[[ $$BIN =~ ^[A-Za-z0-9._/+@-]+$$ ]] || refuse 'BIN must be a path of letters, digits and ./_+@-' "$$BIN"; \
	[[ $$VERSION == '(devel)' || $$VERSION =~ ^[A-Za-z0-9][A-Za-z0-9._/+~-]*$$ ]] || \
	refuse 'VERSION (by default what git describe says) must be of letters, digits and ._/+~-, such as VERSION=v1.2.3' "$$VERSION"
