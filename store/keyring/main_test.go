//go:build unix

package keyring_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/store/keyring"
)

// The test binary is also the child: the real one, and ones that misbehave.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch verb := os.Args[1]; {
		case verb == "fake-exposed":
			os.Exit(keyring.Child(func() error { return errors.New("no") }, os.Stdin, os.Stdout))
		case verb == "keyring-child":
			os.Exit(keyring.Child(unprotected, os.Stdin, os.Stdout))
		case strings.HasPrefix(verb, "fake-"):
			os.Exit(fake(verb, os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

// fake is a child that misbehaves.
func fake(verb string, args []string) int {
	if verb == "fake-daemon" { // a parent, to be killed while its child hangs
		st := keyring.New(keyring.Options{Command: keyring.SelfCommand("fake-hang", args[0])})
		_, err := st.Get(context.Background(), "prod")
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if verb == "fake-unready" { // hangs without a word, and says what it is sent all the same
		fifo, err := os.OpenFile(args[0], os.O_WRONLY, 0)
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(fifo, "here")
		_, _ = io.Copy(fifo, os.Stdin)
		return 0
	}
	fmt.Print(" ") // ready for the request
	request, _ := io.ReadAll(os.Stdin)
	switch verb {
	case "fake-answer":
		fmt.Println(args[0])
	case "fake-answer-and-hang":
		fmt.Println(args[0])
		hang("")
	case "fake-hang":
		hang(strings.Join(args, ""))
	case "fake-family": // hangs, and so does its own child
		if err := exec.Command(os.Args[0], "fake-hang", args[0]).Start(); err == nil {
			hang("")
		}
	case "fake-panic":
		panic("the request was " + string(request))
	case "fake-mute":
		return 0
	case "fake-exit":
		return 3
	case "fake-huge":
		for chunk := strings.Repeat("{", 1<<16); ; {
			if _, err := os.Stdout.WriteString(chunk); err != nil {
				return 1
			}
		}
	case "fake-mirror": // returns its arguments, environment and request as the value
		said, _ := json.Marshal(mirrored{os.Args, os.Environ(), string(request)})
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"code": "ok", "value": said})
	}
	return 0
}

type mirrored struct {
	Args, Env []string
	Stdin     string
}

// hang takes longer than any test waits. It keeps the named pipe open, so that a reader
// can see how long this process lives.
func hang(fifo string) {
	if fifo != "" {
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		fmt.Fprintln(f, "here")
	}
	<-time.After(5 * time.Minute)
}

// unprotected leaves this binary's memory readable: the tests of kyc-agentd close it.
func unprotected() error { return nil }
