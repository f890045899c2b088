package audit

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// What somebody else has appended, longer than any line, does not keep Follow from the lines after it.
func TestFollowGoesOn(t *testing.T) {
	dir := t.TempDir()
	w := &writer{dir: dir, maxFile: maxFile, maxKept: maxKept}
	defer w.close()
	var got []uint64
	f := &tail{do: func(_ []byte, l Line) error { got = append(got, l.N); return nil }}
	defer f.close()
	write := func() {
		t.Helper()
		if _, _, err := w.append(batch{entries: events(3)}); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if err := f.more(dir); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(Path(dir), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = log.WriteString(strings.Repeat("x", 3*maxLine) + "\n")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		write()
		if err := f.more(dir); err != nil {
			t.Fatal(err)
		}
	}
	if want := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; !slices.Equal(got, want) {
		t.Errorf("%d, want %d", got, want)
	}
}
