package main

// The help texts of lock.go, unlock.go and passphrase.go.

const usagePassphrase = `Usage: kyc-agentd passphrase [--passphrase-stdin]

Sets the passphrase with which kyc-agentd lock locks the sign-ins, or changes
it, for which it asks for the current one. It asks at this terminal. The daemon
keeps the passphrase nowhere: it protects a key in the state folder.

A passphrase that is lost cannot be recovered. The error of kyc-agentd unlock
says how to go on without it: by a local logout and a new sign-in.

  --passphrase-stdin  the first one, from standard input
  --socket PATH       the daemon's socket
`

const usageLock = `Usage: kyc-agentd lock [--for TIME]

Locks all sign-ins with the passphrase, also in the store, so that a restart
does not unlock them. Tokens, AWS credentials and token files are gone, and
nothing is refreshed. Every request but status and unlock ends with exit 77.
The daemon then replaces itself by a fresh image, which has no secret.

An environment with a password_file can be signed in again from the disk.

  --for TIME     no passphrase unlocks before that time is over: 8h
  --socket PATH  the daemon's socket
`

const usageUnlock = `Usage: kyc-agentd unlock [--passphrase-stdin]

Asks for the passphrase at this terminal and unlocks the sign-ins. After three
wrong ones each try waits, up to half a minute.

  --passphrase-stdin  from standard input
  --socket PATH       the daemon's socket
`
