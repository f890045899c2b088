package terminal

import (
	"testing"
	"time"
)

func TestTransferLine(t *testing.T) {
	tests := []struct {
		done, total int64
		after       time.Duration
		columns     int
		want        string
	}{
		{0, 1000, 0, 80, "upload 0 B of 1.0 kB, 0 B/s, ? left [                                        ]"},
		{25_000_000, 100_000_000, 5 * time.Second, 80, "upload 25.0 MB of 100.0 MB, 5.0 MB/s, 15s left [=======                       ]"},
		{25_000_000, 100_000_000, 5 * time.Second, 40, "upload 25.0 MB of 100.0 MB, 5.0 MB/s, 15s left"},
		{3_000, 300_000, 2 * time.Second, 0, "upload 3.0 kB of 300.0 kB, 1.5 kB/s, 3m18s left"},
		{1, 1 << 62, time.Hour, 0, "upload 1 B of 4.6 EB, 0 B/s, 277h46m40s left"},
		{1_500_000, -1, 3 * time.Second, 80, "upload 1.5 MB, 500.0 kB/s"},
	}
	for _, tt := range tests {
		tr := &Transfer{What: "upload", Total: tt.total}
		tr.Done.Store(tt.done)
		if got := tr.line(tt.after, tt.columns); got != tt.want {
			t.Errorf("got  %q\nwant %q", got, tt.want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_960: "1.0 MB", 1 << 62: "4.6 EB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
