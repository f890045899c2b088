// Package keyringtest runs a real keyring for tests: a session bus of its own and
// gnome-keyring on it, from a home folder that is thrown away.
//
// A newcomer needs two calls: Start, and Env for the environment of the process
// that shall use the keyring.
//
//	kr := keyringtest.Start(t, keyringtest.Unlocked)
//	cmd.Env = append(os.Environ(), kr.Env()...)
//
// The bus starts no service by itself, so that nothing but what was asked for
// answers, and no test can reach the keyring of the person who runs it.
package keyringtest
