package auto_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/store/keyring"
)

// The test binary is also the keyring's child process, the real one and fake ones.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "keyring-child":
			os.Exit(keyring.Child(unprotected, os.Stdin, os.Stdout))
		case "fake-answer":
			fmt.Println(os.Args[2])
			return
		case "fake-hang":
			<-time.After(5 * time.Minute)
		}
	}
	os.Exit(m.Run())
}

// unprotected leaves this binary's memory readable: the tests of kyc-agentd close it.
func unprotected() error { return nil }
