// Package engine runs the real servers that a fleet keeps its sign-in on, on loopback: a
// PostgreSQL, and a kube-apiserver with etcd. Tests and package soak/fleet use them.
//
//	pg, err := engine.StartPostgres(dir)
//	kube, err := engine.StartKubernetes(dir, binaries)
//
// [NewLink] is one agent's way to a server, which can be cut or slow.
package engine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// ErrMissing means that a program is not installed, or not built.
var ErrMissing = errors.New("missing")

// A process is a server that is a child of this one and ends with it.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

func start(cmd *exec.Cmd, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// end sends sig and waits until the process has ended, which SIGKILL sees to after a while.
func (p *process) end(sig syscall.Signal) {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(sig)
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// await calls ready until it returns nil, the process has ended, or a minute is over.
func (p *process) await(name string, ready func() error) error {
	var err error
	for began := time.Now(); time.Since(began) < 60*time.Second; {
		select {
		case <-p.exited:
			return fmt.Errorf("%s has ended: %w", name, err)
		case <-time.After(50 * time.Millisecond):
		}
		if err = ready(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s is not ready: %w", name, err)
}

// A Link is a way to a server on loopback.
type Link struct {
	listener net.Listener
	target   string

	mu       sync.Mutex
	accepted int
	cut      bool
	restored chan struct{} // closed by Restore
	delay    time.Duration
	conns    map[net.Conn]bool
}

// NewLink listens on a port of loopback and forwards to target.
func NewLink(target string) (*Link, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	k := &Link{listener: l, target: target, conns: map[net.Conn]bool{}}
	go k.serve()
	return k, nil
}

// Port is where it listens.
func (k *Link) Port() int { return k.listener.Addr().(*net.TCPAddr).Port }

// Cut makes everything that is sent disappear, as a partition does, until Restore.
func (k *Link) Cut() { k.set(true, 0) }

// Slow delays each piece that the server sends.
func (k *Link) Slow(d time.Duration) { k.set(false, d) }

// Restore makes it work again. Connections of the time before are reset: what was sent on them
// is lost.
func (k *Link) Restore() {
	k.set(false, 0)
	k.Reset()
}

// Reset closes all connections.
func (k *Link) Reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for c := range k.conns {
		_ = c.Close()
	}
}

// Close ends it.
func (k *Link) Close() {
	_ = k.listener.Close()
	k.Restore()
}

func (k *Link) set(cut bool, delay time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if cut && !k.cut {
		k.restored = make(chan struct{})
	}
	if !cut && k.cut {
		close(k.restored)
	}
	k.cut, k.delay = cut, delay
}

// healed is closed when the way is not cut any more.
func (k *Link) healed() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.restored == nil {
		k.restored = make(chan struct{})
		close(k.restored)
	}
	return k.restored
}

// Accepted returns how many connections there were.
func (k *Link) Accepted() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.accepted
}

func (k *Link) state() (cut bool, delay time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cut, k.delay
}

func (k *Link) serve() {
	for {
		c, err := k.listener.Accept()
		if err != nil {
			return
		}
		k.mu.Lock()
		k.accepted++
		k.mu.Unlock()
		go k.forward(c)
	}
}

func (k *Link) forward(client net.Conn) {
	server, err := net.Dial("tcp", k.target)
	if err != nil {
		_ = client.Close()
		return
	}
	k.mu.Lock()
	k.conns[client], k.conns[server] = true, true
	k.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { k.copy(server, client) })
	both.Go(func() { k.copy(client, server) })
	both.Wait()
	k.mu.Lock()
	delete(k.conns, client)
	delete(k.conns, server)
	k.mu.Unlock()
}

func (k *Link) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		cut, delay := k.state()
		if delay > 0 {
			time.Sleep(delay)
		}
		if n > 0 && !cut {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) && cut { // the other end does not learn of it
				<-k.healed()
			}
			return
		}
	}
}

// asUser makes cmd run as a user of the system, if this process is root: PostgreSQL refuses to.
func asUser(cmd *exec.Cmd, name string) error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("%w: the user %s", ErrMissing, name)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(cmd.Dir))
	return nil
}

// giveTo makes a folder that belongs to a user of the system, if this process is root.
func giveTo(dir, name string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil || os.Getuid() != 0 {
		return err
	}
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("%w: the user %s", ErrMissing, name)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return os.Chown(dir, uid, gid)
}
