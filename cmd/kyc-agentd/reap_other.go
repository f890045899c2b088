//go:build !linux

package main

import "os/exec"

// Only Linux has containers whose first process a program can be, subreapers, and signals at
// the parent's end.
func reapOrphans(int, <-chan struct{}) {}

func dieWithParent(*exec.Cmd) {}

func adoptOrphans() {}

func endDescendants() (left []int) { return nil }
