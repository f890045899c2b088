// Package packaging holds what turns the binaries into an installed service: the
// systemd user units in systemd/, with a drop-in for more hardening; the .deb and .rpm of
// `make package`, which nfpm.yaml describes and the script package builds, with deb/ and
// rpm/ for their scripts and sbom/ for the list of modules; the manual pages and
// completions, which share/ makes of the templates in man/, of completions/ and of the
// programs; and what macOS takes, in homebrew/ and launchd/.
//
// It has no code of its own; its tests hold all that and `make install` true, against the
// built binaries, systemd's own programs and, in the TestService ones, a user manager as
// of a booted system: systemd/user-systemd starts one for a command, package usermanager
// for a test. The packages are installed on systems that package roots boots.
package packaging
