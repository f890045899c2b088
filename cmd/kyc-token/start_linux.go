package main

// startCommand is what to type when no agent is there.
const startCommand = "systemctl --user start kyc-agentd.socket"
