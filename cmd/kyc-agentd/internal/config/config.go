// Package config reads kyc-agentd's configuration: config.toml, then KYC_* variables, then
// flags. The type [Config] is the manual, with [Environment] and [Sink] for its tables.
//
// Call [Load] for the file and the variables; a flag is a field that its verb sets
// afterwards. [Config.AgentConfig] and [Config.ResolveSinks] then give the agent and the
// token files what they need.
//
// Each value checks itself as it is read (values.go, hosts.go and sinks.go have the kinds);
// load.go has what can only be checked in the whole. variables.go maps KYC_<NAME>_<KEY> to
// keys. secrets.go finds the files that hold secrets, and secretfile.go reads them.
package config

import (
	"github.com/legaltalent/kyc-agent/store/kubernetes"
	"github.com/legaltalent/kyc-agent/store/postgres"
)

// Config is config.toml. It is read from the file that --config names, else from
// $XDG_CONFIG_HOME/kyc-agent/config.toml, else from ~/.config/kyc-agent/config.toml;
// only a file named by --config must exist. It holds no secret: each secret is in a
// separate file, which config.toml names.
//
// The file, and each folder and link on the way to it, must belong to you or to root, and
// nobody else may be able to write it: it says where passwords are sent. The group may, if it
// is your primary group and has no other member, and modes do not count on a file system that is
// mounted read-only.
//
// A key that is left out, or is "", has its default. A key that is not listed here
// is an error that names the file, the line and the key. Variables, KYC_<NAME>_<KEY>,
// override the keys of an environment; the flags of `kyc-agentd serve` override store and
// log_level.
//
// `kyc-agentd reload` reads it again. If anything in it is wrong, a running daemon keeps the
// old configuration and says why; a daemon that starts tells its clients why, and exits.
type Config struct {
	// DefaultEnvironment is the environment of a request that names none.
	// Default "staging". It must be one of Environments.
	DefaultEnvironment string `toml:"default_environment"`

	// RefreshMargin is how long before its expiry an ID token is refreshed: "5m", "90s".
	// It is a fifth of the token's lifetime if that is shorter. Default "5m".
	// More than 0 and at most 24h, the longest lifetime of an ID token.
	RefreshMargin Duration `toml:"refresh_margin"`

	// Store is where sign-ins are kept: "keyring", "file", "memory", or "auto" for
	// the first of them that works. Default "auto". "kubernetes" and "postgres" share them
	// with the agents of other machines, a fleet: one Secret of a cluster, or one table. Such
	// an agent needs a key (StoreKeyFile), which all of the fleet have, and a state folder of
	// its own. Anything else is an error. A change needs a restart.
	Store StoreKind `toml:"store"`

	// StoreKeyFile holds the age identity that the file store, or a fleet, encrypts with: an
	// absolute path, or one that begins with ~/. Default: store.key beside the default
	// config.toml, if it exists; `kyc-agentd keygen` makes it.
	// $CREDENTIALS_DIRECTORY/kyc-agentd.key overrides both. A change needs a restart.
	StoreKeyFile Path `toml:"store_key_file"`

	// FleetMember is the name of this agent in the status of the others. Default: the name of
	// the machine, or of the pod. At most 63 letters, digits, '.', '-' and '_'. A change needs
	// a restart.
	FleetMember MemberName `toml:"fleet_member"`
	// KubernetesSecret is the Secret of store = "kubernetes", which has to exist. Default
	// "kyc-agent". Two fleets in one namespace need two. A change needs a restart.
	KubernetesSecret KubernetesName `toml:"kubernetes_secret"`
	// KubernetesNamespace is its namespace. Default: that of the pod. A change needs a restart.
	KubernetesNamespace KubernetesName `toml:"kubernetes_namespace"`
	// KubernetesCredentials is a folder with the token and the ca.crt of a service account that
	// may get, update and watch the Secret. Default: that of the pod,
	// /var/run/secrets/kubernetes.io/serviceaccount. The API server is the one of the variables
	// KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT. A change needs a restart.
	KubernetesCredentials Path `toml:"kubernetes_credentials"`
	// PostgresDSNFile holds the connection string of store = "postgres", in one line, such as
	// postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full: an absolute path, or one that
	// begins with ~/. Default: the systemd credential kyc-agentd.postgres, else the variable
	// KYC_POSTGRES_DSN. A file that is missing, open to others or not yours is an error, and so
	// is a connection to another machine that is not encrypted or does not check the server. A
	// change needs a restart.
	PostgresDSNFile SecretPath `toml:"postgres_dsn_file"`
	// PostgresTable is the table, which `kyc-agentd store init` makes: "kyc_agent", or with a
	// schema "kyc.agent". Default "kyc_agent". Two fleets in one database need two. A change
	// needs a restart.
	PostgresTable TableName `toml:"postgres_table"`

	// ForwardEnvironments are the environments of the extra socket, agent.extra.sock beside
	// the agent's own: ["staging"]. That socket hands out their tokens and refuses everything
	// else, so `ssh -R` can forward it to a machine whose administrator is somebody else. It
	// is also at sockets/extra/agent.sock, in a folder of its own for a container to mount:
	// the same as one of the Sockets with the name "extra" and allow = ["token"].
	// Default: none, and no such socket. An environment that is not configured is an error.
	// A change needs a restart.
	ForwardEnvironments []string `toml:"forward_environments"`

	// LogLevel is "debug", "info", "warn" or "error". Default "info". No level logs a secret.
	LogLevel Level `toml:"log_level"`

	// Audit is what the log of who got what is worth: "on" writes it beside the requests,
	// "required" hands nothing out of which there is no line on the disk, "off" writes none. See
	// docs/audit.md. Default "on".
	Audit AuditMode `toml:"audit"`

	// AutoLock is when the agent locks by itself. Default: never.
	AutoLock AutoLock `toml:"auto_lock"`

	// Environments are what you can sign in to: [environments.NAME]. staging and prod
	// are built in; a table for one of them changes only the keys that it has.
	// A NAME is lower-case letters, digits, '-' and '_', at most 63 bytes.
	Environments map[string]Environment `toml:"environments"`

	// Sinks are files in which the daemon keeps a fresh token: [[sinks]]. Default: none.
	Sinks []Sink `toml:"sinks"`

	// Sockets are sockets for programs that may not have everything: [[sockets]]. Default:
	// none.
	Sockets []Socket `toml:"sockets"`
}

// Environment is one deployment of the KYC API, and the Cognito user pool of its users:
// [environments.NAME] in config.toml.
//
// The variable KYC_<NAME>_<KEY> overrides KEY (KYC_STAGING_CLIENT_ID; NAME in upper
// case, with '_' for '-'), except when it is empty. A variable whose KEY is not one
// of these is an error; so is a secret itself (KYC_PROD_PASSWORD). One whose NAME is
// not configured defines nothing: it is ignored, and the log says so.
type Environment struct {
	// Extends is another environment, whose keys this one has where it gives none: for a
	// second user of the same user pool and API, each with a sign-in. Default "": none.
	// Inherited are all keys, also ones that a variable of the other environment sets, but for
	// AllowedHosts (a host belongs to one environment), Username, PasswordFile and
	// HandOutAccessTokens (they are about the user). ClientSecretFile and the credential that is its default are inherited
	// together with ClientID. An environment that is not configured, this one, or one that
	// extends this one is an error; staging and prod cannot extend another. Two environments
	// with one APIURL are told apart by name only: a helper that is asked for a URL of theirs
	// needs the name as its argument.
	Extends EnvironmentName `toml:"extends"`
	// Region is the AWS region in which Cognito is called: "us-east-2". Required. It is the
	// user pool's, or the region of a replica of it.
	Region Region `toml:"region"`
	// UserPoolID is the user pool: "us-east-2_oGu06xbPS". Required.
	UserPoolID PoolID `toml:"user_pool_id"`
	// ClientID is the app client. Required.
	ClientID ClientID `toml:"client_id"`
	// APIURL is the address of the API: "https://stg.kyc.legaltalent.ai". Required.
	APIURL URL `toml:"api_url"`
	// AllowedHosts are more hosts that this environment's tokens may be sent to, over
	// HTTPS, by helpers that are asked for a URL (Bazel, git, Terraform, Go):
	// ["files.kyc.example", "10.0.0.7:8443"]. Default: only the host of api_url. A host is a
	// lower-case name or an IP address, with a port if it is not 443, and nothing
	// else: no scheme, path, user, wildcard or trailing dot. A host that another
	// environment has, here or in its api_url, is an error. In the variable they are
	// separated by commas.
	AllowedHosts Hosts `toml:"allowed_hosts"`

	// APIRate bounds the requests that the agent forwards to the API, for all programs and all
	// environments with the same API together: "900/5m" is 900 requests in any 5 minutes. If
	// such environments have different rates, the smallest holds. Default: only the limit of
	// the API itself, which its answers name. From 1 to 100000 requests, in 1s to 24h.
	APIRate Rate `toml:"api_rate"`

	// AuthFlow is how users sign in at Cognito: "password" sends user name and password
	// (USER_PASSWORD_AUTH), "srp" proves the password without sending it (USER_SRP_AUTH),
	// with "choice" Cognito offers the ways that the user may sign in (USER_AUTH), with
	// "custom" functions of the user pool ask (CUSTOM_AUTH). With the last two a user may
	// have no password, and with "browser" they use the pages of Domain. Default "password".
	// The app client must allow the flow; otherwise Cognito refuses a sign-in, and the error
	// says so.
	AuthFlow AuthFlow `toml:"auth_flow"`
	// Domain is the user pool's domain, or its custom domain, where users sign in with a
	// browser (`kyc-agentd login --browser`): "https://kyc.auth.us-east-2.amazoncognito.com".
	// Default: none, and no such sign-in. The app client must allow the authorization code
	// grant. It gets the client secret, if there is one.
	Domain Domain `toml:"domain"`
	// RedirectURIs are callback URLs of the app client to which the browser returns, on this
	// machine and each with a port of its own: ["http://localhost:8765/callback",
	// "http://localhost:8766/callback"]. Cognito compares them letter by letter with those that
	// are registered. A sign-in uses the first whose port is free. The first is also the
	// sign-out URL of `kyc-agentd logout --browser`, if it is registered as one. Required with
	// Domain. At most 10. In the variable they are separated by commas.
	RedirectURIs RedirectURIs `toml:"redirect_uris"`
	// IdentityProvider is where Domain sends the browser at once, as Cognito names it:
	// "Google", "SAML-corp". Default: none, and the person chooses on the page.
	IdentityProvider ProviderName `toml:"identity_provider"`
	// Scopes are those that a sign-in with a browser asks for: ["openid", "email"]. The app
	// client must allow them, and openid must be among them. Default ["openid"]. Add
	// "aws.cognito.signin.user.admin" for `kyc-agentd logout --all-devices`. In the variable they
	// are separated by commas.
	Scopes Scopes `toml:"scopes"`
	// ClientSecretFile holds the secret of the app client, if it has one, in one line: an
	// absolute path, or one that begins with ~/. Default: the systemd credential
	// kyc-<NAME>.client-secret, if it exists; else the app client has no secret. The file is
	// read at the start, at a reload, and again when Cognito refuses the secret: while an
	// app client has two secrets, write the new one there and delete the old one at Cognito.
	// A credential is a copy, which only a restart of the service replaces. A file that is
	// missing, open to others or not yours is an error.
	ClientSecretFile SecretPath `toml:"client_secret_file"`
	// RefreshTokenValidity is the setting of the app client: a sign-in ends that long after
	// it was made. Cognito does not say when, so `kyc-agentd status` relies on this value.
	// A Go duration or days: "30d", "12h". Default "30d", which is Cognito's default, too.
	// At least 60m and at most 3650d.
	RefreshTokenValidity Validity `toml:"refresh_token_validity"`

	// Username, when set, lets the agent sign in by itself, with the password in
	// PasswordFile: at the first request, and again when the sign-in is refused. Default
	// "": a person signs in.
	Username Username `toml:"username"`
	// PasswordFile holds the password of Username, in one line: an absolute path, or
	// one that begins with ~/. Default: the systemd credential kyc-<NAME>.password;
	// it is an error when there is neither, and when there is no Username. It is read
	// at each such sign-in. A file that is missing, open to others or not yours is an
	// error then. Where the agent signs in by itself, a change of Endpoint, Issuer, JWKSURL,
	// Region, UserPoolID or ClientID, or to an AuthFlow that shows the password, needs a restart.
	PasswordFile SecretPath `toml:"password_file"`

	// Fallback is what an agent with a shared Store does while it cannot reach that, once its
	// token has ended: with "own" it signs in for itself, as Username with PasswordFile, which
	// are then required. Such a sign-in lasts for one ID token and is not shared. Default "":
	// it has no token until the store is back.
	Fallback Fallback `toml:"fallback"`

	// HandOutAccessTokens lets programs of this user have the access token of the sign-in, too,
	// with `kyc-token -t access`: true or false. With it a program can change the user's
	// attributes and password and sign them out. The socket for forwarding never hands it
	// out. Default false; it is not inherited by Extends.
	HandOutAccessTokens Bool `toml:"hand_out_access_tokens"`

	// Confirm lets no program use the sign-in that you have not approved: true or false. The
	// first request of a terminal, a service or an app waits and says what to type: see
	// kyc-agentd approve. It holds on every socket, and for each way to a token. Linux only:
	// elsewhere true is an error, because the system does not say which program asks. A token
	// file of such an environment is an error, too: anybody could read it unasked. Default false.
	Confirm Bool `toml:"confirm"`

	// Where AWS credentials come from, for `kyc-token -f aws`: IdentityPoolID or AWSRoleARN.
	// Both are an error. By default there are no AWS credentials.

	// IdentityPoolID is a Cognito identity pool that has the user pool as a provider:
	// "us-east-2:0f1c2a7e-5b3d-4c8e-9a61-7d2b8e4f6a90".
	IdentityPoolID IdentityPoolID `toml:"identity_pool_id"`
	// RoleARN is the role to ask the identity pool for: "arn:aws:iam::123456789012:role/kyc".
	// Default: the pool's own choice. Without IdentityPoolID it is an error.
	RoleARN RoleARN `toml:"role_arn"`
	// AWSRoleARN is the role to assume at STS (AssumeRoleWithWebIdentity), which trusts the
	// user pool. STS is called in Region.
	AWSRoleARN RoleARN `toml:"aws_role_arn"`

	// The keys below are for other endpoints of AWS, private ones and tests. `kyc-agentd status`
	// shows those that are not the default.

	// Endpoint is where Cognito is called: a FIPS endpoint, such as
	// "https://cognito-idp-fips.us-east-2.amazonaws.com", one of a VPC, or another server, which
	// gets passwords and refresh tokens. Default https://cognito-idp.<region>.amazonaws.com. A
	// sign-in that was made at one server is not used at another.
	Endpoint URL `toml:"endpoint"`
	// Issuer is the exact `iss` of its ID tokens. Default: either of the two that a user pool
	// of AWS may have, https://cognito-idp.<region>.amazonaws.com/<user_pool_id> and
	// https://issuer-cognito-idp.<region>.amazonaws.com/<user_pool_id>; with an endpoint that is
	// not below amazonaws.com or api.aws it is <endpoint>/<user_pool_id>.
	Issuer URL `toml:"issuer"`
	// JWKSURL is where its signing keys are. Default <issuer>/.well-known/jwks.json.
	JWKSURL URL `toml:"jwks_url"`
	// AWSEndpoint is where the identity pool and STS are called. Default: AWS, in the region
	// of the identity pool, or in Region.
	AWSEndpoint URL `toml:"aws_endpoint"`

	// clientOf are the environments whose app client this one uses, because it extends them.
	clientOf []string
}

// builtin is the meaning of an empty config.toml.
func builtin() Config {
	return Config{
		DefaultEnvironment: "staging",
		RefreshMargin:      Duration{"5m"},
		Store:              StoreKind{"auto"},
		KubernetesSecret:   KubernetesName{kubernetes.DefaultSecret},
		PostgresTable:      TableName{postgres.DefaultTable},
		LogLevel:           Level{"info"},
		Audit:              AuditMode{"on"},
		Environments: map[string]Environment{
			"staging": {
				Region:     Region{"us-east-2"},
				UserPoolID: PoolID{"us-east-2_oGu06xbPS"},
				ClientID:   ClientID{"2raj3isqgeivk0m4b94858hice"},
				APIURL:     URL{"https://stg.kyc.legaltalent.ai"},
			},
			"prod": {
				Region:     Region{"us-east-2"},
				UserPoolID: PoolID{"us-east-2_L37NAaTbI"},
				ClientID:   ClientID{"17motn53rgao4bk26ojguv0ldu"},
				APIURL:     URL{"https://kyc.legaltalent.ai"},
			},
		},
	}
}
