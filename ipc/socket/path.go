package socket

import "path/filepath"

// Path returns the path of the agent's socket: $KYC_AGENT_SOCK, or else
// kyc-agentd/agent.sock in $XDG_RUNTIME_DIR, or else in /run/user/$UID, where systemd
// creates that folder: cron jobs and units find the socket without any variable. On macOS,
// which has no such folder, the last is ~/Library/Application Support.
//
// getenv is os.Getenv. A relative XDG_RUNTIME_DIR is ignored, as the XDG base directory
// specification requires.
func Path(getenv func(string) string) string {
	if path := getenv("KYC_AGENT_SOCK"); path != "" {
		return path
	}
	return StandardPath(getenv)
}

// StandardPath is [Path] without $KYC_AGENT_SOCK: the path of systemd's socket unit.
func StandardPath(getenv func(string) string) string {
	dir := getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		dir = runtimeDir(getenv)
	}
	return filepath.Join(dir, "kyc-agentd", "agent.sock")
}
