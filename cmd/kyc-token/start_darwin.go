package main

// startCommand is what to type when no agent is there.
const startCommand = "kyc-agentd serve"
