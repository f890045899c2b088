// Package packaging holds what turns the binaries into an installed service: the
// systemd user units in systemd/; the .deb and .rpm of `make package`, which nfpm.yaml
// describes and the script package builds; and what macOS takes, in homebrew/ and
// launchd/. Tests install the packages on systems that package roots boots.
//
// It has no code of its own; its tests hold the units and
// `make install` true, against the built binaries, systemd's own programs and, in the
// TestService ones, a user manager as of a booted system: systemd/user-systemd starts
// one for a command, package usermanager for a test.
package packaging
