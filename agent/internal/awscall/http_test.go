package awscall

import (
	"net/http"
	"testing"
	"time"
)

func TestSkew(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name           string
		sent, received time.Duration // after at, by our clock
		date           time.Duration // after at, by the server's
		want           time.Duration
	}{
		{"the same", 100 * time.Millisecond, 200 * time.Millisecond, 0, 0},
		{"the second just begins", 999 * time.Millisecond, 1001 * time.Millisecond, 1 * time.Second, 0},
		{"the second just ended", 999 * time.Millisecond, 1001 * time.Millisecond, 0, 0},
		{"a second off is no evidence", 500 * time.Millisecond, 600 * time.Millisecond, 2 * time.Second, 0},
		{"10 min ahead", 0, 100 * time.Millisecond, 10 * time.Minute, 10 * time.Minute},
		{"10 min behind", 0, 100 * time.Millisecond, -10 * time.Minute, -10*time.Minute + 0},
		{"a slow answer, stamped late", 0, 9 * time.Second, 9 * time.Second, 0},
		{"a slow answer, stamped early", 0, 9 * time.Second, 0, 0},
		{"a slow answer, ahead", 0, 4 * time.Second, 60 * time.Second, 58*time.Second + 500*time.Millisecond},
		{"a suspend in between", 0, 3 * time.Hour, 3 * time.Hour, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := Exchange{Sent: at.Add(test.sent), Received: at.Add(test.received), date: at.Add(test.date)}
			if got := x.Skew(); (got - test.want).Abs() > time.Second {
				t.Errorf("skew %v, want %v", got, test.want)
			}
			if test.want == 0 && x.Skew() != 0 {
				t.Errorf("skew %v, want exactly none", x.Skew())
			}
		})
	}
	if (&Exchange{Sent: at, Received: at}).Skew() != 0 {
		t.Error("skew of an answer without a date")
	}
}

func TestRetryAfterDates(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":     0,
		"0":    0,
		"120":  2 * time.Minute,
		"7201": time.Hour,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
		now.AddDate(1, 0, 0).Format(http.TimeFormat):      time.Hour,
		"tomorrow": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestOwnTransport(t *testing.T) {
	tr := Transport()
	if tr.Proxy == nil || tr.TLSClientConfig.MinVersion < 0x0303 || !tr.DisableKeepAlives {
		t.Errorf("proxy %v, TLS %x, keep-alives off %v", tr.Proxy != nil, tr.TLSClientConfig.MinVersion, tr.DisableKeepAlives)
	}
}
