package socket

// Withheld returns "": macOS has no systemd.
func Withheld(string, error) (why, hint string) { return "", "" }
