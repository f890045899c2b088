// Package desktop tells the person at the desktop that a program waits for an approval.
//
//	announcer := desktop.New(os.Getenv)
//	announcer.Announce("A program asks for a token of prod", "… to answer: kyc-agentd approve 7F3K")
//
// It speaks to org.freedesktop.Notifications, and only in text: servers differ in what they do
// with buttons, and any program on the session bus can press them. So a notification announces
// and never decides. Where there is no session bus, or nothing on it that shows notifications,
// nothing happens, and none is started for it.
package desktop

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

const (
	busName    = "org.freedesktop.Notifications"
	objectPath = "/org/freedesktop/Notifications"
	method     = busName + ".Notify"

	timeout  = 2 * time.Second
	maxText  = 500 // characters
	lifetime = int32(60_000)
)

// An Announcer shows notifications.
type Announcer struct {
	getenv func(string) string
	slots  chan struct{} // holds a value while one is sent
}

// New returns an Announcer for the session bus of the variables.
func New(getenv func(string) string) *Announcer {
	return &Announcer{getenv: getenv, slots: make(chan struct{}, 1)}
}

// Announce shows a notification in the background. One that comes while another is still being
// sent is left out: a server that hangs collects none.
func (a *Announcer) Announce(summary, body string) {
	select {
	case a.slots <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-a.slots }()
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		_ = a.notify(ctx, summary, body) // there may be nobody to tell
	}()
}

func (a *Announcer) notify(ctx context.Context, summary, body string) error {
	address := a.address()
	if address == "" {
		return nil
	}
	conn, err := dbus.Dial(address, dbus.WithContext(ctx))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Auth(nil); err != nil {
		return err
	}
	if err := conn.Hello(); err != nil {
		return err
	}
	return conn.Object(busName, objectPath).CallWithContext(ctx, method, dbus.FlagNoAutoStart,
		"kyc-agentd", uint32(0), "dialog-password", text(summary), markup(body), []string{}, map[string]dbus.Variant{}, lifetime).Err
}

// address returns the session bus, or "". An address of another kind could start a program.
func (a *Announcer) address() string {
	for address := range strings.SplitSeq(a.getenv("DBUS_SESSION_BUS_ADDRESS"), ";") {
		if strings.HasPrefix(address, "unix:") {
			return address
		}
	}
	if dir := a.getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && a.getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		return "unix:path=" + dbus.EscapeBusAddressValue(filepath.Join(dir, "bus"))
	}
	return ""
}

func text(s string) string { return sanitize.Short(s, maxText) }

// markup writes text for a server that takes it for markup, as the specification lets it do
// with the body.
func markup(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text(s))
}
