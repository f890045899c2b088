package main

import "strconv"

// startCommand is what to type when no agent is there.
const startCommand = "systemctl --user start kyc-agentd.socket"

// runtimeDir is where systemd makes a user's XDG_RUNTIME_DIR.
func (p process) runtimeDir() string { return "/run/user/" + strconv.Itoa(p.uid) }
