# bash completion for kyc-token

_kyc_token_environments() {
    # Only names: compgen -W expands its words, and what answers on the socket may be
    # another program than the agent. It is no error if no agent runs.
    kyc-agentd __completeNoDesc login '' 2>/dev/null | LC_ALL=C sed -n '/^[a-z0-9][a-z0-9_-]\{0,62\}$/p'
}

# One completion a line. COMPREPLY=($(compgen ...)) would take a file called * for a pattern.
_kyc_token_offer() {
    local line
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen "$@")
}

_kyc_token() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $before in
    -f | -format | --format)
        _kyc_token_offer -W 'aws claims curl env google header json k8s token' -- "$word"
        return
        ;;
    -t | -type | --type)
        _kyc_token_offer -W 'access id' -- "$word"
        return
        ;;
    -socket | --socket)
        compopt -o filenames
        _kyc_token_offer -f -- "$word"
        return
        ;;
    -e | -env | --env)
        _kyc_token_offer -W "$(_kyc_token_environments)" -- "$word"
        return
        ;;
    -min-valid | --min-valid | -user | --user)
        return
        ;;
    esac
    if [[ $word == -* ]]; then
        _kyc_token_offer -W '-e -f -min-valid -socket -t -user -version -help' -- "$word"
        return
    fi
    local verbs=
    ((COMP_CWORD == 1)) && verbs='get exec'
    _kyc_token_offer -W "$verbs $(_kyc_token_environments)" -- "$word"
}

complete -F _kyc_token kyc-token
