# fish completion for kyc-token

function __kyc_token_environments
    # Only names: what answers on the socket may be another program than the agent. It is
    # no error if no agent runs.
    kyc-agentd __completeNoDesc login '' 2>/dev/null | string match -r '^[a-z0-9][a-z0-9_-]{0,62}$'
end

complete -c kyc-token -f
complete -c kyc-token -o f -o format -x -d 'what to print' -a 'token\t"the ID token" header\t"Authorization header" curl\t"curl -K" json\t"token with its end" env\t"variables" k8s\t"ExecCredential" google\t"credential_source" claims\t"what the token says" aws\t"credential_process"'
complete -c kyc-token -o e -o env -x -a '(__kyc_token_environments)' -d 'the environment'
complete -c kyc-token -o min-valid -x -d 'how long it must stay valid'
complete -c kyc-token -o socket -r -F -d 'socket of the agent'
complete -c kyc-token -o t -o type -x -a 'access id' -d 'which token'
complete -c kyc-token -o user -x -d 'who must be signed in'
complete -c kyc-token -o v -o version -d 'print the version'
complete -c kyc-token -o h -o help -d 'print the help text'
complete -c kyc-token -n __fish_is_first_arg -a get -d 'credential helper of Bazel and others'
complete -c kyc-token -n __fish_is_first_arg -a exec -d 'run a command with the token'
complete -c kyc-token -a '(__kyc_token_environments)'
