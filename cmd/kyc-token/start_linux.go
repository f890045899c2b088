package main

import "strconv"

// startCommand is the command to type when no agent runs.
const startCommand = "systemctl --user restart kyc-agentd.socket"

// restartCommand is the command to type when another agent was installed than the one that runs.
const restartCommand = "systemctl --user restart kyc-agentd.service"

// runtimeDir returns the folder that systemd makes as a user's XDG_RUNTIME_DIR.
func (p process) runtimeDir() string { return "/run/user/" + strconv.Itoa(p.uid) }
