package daemon

import (
	"context"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// notify sends assignments such as "READY=1" and "STATUS=…" to the service manager, in one
// datagram (sd_notify(3)). It does nothing without a manager. It ignores errors, because the
// daemon should go on without a manager.
func notify(assignments ...string) {
	_, _ = systemd.SdNotify(false, strings.Join(assignments, "\n"))
}

// feedWatchdog reports to the manager that the daemon works, if the manager has a watchdog:
// twice in each interval, and only if probe succeeded. It returns when ctx ends.
func feedWatchdog(ctx context.Context, probe func(context.Context) error, failed func(error)) {
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		failed(err)
	}
	if interval > 0 {
		feed(ctx, interval/2, probe, func() { notify(systemd.SdNotifyWatchdog) }, failed)
	}
}

func feed(ctx context.Context, every time.Duration, probe func(context.Context) error, ping func(), failed func(error)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := probeWithin(ctx, every, probe); err == nil {
			ping()
		} else if ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func probeWithin(ctx context.Context, limit time.Duration, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return probe(ctx)
}
