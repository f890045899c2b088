package handover

import (
	"errors"
	"syscall"
)

var errWindows = errors.New("a process of Windows cannot be replaced")

func duplicate(syscall.Conn) (int, error)             { return 0, errWindows }
func closeFD(int)                                     {}
func closeOnExec(int)                                 {}
func seal([]byte) (int, error)                        { return 0, errWindows }
func unseal(int) ([]byte, error)                      { return nil, errWindows }
func replace(string, []string, []string, []int) error { return errWindows }
