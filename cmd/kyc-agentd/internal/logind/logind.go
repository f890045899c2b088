// Package logind tells when the screen of this user's session is locked, and when the machine is
// about to suspend, as systemd-logind says on the system bus.
//
// Call [Watch]. It connects again when the bus or logind was restarted, and says once why it
// cannot.
package logind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	name         = "org.freedesktop.login1"
	managerPath  = dbus.ObjectPath("/org/freedesktop/login1")
	sessionsPath = dbus.ObjectPath("/org/freedesktop/login1/session")
	manager      = name + ".Manager"
	session      = name + ".Session"
	properties   = "org.freedesktop.DBus.Properties"

	retryAfter = 5 * time.Second
	callWithin = 5 * time.Second
)

// Options say what to tell, and whom. A nil function is not called, and what it is for is not
// asked for.
type Options struct {
	// Screen is called when the screen of a session of this user was locked.
	Screen func()
	// Suspend is called before the machine suspends, which waits until it has returned and the
	// file that it gets is closed, but for no more than InhibitDelayMaxSec= of logind, 5 s.
	// Suspend owns the file. It is nil, and nothing waits, if logind has refused to.
	Suspend func(delay *os.File)
	// Failed is called when logind cannot be asked, and Undelayed when it refuses to delay a suspend,
	// as it does without polkit: once for each reason.
	Failed, Undelayed func(error)
}

// Watch calls the functions of o, one at a time, until ctx ends.
func Watch(ctx context.Context, o Options) {
	o.Failed, o.Undelayed = once(o.Failed), once(o.Undelayed)
	for ctx.Err() == nil {
		if err := watchOnce(ctx, o); err != nil && ctx.Err() == nil {
			o.Failed(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

// once returns a function that calls tell, but not with what it was told last.
func once(tell func(error)) func(error) {
	said := ""
	return func(err error) {
		if err.Error() != said {
			said = err.Error()
			tell(err)
		}
	}
}

// A watcher is one connection to the bus.
type watcher struct {
	Options
	conn    *dbus.Conn
	owner   string   // the unique name of logind
	delay   *os.File // delays a suspend; nil if that is not wanted, or while one is under way
	refused bool     // logind has refused delay, and is asked again
}

func watchOnce(ctx context.Context, o Options) error {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("no system bus: %w", err)
	}
	defer conn.Close()
	w := &watcher{Options: o, conn: conn}
	defer w.release()
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	if err := w.subscribe(ctx); err != nil {
		return err
	}
	for {
		var again <-chan time.Time
		if w.refused {
			again = time.After(retryAfter)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			w.inhibit(ctx)
		case s, ok := <-signals:
			if !ok {
				return errors.New("the connection to the system bus has ended")
			}
			if err := w.handle(ctx, s); err != nil {
				return err
			}
		}
	}
}

func (w *watcher) release() {
	if w.delay != nil {
		_ = w.delay.Close()
		w.delay = nil
	}
}

func (w *watcher) call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	return w.conn.Object(name, path).CallWithContext(ctx, method, 0, args...)
}

func (w *watcher) subscribe(ctx context.Context) error {
	from := dbus.WithMatchSender(name)
	var err error
	if w.Screen != nil {
		err = errors.Join(
			w.conn.AddMatchSignalContext(ctx, from, dbus.WithMatchInterface(session), dbus.WithMatchMember("Lock")),
			w.conn.AddMatchSignalContext(ctx, from, dbus.WithMatchInterface(properties), dbus.WithMatchMember("PropertiesChanged"),
				dbus.WithMatchPathNamespace(sessionsPath)))
	}
	if w.Suspend != nil && err == nil {
		err = w.conn.AddMatchSignalContext(ctx, from, dbus.WithMatchInterface(manager), dbus.WithMatchMember("PrepareForSleep"))
	}
	// The bus delivers what anybody sends to this connection alone, whatever the matches are.
	if err == nil {
		err = w.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, name).Store(&w.owner)
	}
	if err != nil {
		return fmt.Errorf("systemd-logind cannot be asked: %w", err)
	}
	if w.Suspend != nil {
		w.inhibit(ctx)
	}
	return w.conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, name))
}

// inProgress is logind's error while it suspends.
const inProgress = name + ".OperationInProgress"

// inhibit delays the next suspend, if logind lets it.
func (w *watcher) inhibit(ctx context.Context) {
	var fd dbus.UnixFD
	err := w.call(ctx, managerPath, manager+".Inhibit", "sleep", "kyc-agentd", "locks the sign-ins", "delay").Store(&fd)
	w.refused = err != nil
	if err != nil {
		if e, ok := errors.AsType[dbus.Error](err); !ok || e.Name != inProgress {
			w.Undelayed(err)
		}
		return
	}
	w.release()
	w.delay = os.NewFile(uintptr(fd), "suspend delay")
}

func (w *watcher) handle(ctx context.Context, s *dbus.Signal) error {
	if s.Name == "org.freedesktop.DBus.NameOwnerChanged" {
		return errors.New("systemd-logind was restarted")
	}
	if s.Sender != w.owner {
		return nil
	}
	switch s.Name {
	case session + ".Lock":
		if w.isOwn(ctx, s.Path) {
			w.Screen()
		}
	case properties + ".PropertiesChanged":
		if lockedHint(s.Body) && w.isOwn(ctx, s.Path) {
			w.Screen()
		}
	case manager + ".PrepareForSleep":
		var starts bool
		if dbus.Store(s.Body, &starts) != nil {
			return nil
		}
		if !starts {
			w.inhibit(ctx)
			return nil
		}
		delay := w.delay
		w.delay, w.refused = nil, false
		w.Suspend(delay)
	}
	return nil
}

// lockedHint reports whether the changed properties of a session say that its screen is locked.
func lockedHint(body []any) bool {
	var of string
	var changed map[string]dbus.Variant
	var invalidated []string
	if dbus.Store(body, &of, &changed, &invalidated) != nil || of != session {
		return false
	}
	locked, _ := changed["LockedHint"].Value().(bool)
	return locked
}

// isOwn reports whether a session is of this user.
func (w *watcher) isOwn(ctx context.Context, path dbus.ObjectPath) bool {
	var user struct {
		UID  uint32
		Path dbus.ObjectPath
	}
	var v dbus.Variant
	if w.call(ctx, path, properties+".Get", session, "User").Store(&v) != nil || v.Store(&user) != nil {
		return false
	}
	return int(user.UID) == os.Getuid()
}
