package main

// startCommand is the command to type when no agent runs.
const startCommand = "kyc-agentd serve"

// restartCommand is the command to type when another agent was installed than the one that
// runs, and that one was ended.
const restartCommand = startCommand

// runtimeDir returns the folder in which the agent makes its socket's folder;
// socket.Path says why.
func (p process) runtimeDir() string { return p.getenv("HOME") + "/Library/Application Support" }
