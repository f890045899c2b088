package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// mountDisk mounts a small disk on dir, or returns errNoDisk.
func mountDisk(dir string) (*disk, error) {
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=0700")
	if errors.Is(err, unix.EPERM) {
		return nil, errNoDisk
	}
	if err != nil {
		return nil, err
	}
	return &disk{dir}, nil
}

func (d *disk) unmount() {
	if d != nil {
		_ = unix.Unmount(d.dir, unix.MNT_DETACH)
	}
}
