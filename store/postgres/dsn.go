package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/legaltalent/kyc-agent/internal/origin"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/shared"
)

// parseDSN reads a connection string, with what libpq's variables and files add to it. No error
// quotes it.
func parseDSN(dsn string) (*pgconn.Config, error) {
	if strayAt(dsn) {
		return nil, shared.Errorf(store.ErrUnusable, "the connection string of PostgreSQL has an @ after its host, so the password is cut off; "+
			"write the characters / ? # @ %% of a password as %%2F %%3F %%23 %%40 %%25")
	}
	config, err := pgconn.ParseConfig(dsn)
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, shared.Errorf(store.ErrUnusable, "a file that the connection string of PostgreSQL names (sslrootcert, sslcert or sslkey) cannot be read: %w", file.Err)
	}
	if err != nil { // its text quotes the DSN
		return nil, shared.Errorf(store.ErrUnusable, "the connection string of PostgreSQL cannot be read; it looks like "+
			"postgres://USER@HOST/DATABASE?sslmode=verify-full")
	}
	return config, checkTLS(config)
}

// strayAt reports whether a URL has an @ after its authority. Then a password with a '/', a '?' or
// a '#' in it has ended the authority too early: in postgres://user:12/34@host/db the host is
// "user", the port a part of the password, and the name of the database another one.
func strayAt(dsn string) bool {
	_, rest, isURL := strings.Cut(dsn, "://")
	end := strings.IndexAny(rest, "/?#")
	return isURL && end >= 0 && strings.Contains(rest[end:], "@")
}

// checkTLS refuses a connection to another machine that is not encrypted, or where nobody checks
// whose server answers: that can ask for the password in clear text. What "prefer", libpq's
// default, falls back to counts as well.
func checkTLS(config *pgconn.Config) error {
	ways := append([]*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}}, config.Fallbacks...)
	var err error
	for _, way := range ways {
		if network, _ := pgconn.NetworkAddress(way.Host, way.Port); network == "unix" || origin.IsLoopback(way.Host) {
			continue
		}
		if problem := tlsProblem(way.TLSConfig); problem != "" && (err == nil || way.TLSConfig == nil) {
			err = shared.Errorf(store.ErrUnusable, "PostgreSQL at %s is another machine, and the sslmode of its connection string %s; "+
				"write sslmode=verify-full, and sslrootcert=FILE if the server's certificate is of a CA of your own", oneLine(way.Host), problem)
		}
	}
	return err
}

func tlsProblem(config *tls.Config) string {
	switch {
	case config == nil:
		return "allows a connection that is not encrypted (disable, allow, and prefer, which is the default)"
	case config.InsecureSkipVerify && config.VerifyPeerCertificate == nil:
		return "does not check whose server it is (require)"
	case config.InsecureSkipVerify && config.RootCAs == nil:
		return "takes every certificate of a public CA (verify-ca without sslrootcert)"
	}
	return ""
}

// connectProblem says why there is no connection. The driver's own text is left out: it could
// quote the connection string.
func connectProblem(err error) string {
	_, otherName := errors.AsType[x509.HostnameError](err)
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err) // of verify-ca, which the driver does itself
	dns, _ := errors.AsType[*net.DNSError](err)
	errno, _ := errors.AsType[syscall.Errno](err)
	switch {
	case otherName:
		return "the server's certificate is for another name than that in the connection string"
	case unverified, unknown:
		return "the server's certificate is not trusted; name the file with its CA in the connection string: sslrootcert=FILE"
	case strings.HasSuffix(err.Error(), "server refused TLS connection"):
		return "the server does not speak TLS; set ssl = on in its postgresql.conf"
	case dns != nil:
		return "its name cannot be resolved"
	case pgconn.Timeout(err):
		return "no answer in time"
	case errno != 0:
		return "no connection: " + errno.Error()
	}
	return "no connection"
}
