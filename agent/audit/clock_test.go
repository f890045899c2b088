package audit

import (
	"testing"
	"time"
)

// A clock that was set is in the next line, because times before and after it do not compare; the
// chain does not depend on it.
func TestClockIsNoted(t *testing.T) {
	dir := t.TempDir()
	w := &writer{dir: dir, maxFile: maxFile, maxKept: maxKept}
	defer w.close()
	for _, test := range []struct {
		ahead time.Duration // the clock at the line before, less what is right
		want  string
	}{
		{0, ""},
		{2 * time.Second, ""},
		{time.Hour, "the clock was set back by 1h0m0s"},
		{-48 * time.Hour, "the clock was set forward by 48h0m0s"},
		{0, ""},
	} {
		w.at.Wall = w.at.Wall.Add(test.ahead)
		if _, _, err := w.append(batch{entries: events(1)}); err != nil {
			t.Fatal(err)
		}
		all := linesOf(t, dir)
		if got := all[len(all)-1].Note; got != test.want {
			t.Errorf("%s: the note is %q, want %q", test.ahead, got, test.want)
		}
	}
	if got := problems(t, dir, VerifyOptions{}); got != "" {
		t.Error(got)
	}
}
