package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/store/keyring/keyringtest"
)

// fakeLogind is systemd-logind on a private bus, with a session of this user and one of another.
type fakeLogind struct {
	t    *testing.T
	conn *dbus.Conn

	mu       sync.Mutex
	locked   map[dbus.ObjectPath]bool
	looks    int  // at the hint of the user's own session
	refuses  bool // to make inhibitors, as without polkit
	refused  int
	released []<-chan time.Time // one for each inhibitor, which says when it was closed
}

const (
	ownSession   = dbus.ObjectPath("/org/freedesktop/login1/session/_31")
	otherSession = dbus.ObjectPath("/org/freedesktop/login1/session/_32")
)

func startLogind(t *testing.T) (*fakeLogind, string) {
	k := keyringtest.Start(t, keyringtest.NoService)
	f := &fakeLogind{t: t, conn: k.Connect(), locked: map[dbus.ObjectPath]bool{}}
	err := f.conn.Export(f, "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
	for path, uid := range map[dbus.ObjectPath]int{ownSession: os.Getuid(), otherSession: os.Getuid() + 1} {
		if err == nil {
			err = f.conn.Export(sessionProperties{f, path, uint32(uid)}, path, "org.freedesktop.DBus.Properties")
		}
	}
	if err == nil {
		_, err = f.conn.RequestName("org.freedesktop.login1", 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(k.Env(), func(v string) bool { return strings.HasPrefix(v, "DBUS_SESSION_BUS_ADDRESS=") })
	return f, "DBUS_SYSTEM_BUS_ADDRESS=" + strings.TrimPrefix(k.Env()[i], "DBUS_SESSION_BUS_ADDRESS=")
}

type sessionProperties struct {
	of   *fakeLogind
	path dbus.ObjectPath
	uid  uint32
}

func (p sessionProperties) Get(_, name string) (dbus.Variant, *dbus.Error) {
	switch name {
	case "User":
		return dbus.MakeVariant(struct {
			UID  uint32
			Path dbus.ObjectPath
		}{p.uid, "/org/freedesktop/login1/user/_0"}), nil
	case "LockedHint":
		p.of.mu.Lock()
		defer p.of.mu.Unlock()
		p.of.looks++
		return dbus.MakeVariant(p.of.locked[p.path]), nil
	}
	return dbus.Variant{}, dbus.MakeFailedError(os.ErrNotExist)
}

type listedSession struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

// ListSessions is logind's.
func (f *fakeLogind) ListSessions() ([]listedSession, *dbus.Error) {
	uid := uint32(os.Getuid())
	return []listedSession{{"1", uid, "ana", "seat0", ownSession}, {"2", uid + 1, "eve", "seat0", otherSession}}, nil
}

// setLocked sets the hint of a session, and tells of it as logind does.
func (f *fakeLogind) setLocked(path dbus.ObjectPath, locked bool) {
	f.t.Helper()
	f.mu.Lock()
	f.locked[path] = locked
	f.mu.Unlock()
	f.emit(path, "org.freedesktop.DBus.Properties.PropertiesChanged",
		"org.freedesktop.login1.Session", map[string]dbus.Variant{"LockedHint": dbus.MakeVariant(locked)}, []string{})
}

// Inhibit is logind's.
func (f *fakeLogind) Inhibit(what, _, _, mode string) (dbus.UnixFD, *dbus.Error) {
	if what != "sleep" || mode != "delay" {
		return 0, dbus.MakeFailedError(os.ErrInvalid)
	}
	if f.refusesToInhibit() {
		return 0, dbus.NewError("org.freedesktop.DBus.Error.AccessDenied", []any{"Permission denied"})
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	closed := make(chan time.Time, 1)
	go func() {
		_, _ = r.Read(make([]byte, 1))
		closed <- time.Now()
		_ = r.Close()
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.released = append(f.released, closed)
	fd := dbus.UnixFD(w.Fd())
	time.AfterFunc(500*time.Millisecond, func() { _ = w.Close() }) // after it was sent
	return fd, nil
}

func (f *fakeLogind) refusesToInhibit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuses {
		f.refused++
	}
	return f.refuses
}

// setRefuses says whether inhibitors are refused from now on, and returns how many were.
func (f *fakeLogind) setRefuses(refuses bool) (before int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuses = refuses
	return f.refused
}

func (f *fakeLogind) looked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looks
}

func (f *fakeLogind) inhibitors() []<-chan time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.released)
}

func (f *fakeLogind) emit(path dbus.ObjectPath, name string, values ...any) {
	f.t.Helper()
	if err := f.conn.Emit(path, name, values...); err != nil {
		f.t.Fatal(err)
	}
}

// autoLocked starts a daemon with auto_lock, signed in and with a passphrase.
func autoLocked(t *testing.T, autoLock string) (*binaries, *fakeLogind) {
	f, bus := startLogind(t)
	return autoLockedOn(t, bus, autoLock), f
}

func autoLockedOn(t *testing.T, bus, autoLock string) *binaries {
	s, _ := newSignedIn(t)
	s.fileStore()
	s.env = append(s.env, bus)
	config := filepath.Join(s.dir, ".config", "kyc-agent", "config.toml")
	text, err := os.ReadFile(config)
	if err == nil {
		err = os.WriteFile(config, append(text, "auto_lock = "+autoLock+"\n"...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	s.login("prod", "ada", "Plum-stone-41")
	s.setPassphrase()
	return s
}

func (s *binaries) awaitLock(why string) {
	s.t.Helper()
	var st agent.Status
	awaitState(s.t, "a lock by "+why, func() bool {
		st, _ = s.client().Status(s.t.Context())
		return st.Lock != nil && st.Lock.Locked && st.Images > 0
	})
	if st.Lock.Why != why {
		s.t.Errorf("locked by %s, want %s", st.Lock.Why, why)
	}
}

func TestAutoLockWithTheScreen(t *testing.T) {
	t.Parallel()
	s, f := autoLocked(t, `{ on_screen_lock = true }`)
	f.emit(otherSession, "org.freedesktop.login1.Session.Lock")
	f.setLocked(otherSession, true)
	f.setLocked(ownSession, false)
	f.emit("/org/freedesktop/login1", "org.freedesktop.login1.Manager.PrepareForSleep", true)
	s.must("kyc-token", "prod")
	if s.status().Lock.Locked {
		t.Fatal("locked by another session, or by what is not asked for")
	}
	f.emit(ownSession, "org.freedesktop.login1.Session.Lock")
	s.awaitLock("screen")
	was := s.status()
	s.unlock()
	s.anotherImage(was)
	s.must("kyc-token", "prod")
	f.setLocked(ownSession, true) // the image may not listen yet
	awaitState(t, "a lock by the hint", func() bool { return s.status().Lock.Locked })
}

// A screen that was locked while the agent did not run locks it when it starts. If somebody unlocks
// it nevertheless, over ssh perhaps, it stays so.
func TestAutoLockWhileTheScreenIsLocked(t *testing.T) {
	t.Parallel()
	s, f := autoLocked(t, `{ on_screen_lock = true, on_suspend = true }`)
	follows := func(images int) {
		t.Helper()
		awaitState(t, "a look at the session", func() bool { return f.looked() == images })
	}
	follows(1)
	s.must("kyc-agentd", "stop")
	f.setLocked(otherSession, true)
	s.start()
	follows(2)
	s.must("kyc-token", "prod")
	s.must("kyc-agentd", "stop")
	f.setLocked(ownSession, true)
	s.start()
	s.awaitLock("screen")
	follows(4)
	s.unlock()
	follows(5)
	s.must("kyc-token", "prod")
	s.must("kyc-agentd", "restart", "--upgrade")
	follows(6)
	s.must("kyc-token", "prod")
	f.setLocked(ownSession, false)
	f.setLocked(ownSession, true)
	awaitState(t, "a lock by the hint", func() bool { return s.status().Lock.Locked })
}

// A suspend waits until the image that has no secret is ready.
func TestAutoLockBeforeSuspend(t *testing.T) {
	t.Parallel()
	s, f := autoLocked(t, `{ on_suspend = true }`)
	awaitState(t, "an inhibitor", func() bool { return len(f.inhibitors()) == 1 })
	<-time.After(time.Second) // until this process has closed its end
	f.emit("/org/freedesktop/login1", "org.freedesktop.login1.Manager.PrepareForSleep", true)
	select {
	case <-f.inhibitors()[0]:
	case <-time.After(10 * time.Second):
		t.Fatal("the suspend still waits")
	}
	if st := s.status(); !st.Lock.Locked || st.Images != 1 {
		t.Errorf("the suspend went on before the lock was complete: image %d, %+v", st.Images, st.Lock)
	}
	s.awaitLock("suspend")
}

// Without polkit logind refuses to delay a suspend. The lock comes with the suspend then, and with
// the screen as before; and logind is asked again.
func TestAutoLockWithoutDelay(t *testing.T) {
	t.Parallel()
	for why, signal := range map[string]func(*fakeLogind){
		"screen": func(f *fakeLogind) { f.emit(ownSession, "org.freedesktop.login1.Session.Lock") },
		"suspend": func(f *fakeLogind) {
			f.emit("/org/freedesktop/login1", "org.freedesktop.login1.Manager.PrepareForSleep", true)
		},
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			f, bus := startLogind(t)
			f.setRefuses(true)
			s := autoLockedOn(t, bus, `{ on_screen_lock = true, on_suspend = true }`)
			awaitState(t, "a refusal", func() bool { return f.setRefuses(true) > 0 })
			signal(f)
			s.awaitLock(why)
			f.setRefuses(false)
			awaitState(t, "an inhibitor", func() bool { return len(f.inhibitors()) == 1 })
		})
	}
}

func TestAutoLockWhenIdle(t *testing.T) {
	t.Parallel()
	s, _ := autoLocked(t, `{ idle = "3s" }`)
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); <-time.After(200 * time.Millisecond) {
		s.must("kyc-token", "prod")
	}
	if s.status().Lock.Locked {
		t.Error("locked although it is used")
	}
	s.awaitLock("idle")
}
