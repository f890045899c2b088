package ipc

import "path/filepath"

// SocketPath is where the agent's socket is: $KYC_AGENT_SOCK, else
// kyc-agentd/agent.sock in $XDG_RUNTIME_DIR, else in /run/user/$UID, which is
// where systemd puts it, so that cron and units find it with nothing exported. On
// macOS, which has no such folder, the last is ~/Library/Application Support.
//
// getenv is os.Getenv. A relative XDG_RUNTIME_DIR is ignored, as the XDG base
// directory specification asks.
func SocketPath(getenv func(string) string) string {
	if path := getenv("KYC_AGENT_SOCK"); path != "" {
		return path
	}
	dir := getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		dir = runtimeDir(getenv)
	}
	return filepath.Join(dir, "kyc-agentd", "agent.sock")
}
