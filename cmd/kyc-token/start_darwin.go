package main

// startCommand is the command to type when no agent runs.
const startCommand = "kyc-agentd serve"

// runtimeDir returns the folder in which the agent makes its socket's folder;
// socket.Path says why.
func (p process) runtimeDir() string { return p.getenv("HOME") + "/Library/Application Support" }
