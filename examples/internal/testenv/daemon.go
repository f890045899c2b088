package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// timeout is how long the daemon may take to start and to stop.
const timeout = 20 * time.Second

// A daemon is a running kyc-agentd.
type daemon struct {
	cmd  *exec.Cmd
	log  bytes.Buffer // what it logged; read after exit
	exit chan error
}

// startDaemon starts cmd and waits for READY=1, as the service manager does: the
// daemon sends it to the datagram socket that NOTIFY_SOCKET names (sd_notify(3)).
func startDaemon(ctx context.Context, cmd *exec.Cmd, notify string) (*daemon, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	d := &daemon{cmd: cmd, exit: make(chan error, 1)}
	cmd.Env = append(slices.Clone(cmd.Env), "NOTIFY_SOCKET="+notify)
	cmd.Stderr = &d.log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = timeout
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start kyc-agentd: %w", err)
	}
	go func() {
		d.exit <- cmd.Wait()
		_ = conn.SetReadDeadline(time.Now()) // so that awaitReady does not wait for a daemon that has ended
	}()
	if err := d.awaitReady(ctx, conn); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *daemon) awaitReady(ctx context.Context, conn *net.UnixConn) error {
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return errors.Join(fmt.Errorf("kyc-agentd serve did not get ready: %w", err), d.stop(), d.logged())
		}
		if slices.Contains(strings.Split(string(buf[:n]), "\n"), "READY=1") {
			return nil
		}
	}
}

// logged returns the log of a daemon that has stopped, as an error.
func (d *daemon) logged() error { return fmt.Errorf("it logged:\n%s", d.log.Bytes()) }

// stop ends the daemon by SIGTERM and returns an error unless it exits 0.
func (d *daemon) stop() error {
	if d == nil {
		return nil
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	var err error
	select {
	case err = <-d.exit:
	case <-time.After(timeout):
		_ = d.cmd.Process.Kill()
		err = errors.Join(errors.New("did not stop on SIGTERM"), <-d.exit)
	}
	if err != nil {
		return fmt.Errorf("kyc-agentd serve: %w", err)
	}
	return nil
}
