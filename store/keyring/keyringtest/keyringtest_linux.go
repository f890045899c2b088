package keyringtest

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A Mode is the state that a keyring is started in.
type Mode string

// The modes.
const (
	Unlocked     Mode = "unlocked"      // gnome-keyring with an unlocked login collection
	Locked       Mode = "locked"        // the same, locked, and without a program to show a prompt
	NoCollection Mode = "no collection" // gnome-keyring that was never unlocked, as on a server
	NoService    Mode = "no service"    // a bus without a secret service
	NoBus        Mode = "no bus"        // no bus
	Silent       Mode = "silent"        // a bus socket that accepts connections and never answers
)

const (
	password     = "the password of a temporary keyring"
	startTimeout = 20 * time.Second // a start takes about 0.2 s

	busName     = "org.freedesktop.secrets"
	servicePath = dbus.ObjectPath("/org/freedesktop/secrets")
	login       = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
)

// A Keyring is a bus, a home folder and, most often, a gnome-keyring.
type Keyring struct {
	t       testing.TB
	dir     string
	address string
	bus     *process
	daemon  *process
}

// Start runs a keyring until the test ends. It skips the test, or fails it where
// peers are required, when dbus-daemon or gnome-keyring is not installed.
func Start(t testing.TB, mode Mode) *Keyring {
	t.Helper()
	k := &Keyring{t: t, dir: tempDir(t)}
	switch mode {
	case NoBus:
	case Silent:
		k.listenSilently()
	default:
		k.startBus()
		if mode != NoService {
			k.startDaemon(mode != NoCollection)
		}
		if mode == Locked {
			k.Lock()
		}
	}
	return k
}

// tempDir returns a folder with a short path: that of a Unix socket has at most 107 bytes.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kyc-kr-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, sub := range []string{"home", "run"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Env is the environment, "NAME=value", of a process that uses this keyring. Append
// it to another environment: a later value wins. An empty bus address counts as none.
func (k *Keyring) Env() []string {
	home := filepath.Join(k.dir, "home")
	return []string{
		"HOME=" + home,
		"XDG_RUNTIME_DIR=" + filepath.Join(k.dir, "run"),
		"XDG_CONFIG_HOME=" + filepath.Join(home, ".config"),
		"XDG_DATA_HOME=" + filepath.Join(home, ".local", "share"),
		"XDG_STATE_HOME=" + filepath.Join(home, ".local", "state"),
		"XDG_CACHE_HOME=" + filepath.Join(home, ".cache"),
		"DBUS_SESSION_BUS_ADDRESS=" + k.address,
	}
}

// Getenv looks up name in Env.
func (k *Keyring) Getenv(name string) string {
	for _, e := range k.Env() {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

// PID is the process id of gnome-keyring, 0 when there is none.
func (k *Keyring) PID() int {
	if k.daemon == nil {
		return 0
	}
	return k.daemon.cmd.Process.Pid
}

// Stop ends gnome-keyring as a crash would, and waits until its name is free.
func (k *Keyring) Stop() {
	k.t.Helper()
	gone := k.watchName()
	k.daemon.kill()
	k.daemon = nil
	k.await(gone, false)
}

// Restart starts gnome-keyring again after Stop, unlocked, with the items it had.
func (k *Keyring) Restart() {
	k.t.Helper()
	k.startDaemon(true)
}

// StopBus ends the bus as a crash would.
func (k *Keyring) StopBus() { k.bus.kill() }

// Freeze suspends gnome-keyring, so that it does not answer, and returns a function that
// resumes it.
func (k *Keyring) Freeze() (thaw func()) {
	k.t.Helper()
	p := k.daemon.cmd.Process
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		k.t.Fatal(err)
	}
	return func() { _ = p.Signal(syscall.SIGCONT) }
}

// Connect returns a new connection to the bus; the caller closes it.
func (k *Keyring) Connect() *dbus.Conn {
	k.t.Helper()
	conn, err := dbus.Connect(k.address)
	if err != nil {
		k.t.Fatalf("connect to the bus: %v", err)
	}
	return conn
}

// busConfig has no <servicedir>, so that the bus starts none of the installed services.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
 <type>session</type>
 <listen>unix:path=%s</listen>
 <auth>EXTERNAL</auth>
 <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
`

func (k *Keyring) startBus() {
	k.t.Helper()
	program := testpeer.Program(k.t, "dbus-daemon", "dbus-daemon")
	config, socket := filepath.Join(k.dir, "bus.conf"), filepath.Join(k.dir, "run", "bus")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, socket), 0o600); err != nil {
		k.t.Fatal(err)
	}
	cmd := exec.Command(program, "--config-file="+config, "--nofork", "--nopidfile", "--nosyslog", "--print-address=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	k.bus = k.start(cmd)
	// The address is printed once the bus listens.
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		k.t.Fatalf("dbus-daemon did not start: %v", err)
	}
	k.address = strings.TrimSpace(line)
}

// startDaemon starts gnome-keyring. With unlock it makes a login collection if there is
// none, with the password that it reads up to the end of its input: a newline would be
// part of it.
func (k *Keyring) startDaemon(unlock bool) {
	k.t.Helper()
	program := testpeer.Program(k.t, "gnome-keyring-daemon", "gnome-keyring")
	args := []string{"--foreground", "--components=secrets", "--control-directory=" + filepath.Join(k.dir, "run", "keyring")}
	if unlock {
		args = append(args, "--unlock")
	}
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(password)
	there := k.watchName()
	k.daemon = k.start(cmd)
	k.await(there, true)
}

// watchName returns a function that waits until the secret service's name is taken, or
// free.
func (k *Keyring) watchName() func(owned bool) error {
	k.t.Helper()
	conn := k.Connect()
	k.t.Cleanup(func() { _ = conn.Close() })
	changes := make(chan *dbus.Signal, 16)
	conn.Signal(changes)
	err := conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus"),
		dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, busName))
	if err != nil {
		k.t.Fatal(err)
	}
	return func(owned bool) error {
		defer conn.Close()
		return waitOwner(changes, owned)
	}
}

func waitOwner(changes <-chan *dbus.Signal, owned bool) error {
	timeout := time.After(startTimeout)
	for {
		select {
		case s := <-changes:
			if s != nil && len(s.Body) == 3 && (s.Body[2] != "") == owned {
				return nil
			}
		case <-timeout:
			return fmt.Errorf("%s: nothing after %v", busName, startTimeout)
		}
	}
}

func (k *Keyring) await(wait func(bool) error, owned bool) {
	k.t.Helper()
	if err := wait(owned); err != nil {
		if k.daemon != nil {
			k.daemon.kill()
			k.t.Logf("gnome-keyring said: %s", &k.daemon.log)
		}
		k.t.Fatal(err)
	}
}

// listenSilently makes the bus a socket that no program serves: the kernel completes
// the connections.
func (k *Keyring) listenSilently() {
	k.t.Helper()
	path := filepath.Join(k.dir, "run", "bus")
	ln, err := net.Listen("unix", path)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = ln.Close() })
	k.address = "unix:path=" + path
}

// A process is a program that this package starts and ends.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	once sync.Once
	log  bytes.Buffer
}

// start runs cmd in the keyring's environment until the test ends, or this process does.
func (k *Keyring) start(cmd *exec.Cmd) *process {
	k.t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Env = append(k.Env(), "PATH="+os.Getenv("PATH"), "LC_ALL=C")
	cmd.Dir = k.dir
	cmd.Stderr = &p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The kernel sends the parent-death signal when the thread that forked ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	p.once.Do(func() { _ = p.cmd.Process.Kill() })
	<-p.done
}
