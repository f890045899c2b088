package file

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// seenKeys are the keys whose values were read or put: see [Store.Intact].
type seenKeys struct {
	replaced atomic.Bool // the folder is another one than when they were
	mu       sync.Mutex
	keys     map[string]bool
}

func (s *seenKeys) add(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = make(map[string]bool)
	}
	s.keys[key] = true
}

func (s *seenKeys) remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, key)
}

func (s *seenKeys) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.keys))
}

// intact reports whether the folder was not replaced, and has all keys in seen that were not
// removed meanwhile. It forgets those that are gone.
func (s *seenKeys) intact(seen, has []string) bool {
	intact := !s.replaced.Swap(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range seen {
		if s.keys[key] && !slices.Contains(has, key) {
			delete(s.keys, key)
			intact = false
		}
	}
	return intact
}
