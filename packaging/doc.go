// Package packaging holds what turns the binaries into an installed service: the
// systemd user units in systemd/. It has no code; its tests hold the units and
// `make install` true, against the built binaries and systemd's own programs.
package packaging
