// Package keyringtest runs a real keyring for tests: a new session bus with
// gnome-keyring on it, with a temporary home folder.
//
// Start starts one, and Env is the environment for a process that uses it:
//
//	kr := keyringtest.Start(t, keyringtest.Unlocked)
//	cmd.Env = append(os.Environ(), kr.Env()...)
//
// The bus starts no service by itself, so that only the requested keyring answers and
// no test can reach the keyring of the person who runs it.
package keyringtest
