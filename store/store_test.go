package store_test

import (
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/memory"
)

func TestValidKey(t *testing.T) {
	for key, want := range map[string]bool{
		"prod": true, "staging-2": true, "a_b": true, "0": true, strings.Repeat("k", 63): true,
		"": false, "-a": false, "_a": false, ".a": false, "a.b": false, "a/b": false, "..": false,
		"A": false, "ä": false, "a\n": false, "a\x00": false, " a": false, strings.Repeat("k", 64): false,
	} {
		if got := store.ValidKey(key); got != want {
			t.Errorf("ValidKey(%q) = %v", key, got)
		}
	}
}

func TestMayPrompt(t *testing.T) {
	if store.MayPrompt(t.Context()) {
		t.Error("a context may prompt without WithPrompt")
	}
	if !store.MayPrompt(store.WithPrompt(t.Context())) {
		t.Error("WithPrompt is lost")
	}
}

func TestDescribe(t *testing.T) {
	if got := store.Describe(memory.New()); got.Kind != "memory" {
		t.Errorf("Describe(memory) = %+v", got)
	}
	if got := store.Describe(struct{ store.Store }{}); got != (store.Info{}) {
		t.Errorf("Describe of a store that says nothing = %+v", got)
	}
}
