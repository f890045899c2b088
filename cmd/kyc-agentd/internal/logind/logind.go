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
	"maps"
	"os"
	"sync"
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
	// Screen is called when the screen of a session of this user was locked, and at first if one is
	// and Screens does not know it.
	Screen  func()
	Screens *Screens
	// Suspend is called before the machine suspends, which waits until it has returned and the
	// file that it gets is closed, but for no more than InhibitDelayMaxSec= of logind, 5 s.
	// Suspend owns the file. It is nil, and nothing waits, if logind has refused to.
	Suspend func(delay *os.File)
	// Failed is called when logind cannot be asked, and Undelayed when it refuses to delay a suspend,
	// as it does without polkit: once for each reason.
	Failed, Undelayed func(error)
}

// Screens are the sessions whose screen logind has called locked. They outlive a connection, so that
// a lock in the meantime is found, and none is told of twice.
type Screens struct {
	mu     sync.Mutex
	locked map[dbus.ObjectPath]bool
}

// NewScreens returns Screens that know these sessions, which are from [Screens.Locked].
func NewScreens(locked []string) *Screens {
	s := &Screens{locked: map[dbus.ObjectPath]bool{}}
	for _, path := range locked {
		s.locked[dbus.ObjectPath(path)] = true
	}
	return s
}

// Locked returns the sessions that are locked.
func (s *Screens) Locked() (sessions []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path := range s.locked {
		sessions = append(sessions, string(path))
	}
	return sessions
}

// set notes whether a session is locked, and reports whether it has become so.
func (s *Screens) set(path dbus.ObjectPath, locked bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.locked[path]
	if delete(s.locked, path); locked {
		s.locked[path] = true
	}
	return locked && !was
}

// keep forgets all but these sessions.
func (s *Screens) keep(sessions map[dbus.ObjectPath]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.locked, func(path dbus.ObjectPath, _ bool) bool { return !sessions[path] })
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
	if w.Screen != nil {
		w.look(ctx)
	}
	if w.Suspend != nil {
		w.inhibit(ctx)
	}
	return w.conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, name))
}

// look finds out which screens are locked already. The signals of later changes are subscribed to.
func (w *watcher) look(ctx context.Context) {
	var sessions []struct {
		ID   string
		UID  uint32
		User string
		Seat string
		Path dbus.ObjectPath
	}
	if w.call(ctx, managerPath, manager+".ListSessions").Store(&sessions) != nil {
		return
	}
	own, locked := map[dbus.ObjectPath]bool{}, false
	for _, s := range sessions {
		if int(s.UID) != os.Getuid() {
			continue
		}
		own[s.Path] = true
		var hint dbus.Variant
		if w.call(ctx, s.Path, properties+".Get", session, "LockedHint").Store(&hint) == nil {
			is, _ := hint.Value().(bool)
			locked = w.Screens.set(s.Path, is) || locked
		}
	}
	w.Screens.keep(own)
	if locked {
		w.Screen()
	}
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
		if locked, ok := lockedHint(s.Body); ok && w.isOwn(ctx, s.Path) && w.Screens.set(s.Path, locked) {
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

// lockedHint returns whether the screen of a session is locked, if that is among its changed
// properties.
func lockedHint(body []any) (locked, ok bool) {
	var of string
	var changed map[string]dbus.Variant
	var invalidated []string
	if dbus.Store(body, &of, &changed, &invalidated) != nil || of != session {
		return false, false
	}
	locked, ok = changed["LockedHint"].Value().(bool)
	return locked, ok
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
