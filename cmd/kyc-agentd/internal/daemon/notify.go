package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// A manager is the connection to the service manager's socket at path. It stays open: if
// that socket is removed together with the user's runtime folder, no new connection can be
// made, and a manager that hears nothing more takes the daemon for one that hangs.
type manager struct {
	mu   sync.Mutex
	path string
	conn net.Conn
}

var serviceManager manager

const notifyWithin = 5 * time.Second

// notify sends assignments such as "READY=1" and "STATUS=…" to the service manager, in one
// datagram (sd_notify(3)). It does nothing without a manager. It ignores errors, because the
// daemon should go on without a manager.
func notify(assignments ...string) {
	if path := os.Getenv("NOTIFY_SOCKET"); path != "" {
		serviceManager.send(path, strings.Join(assignments, "\n"))
	}
}

func (m *manager) send(path, message string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != nil && m.path == path {
		if err := write(m.conn, message); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
	// This is the first message, or the manager listens on a new socket.
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		return
	}
	if m.conn != nil {
		_ = m.conn.Close()
	}
	m.path, m.conn = path, conn
	_ = write(conn, message)
}

// write gives up after a while: a manager that hangs must not keep the daemon from stopping.
func write(conn net.Conn, message string) error {
	_ = conn.SetWriteDeadline(time.Now().Add(notifyWithin))
	_, err := conn.Write([]byte(message))
	return err
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
