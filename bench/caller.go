package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The requests that are timed. tokenOnce is kyc-token's, after which the agent closes
// the connection; after tokenKeep it stays open.
const (
	tokenOnce = "GET /v1/token?env=staging HTTP/1.0\r\nHost: kyc-agent\r\nAccept: text/plain\r\n\r\n"
	tokenKeep = "GET /v1/token?env=staging HTTP/1.1\r\nHost: kyc-agent\r\nAccept: text/plain\r\n\r\n"
	statusGet = "GET /v1/status HTTP/1.0\r\nHost: kyc-agent\r\n\r\n"
)

// A caller sends the same request to a server repeatedly. It does as little work as
// possible, because client and server share the cores.
type caller struct {
	network, address string
	request          string
	keep             bool // whether the connection stays open
	want             int  // the expected status
	conn             net.Conn
	buf              []byte
}

// newCaller returns a caller for a socket's path or a TCP address.
func newCaller(address, request string) *caller {
	network := "tcp"
	if filepath.IsAbs(address) {
		network = "unix"
	}
	keep := strings.Contains(request, " HTTP/1.1\r\n")
	return &caller{network: network, address: address, request: request, keep: keep, want: 200, buf: make([]byte, 16<<10)}
}

// call sends the request once and returns the body, which is valid until the next call.
func (c *caller) call() ([]byte, error) {
	if c.conn == nil {
		conn, err := net.Dial(c.network, c.address)
		if err != nil {
			return nil, err
		}
		c.conn = conn
	}
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write([]byte(c.request)); err != nil {
		return nil, err
	}
	body, err := c.read()
	if !c.keep {
		c.close()
	}
	return body, err
}

// askUntil asks without a pause until end, and times every answer.
func (c *caller) askUntil(ctx context.Context, end time.Time) (timings, error) {
	var times timings
	for now := time.Now(); now.Before(end) && ctx.Err() == nil; {
		if _, err := c.call(); err != nil {
			return nil, err
		}
		after := time.Now()
		times = append(times, after.Sub(now))
		now = after
	}
	return times, context.Cause(ctx)
}

// read reads one answer.
func (c *caller) read() ([]byte, error) {
	for n := 0; n < len(c.buf); {
		m, err := c.conn.Read(c.buf[n:])
		n += m
		body, whole, bad := c.parse(c.buf[:n])
		if whole || bad != nil {
			return body, bad
		}
		if err != nil {
			return nil, fmt.Errorf("answer cut off: %w", err)
		}
	}
	return nil, errors.New("the answer is too long")
}

// parse finds the body of an answer that has a Content-Length.
func (c *caller) parse(raw []byte) (body []byte, whole bool, err error) {
	head, body, found := bytes.Cut(raw, []byte("\r\n\r\n"))
	if !found {
		return nil, false, nil
	}
	if len(head) < 12 || string(head[9:12]) != strconv.Itoa(c.want) {
		return nil, false, fmt.Errorf("not the expected answer: %q", head)
	}
	_, after, found := bytes.Cut(head, []byte("\r\nContent-Length: "))
	if !found {
		return nil, false, errors.New("the answer has no Content-Length")
	}
	digits, _, _ := bytes.Cut(after, []byte("\r"))
	length, err := strconv.Atoi(string(digits))
	return body, len(body) == length, err
}

func (c *caller) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
