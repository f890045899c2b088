package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Of many changes at once none is lost.
func TestSetAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kyc", "config.toml")
	vars := Environ{"HOME=" + t.TempDir()}
	var all sync.WaitGroup
	const writers, rounds = 8, 5
	for i := range writers {
		all.Go(func() {
			for j := range rounds {
				key := fmt.Sprintf("environments.e%d-%d.extends", i, j)
				if _, err := Set(t.Context(), file, vars, []Change{{key, "staging"}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	c, _, err := Load(file, vars)
	if err != nil || len(c.Environments) != writers*rounds+2 {
		t.Errorf("%d environments, %v; want %d and the two that are built in", len(c.Environments), err, writers*rounds)
	}
}

// Every key of the configuration can be shown and set, or is a table.
func TestKeysAreComplete(t *testing.T) {
	c := Config{Environments: map[string]Environment{"dev": {}}}
	var want []string
	for field := range reflect.TypeFor[Config]().Fields() {
		if tag := field.Tag.Get("toml"); tag != "environments" && tag != "sinks" && tag != "sockets" && tag != "auto_lock" {
			want = append(want, tag)
		}
	}
	for field := range reflect.TypeFor[Environment]().Fields() {
		if tag := field.Tag.Get("toml"); tag != "" {
			want = append(want, "environments.dev."+tag)
		}
	}
	got := c.Keys()
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("Keys: %q\nwant %q", got, want)
	}
	for _, key := range want {
		if _, err := findKey(key); err != nil {
			t.Error(err)
		}
	}
}

// The defaults that are shown are those of the manual, and the words that are offered are accepted.
func TestShownDefaultsAndWords(t *testing.T) {
	source, err := os.ReadFile("config.go")
	if err != nil {
		t.Fatal(err)
	}
	manual := strings.Join(strings.Fields(strings.ReplaceAll(string(source), "//", "")), " ")
	for key, value := range constantDefaults {
		if !strings.Contains(manual, "Default "+value) && !strings.Contains(manual, fmt.Sprintf("Default %q", value)) {
			t.Errorf("%s: the manual has no default %s", key, value)
		}
	}
	vars, browser := Environ{"HOME=" + t.TempDir()}, []Change{}
	for key, value := range map[string]string{"domain": "https://kyc.auth.us-east-2.amazoncognito.com", "redirect_uris": "http://localhost:8765/callback"} {
		browser = append(browser, Change{"environments.prod." + key, value})
	}
	if _, err := Set(t.Context(), "", vars, browser); err != nil { // auth_flow "browser" needs them
		t.Fatal(err)
	}
	for _, key := range []string{"store", "log_level", "environments.prod.auth_flow", "environments.prod.hand_out_access_tokens"} {
		words := Words(key[strings.LastIndexByte(key, '.')+1:])
		if len(words) == 0 {
			t.Errorf("%s: no words", key)
		}
		for _, word := range words {
			if _, err := Set(t.Context(), "", vars, []Change{{key, word}}); err != nil {
				t.Error(err)
			}
		}
	}
}
