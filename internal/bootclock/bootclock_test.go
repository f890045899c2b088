package bootclock

import (
	"encoding/json"
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func at(wall time.Duration, boot string, up time.Duration) Mark {
	return Mark{Wall: noon.Add(wall), Boot: boot, Up: up}
}

// Each row is a way of marks, and what counts of it in the end.
func TestAdvance(t *testing.T) {
	const h, day = time.Hour, 24 * time.Hour
	for _, test := range []struct {
		name  string
		marks []Mark
		want  time.Duration
	}{
		{"the first", []Mark{at(0, "a", h)}, 0},
		{"one boot", []Mark{at(0, "a", h), at(2*h, "a", 3*h)}, 2 * h},
		{"set back in one boot", []Mark{at(0, "a", h), at(-30*day, "a", 3*h)}, 2 * h},
		{"set forward in one boot", []Mark{at(0, "a", h), at(30*day, "a", 3*h)}, 2 * h},
		{"set back and forward again", []Mark{at(0, "a", h), at(-30*day, "a", 2*h), at(2*h, "a", 3*h)}, 2 * h},
		{"another boot", []Mark{at(0, "a", 9*h), at(5*h, "b", h)}, 5 * h},
		{"set back over a boot", []Mark{at(0, "a", 9*h), at(-30*day, "b", 0)}, 0},
		{"behind for the whole boot", []Mark{at(0, "a", 9*h), at(-30*day, "b", 0), at(-30*day+4*h, "b", 4*h)}, 4 * h},
		{"put right later", []Mark{at(0, "a", 9*h), at(-30*day, "b", 0), at(7*h, "b", h)}, 7 * h},
		{"put right after some hours", []Mark{at(0, "a", 9*h), at(-30*day, "b", 0), at(-30*day+2*h, "b", 2*h), at(9*h, "b", 3*h)}, 9 * h},
		{"behind over two boots", []Mark{at(0, "a", 9*h), at(-30*day, "b", 0), at(-30*day+2*h, "b", 2*h), at(-20*day, "c", 0), at(8*h, "c", h)}, 8 * h},
		{"the same number of another boot", []Mark{at(0, "a", 9*h), at(h, "a", 2*h)}, h},
		{"no boot is known", []Mark{at(0, "", 0), at(3*h, "", 0)}, 3 * h},
		{"no boot is known, set back", []Mark{at(0, "", 0), at(-3*h, "", 0), at(4*h, "", 0)}, 4 * h},
	} {
		var seen Seen
		var sum time.Duration
		for _, m := range test.marks {
			sum += seen.Advance(m)
			raw, err := json.Marshal(seen) // it is a file's in between
			seen = Seen{}
			if err != nil || json.Unmarshal(raw, &seen) != nil {
				t.Fatal(err)
			}
		}
		if sum != test.want {
			t.Errorf("%s: %s, want %s", test.name, sum, test.want)
		}
	}
}

func TestNow(t *testing.T) {
	first := Now()
	second := Now()
	if d := second.Since(first); d < 0 || d > time.Minute || !second.SameBoot(first) {
		t.Errorf("%s from %+v to %+v", d, first, second)
	}
}
