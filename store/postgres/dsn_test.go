package postgres_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/postgres"
)

// A connection to another machine is encrypted, and the server is checked.
func TestTransport(t *testing.T) {
	ca, _ := certificate(t, "db.example")
	for dsn, want := range map[string]string{
		"postgres://u@127.0.0.1/d":                                             "",
		"postgres://u@[::1]/d?sslmode=disable":                                 "",
		"postgres://u@localhost/d?sslmode=prefer":                              "",
		"host=/run/postgresql user=u":                                          "",
		"postgres://u@db.example/d?sslmode=verify-full":                        "",
		"postgres://u@db.example/d?sslmode=verify-full&sslrootcert=" + ca:      "",
		"postgres://u@db.example/d?sslmode=verify-ca&sslrootcert=" + ca:        "",
		"postgres://u@db.example/d?sslmode=require&sslrootcert=" + ca:          "", // which libpq takes for verify-ca
		"host=db.example user=u sslmode=verify-full":                           "",
		"postgres://u@db.example/d":                                            "not encrypted",
		"postgres://u@db.example/d?sslmode=disable":                            "not encrypted",
		"postgres://u@db.example/d?sslmode=allow":                              "not encrypted",
		"postgres://u@db.example/d?sslmode=prefer":                             "not encrypted",
		"postgres://u@db.example/d?sslmode=require":                            "does not check whose server",
		"postgres://u@db.example/d?sslmode=verify-ca":                          "every certificate of a public CA",
		"host=db.example user=u sslmode=disable":                               "not encrypted",
		"postgres://u@127.0.0.1,db.example/d?sslmode=disable":                  "PostgreSQL at db.example is another machine",
		"postgres://u@10.0.0.1/d":                                              "PostgreSQL at 10.0.0.1 is another machine",
		"postgres://u@localhost.example/d":                                     "PostgreSQL at localhost.example is another machine",
		"postgres://u@127.0.0.1.example/d":                                     "another machine",
		"postgres://u@db.example/d?sslmode=verify-full&sslrootcert=/nowhere/x": "sslrootcert, sslcert or sslkey) cannot be read: no such file",
	} {
		_, err := postgres.Open(postgres.Options{DSN: dsn})
		if want == "" && err != nil || want != "" && (!errors.Is(err, store.ErrUnusable) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", dsn, err, want)
		}
		if strings.Contains(want, "is another machine") && err != nil && !strings.Contains(err.Error(), "; write sslmode=verify-full") {
			t.Errorf("%s: no next step: %v", dsn, err)
		}
	}
}

// The variables and files of libpq count, too.
func TestTransportOfVariables(t *testing.T) {
	services := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(services, []byte("[fleet]\nhost=db.example\nuser=u\npassword=Secret-5\nsslmode=disable\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGSERVICEFILE", services)
	t.Setenv("PGPASSWORD", "Secret-5")
	if _, err := postgres.Open(postgres.Options{DSN: "service=fleet"}); err == nil || !strings.Contains(err.Error(), "PostgreSQL at db.example is another machine") || strings.Contains(err.Error(), "Secret-5") {
		t.Errorf("a service: %v", err)
	}
	t.Setenv("PGSSLMODE", "disable")
	if _, err := postgres.Open(postgres.Options{DSN: "postgres://u@db.example/d"}); err == nil || !strings.Contains(err.Error(), "not encrypted") {
		t.Errorf("PGSSLMODE: %v", err)
	}
	if _, err := postgres.Open(postgres.Options{DSN: "service=other"}); err == nil || strings.Contains(err.Error(), "Secret-5") {
		t.Errorf("no such service: %v", err)
	}
}

// Nothing that Open and a call say has a piece of the password, whatever is in it.
func TestPasswordIsNotShown(t *testing.T) {
	t.Setenv("PGPASSFILE", "/nowhere/pgpass")
	for _, dsn := range []string{
		"postgres://agent:4711/Zebra@127.0.0.1:1/kyc",
		"postgres://agent:4711?Zebra@127.0.0.1:1/kyc",
		"postgres://agent:4711#Zebra@127.0.0.1:1/kyc",
		"postgres://agent:4711@Zebra@127.0.0.1:1/kyc",
		"postgres://agent:4711%Zebra@127.0.0.1:1/kyc",
		"postgres://agent:4711 Zebra@127.0.0.1:1/kyc",
		"postgres://agent:[4711Zebra@127.0.0.1:1/kyc",
		"postgresql://agent@127.0.0.1:1/kyc?password=4711/Zebra@x",
		"host=127.0.0.1 port=1 user=agent password=4711 Zebra",
		"host=127.0.0.1 port=1 user=agent password=4711'Zebra",
		"host=127.0.0.1 port=1 user=agent password='4711 Zebra",
		"host=127.0.0.1 port=1 user=agent password=4711 Zebra=1",
		`host=127.0.0.1 port=1 user=agent password=4711\`,
		"agent:4711Zebra@127.0.0.1/kyc",
	} {
		e, err := postgres.Open(postgres.Options{DSN: dsn})
		said := ""
		if err == nil {
			said = e.Describe().Detail
			_, err = e.Get(within(t), "prod")
		}
		if said += " " + err.Error(); strings.Contains(said, "Zebra") || strings.Contains(said, "4711") {
			t.Errorf("%s: %s", dsn, said)
		}
	}
}

// What a server that is not the right one is told apart by.
func TestCertificates(t *testing.T) {
	named, namedKey := certificate(t, "db.example")
	local, localKey := certificate(t, "127.0.0.1")
	const untrusted = "the server's certificate is not trusted; name the file with its CA in the connection string: sslrootcert=FILE"
	for _, c := range []struct{ name, answer, cert, key, params, want string }{
		{"no TLS", "N", local, localKey, "sslmode=verify-full", "the server does not speak TLS"},
		{"an unknown CA", "S", local, localKey, "sslmode=verify-full&sslrootcert=" + named, untrusted},
		{"an unknown CA, verify-ca", "S", local, localKey, "sslmode=verify-ca&sslrootcert=" + named, untrusted},
		{"another name", "S", named, namedKey, "sslmode=verify-full&sslrootcert=" + named, "is for another name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pair, err := tls.LoadX509KeyPair(c.cert, c.key)
			if err != nil {
				t.Fatal(err)
			}
			e := open(t, "postgres://agent:Secret-5@"+sslServer(t, c.answer, pair)+"/kyc?"+c.params)
			if _, err := e.Get(within(t), "prod"); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// sslServer answers PostgreSQL's question for TLS, which is 8 bytes, and begins TLS for "S".
func sslServer(t *testing.T, answer string, pair tls.Certificate) (addr string) {
	return testsocket.ServeTCP(t, func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 8))
		_, _ = io.WriteString(c, answer)
		if answer == "S" {
			_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake()
		}
	})
}

// certificate makes a certificate of itself for a host, and returns the files of it and its key.
func certificate(t *testing.T, host string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
