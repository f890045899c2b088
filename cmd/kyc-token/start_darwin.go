package main

// startCommand is what to type when no agent is there.
const startCommand = "kyc-agentd serve"

// runtimeDir is where the agent makes its socket; ipc.SocketPath says why.
func (p process) runtimeDir() string { return p.getenv("HOME") + "/Library/Application Support" }
