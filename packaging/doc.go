// Package packaging has the files that turn the binaries into an installed service:
//
//   - systemd/: the user units, and a drop-in for more hardening;
//   - release: the script of `make release`, which makes archives, packages and all else
//     that is downloaded; nfpm.yaml, deb/ and rpm/ are for the packages, sbom/ lists the
//     modules that are linked, and docs/ copies README.md with all that it links to;
//   - share/, man/, completions/: the manual pages and completions, which share/ makes from
//     the templates in man/, from completions/ and from the programs' own help;
//   - kubernetes/: the rights of a fleet in a cluster, a Deployment and an image recipe;
//   - homebrew/ and launchd/: the files for macOS.
//
// It has no code, only tests. They check these files and `make install` with the built
// binaries and systemd's own programs; those of TestService also with a user manager as on
// a booted system, which systemd/user-systemd starts for a command and package usermanager
// for a test. The packages are installed on systems that package roots boots.
package packaging
