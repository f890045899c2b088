package main

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// notifier talks to the service manager by sd_notify(3). The zero notifier talks to
// nobody. go-systemd's reads $NOTIFY_SOCKET at each call, and it is taken out of the
// environment here, so that no child can speak for the daemon.
type notifier struct {
	socket   string        // a path, or "@name" for an abstract socket
	watchdog time.Duration // how often the manager wants to hear of us; 0: it does not
}

// newNotifier reads what the service manager told the process with id pid.
func newNotifier(vars environ, pid int) notifier {
	n := notifier{socket: vars.get("NOTIFY_SOCKET")}
	if for_ := vars.get("WATCHDOG_PID"); for_ != "" && for_ != strconv.Itoa(pid) {
		return n
	}
	if usec, err := strconv.ParseInt(vars.get("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n
}

// send sends assignments as one datagram: "READY=1", "STATUS=…". An error is of no
// use to the daemon: a manager that is gone is not served by stopping.
func (n notifier) send(assignments ...string) {
	if n.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(strings.Join(assignments, "\n")))
}

// feed tells the manager that the daemon works: twice in each interval, and only
// after probe did. It returns when ctx ends.
func (n notifier) feed(ctx context.Context, probe func(context.Context) error, failed func(error)) {
	if n.socket == "" || n.watchdog <= 0 {
		return
	}
	n.feedTo(ctx, probe, func(ping string) { n.send(ping) }, failed)
}

func (n notifier) feedTo(ctx context.Context, probe func(context.Context) error, send func(string), failed func(error)) {
	every := n.watchdog / 2
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := probeWithin(ctx, every, probe); err == nil {
			send("WATCHDOG=1")
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

// managersOwn are variables of the service manager that mean this process and no
// child of it. CREDENTIALS_DIRECTORY stays: the store reads it.
var managersOwn = []string{
	"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
	"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID",
	"INVOCATION_ID", "JOURNAL_STREAM", "MANAGERPID", "MANAGERPIDFDID", "SYSTEMD_EXEC_PID",
	"MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "FDSTORE",
}

// scrubEnvironment takes them out of the environment that children get.
func scrubEnvironment() {
	for _, name := range managersOwn {
		_ = os.Unsetenv(name)
	}
}
