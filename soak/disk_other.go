//go:build !linux

package main

func mountDisk(string) (*disk, error) { return nil, errNoDisk }

func (d *disk) unmount() {}
