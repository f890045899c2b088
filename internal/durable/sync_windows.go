package durable

import "os"

// SyncDir does nothing: Windows cannot flush a folder, and NTFS journals renames.
func SyncDir(*os.Root) error { return nil }
