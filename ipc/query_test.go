package ipc

import (
	"net/url"
	"testing"
)

// FuzzReadQuery: the quick reading of a query accepts what the careful one does, and finds the same
// in it.
func FuzzReadQuery(f *testing.F) {
	for _, seed := range []string{
		"", "env=prod", "env=prod&min_valid=5m&format=json&type=id&user=ana", "env", "env=", "=prod", "=", "&", "env=a&&format=b&", "env=a=b",
		"env=%70rod", "env=a+b", "env=a&env=b", "env=a&env=a", "env=a;format=b", "%", "e%6ev=a", "Env=a", "env=a&x=b", "env=\x00\xff", "#env=a", "?env=a",
	} {
		f.Add(seed)
	}
	known := routes[0].query
	f.Fuzz(func(t *testing.T, raw string) {
		var got query
		err := got.read(raw, known)
		want, wantErr := parseQuery(raw, known)
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%q: %v, want %v", raw, err, wantErr)
		}
		if err != nil {
			return
		}
		all := url.Values{}
		for i, name := range known {
			if got.has[i] {
				all.Set(name, got.values[i])
			}
			if got.Get(name) != want.Get(name) || got.Has(name) != want.Has(name) {
				t.Errorf("%q: %s is %q, want %q", raw, name, got.Get(name), want.Get(name))
			}
		}
		if all.Encode() != want.Encode() {
			t.Errorf("%q: %v, want %v", raw, all, want)
		}
	})
}

// Every route's parameters have a place.
func TestQueriesFit(t *testing.T) {
	for _, rt := range routes {
		if len(rt.query) > maxKnown {
			t.Errorf("%s %s has %d parameters, and a query has places for %d", rt.method, rt.path, len(rt.query), maxKnown)
		}
	}
}
