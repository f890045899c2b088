package integrations_test

// usages are the sections of the document, in order.
var usages = []usage{
	{title: "curl", tools: program("curl", "curl"), calls: 1, says: `"is_match":true`},
	{title: "sh and dash", tools: all(program("dash", "dash"), program("curl", "curl")), calls: 1, says: `"is_match":true`},
	{title: "fish", tools: all(program("fish", "fish"), program("curl", "curl")), calls: 1, says: `"is_match":true`},
	{title: "csh and tcsh", tools: all(program("csh", "tcsh"), program("curl", "curl")), calls: 1, says: `"is_match":true`},
	{title: "wget", tools: wget, calls: 1, says: `"is_match":true`},
	{title: "HTTPie", tools: httpie, calls: 1, says: `"is_match":true`},
	{title: "Python requests", tools: pythonPackage("requests"), calls: 1, says: "True"},
	{title: "Python httpx", tools: pythonPackage("httpx"), calls: 1, says: "True"},
	{title: "Node fetch", tools: node, calls: 1, says: "true"},
	{title: "Go", tools: goModule, calls: 1, says: `200 OK {"status":"success"`},
	{title: "kubectl", tools: program("kubectl", "kubernetes-client", "version", "--client"), calls: 1, says: `"gitVersion":"v1.32.0"`},
	{title: "git", tools: newGit, calls: 2, says: "refs/heads/main", asks: true},
	{title: "Go modules", tools: goCommand, calls: 1, says: "example.com/kyc v1.0.0 v1.1.0", asks: true},
	{title: "Terraform", tools: terraform, calls: 2, says: "Terraform has been successfully initialized!", asks: true},
	{title: "Ansible", tools: program("ansible-playbook", "ansible-core"), calls: 1, says: "ok=1"},
	{title: "Google", tools: npm("google-auth-library"), says: "subject token of id use"},
	{title: "AWS CLI", tools: program("aws", "awscli"), says: callerARN},
	{title: "boto3", with: "AWS CLI", tools: python("boto3", "python3-boto3"), says: callerARN},
	{title: "AWS SDK for Go", with: "AWS CLI", tools: goAWS, says: callerARN},
	{title: "AWS SDK for JavaScript", with: "AWS CLI", tools: npm("@aws-sdk/client-sts"), says: callerARN},
	{title: "Bazel", tools: protocolOnly("only its protocol"), says: `{"headers":{"Authorization":["Bearer `},
	{title: "Any program", tools: program("curl", "curl"), calls: 1, says: "good until 20"},
	{title: "Files", tools: all(program("kubectl", "kubernetes-client", "version", "--client"), program("aws", "awscli")), calls: 1, says: callerARN},
	{title: "systemd", elsewhere: "packaging, with a real user manager"},
	{title: "The API without the token", tools: program("curl", "curl"), calls: 4, says: `"is_match":true`},
	{title: "One command without the token", tools: all(program("curl", "curl"), pythonPackage("requests"), node, program("bwrap", "bubblewrap")), calls: 3, says: "True\ntrue\n"},
	{title: "cron", tools: cron, calls: 1, says: `"is_match":true`},
	{title: "ssh", tools: ssh, calls: 1, says: `"is_match":true`},
	{title: "Containers", tools: container, calls: 2, says: `"is_match":true`},
}

// callerARN is the beginning of the caller's ARN, as STS reports it.
const callerARN = "arn:aws:sts::123456789012:assumed-role/"
