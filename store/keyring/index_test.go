package keyring

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// items is a keyring that cannot list its keys.
type items struct {
	values map[string]string
	fail   string // a key for which every operation fails
}

func (m *items) get(key string) ([]byte, error) {
	if key == m.fail {
		return nil, errors.New("broken")
	}
	if v, ok := m.values[key]; ok {
		return []byte(v), nil
	}
	return nil, &backendError{code: codeNotFound}
}

func (m *items) put(key string, value []byte) error {
	if key == m.fail {
		return errors.New("broken")
	}
	m.values[key] = string(value)
	return nil
}

func (m *items) delete(key string) error {
	if key == m.fail {
		return errors.New("broken")
	}
	delete(m.values, key)
	return nil
}

func TestIndex(t *testing.T) {
	m := &items{values: map[string]string{}}
	b := indexed{m}
	wantKeys := func(want ...string) {
		t.Helper()
		if got, err := b.keys(); err != nil || !slices.Equal(got, want) {
			t.Fatalf("keys = %q, %v; want %q", got, err, want)
		}
	}
	wantKeys()
	for _, key := range []string{"staging", "prod", "staging", "a"} {
		if err := putAndVerify(b, key, []byte("v-"+key)); err != nil {
			t.Fatal(err)
		}
	}
	wantKeys("a", "prod", "staging")
	if m.values[indexKey] != `["a","prod","staging"]` {
		t.Errorf("the index is %s", m.values[indexKey])
	}
	for _, key := range []string{"prod", "prod", "missing", "a"} {
		if err := deleteAndVerify(b, key); err != nil {
			t.Fatal(err)
		}
	}
	wantKeys("staging")
	if err := b.delete("staging"); err != nil || len(m.values) != 0 {
		t.Errorf("the last delete left %v, %v", m.values, err)
	}
}

func TestInvalidIndex(t *testing.T) {
	for index, want := range map[string][]string{
		"rubbish":                       nil,
		`{"a":1}`:                       nil,
		`["b","a","b","../x","_index"]`: {"a", "b"},
	} {
		b := indexed{&items{values: map[string]string{indexKey: index}}}
		if got, err := b.keys(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: keys = %q, %v; want %q", index, got, err, want)
		}
	}
}

func TestUnusableIndex(t *testing.T) {
	b := indexed{&items{values: map[string]string{}, fail: indexKey}}
	_, err := b.keys()
	for op, err := range map[string]error{"put": b.put("prod", nil), "delete": b.delete("prod"), "keys": err} {
		if err == nil {
			t.Errorf("%s returns no error", op)
		}
	}
}

// socketDir is a folder with a socket called bus.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kyc bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ln, err := net.Listen("unix", filepath.Join(dir, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return dir
}
