# bash completion for kyc-token

_kyc_token_environments() {
    # The last line is cobra's directive. It is no error if no agent runs.
    kyc-agentd __complete login '' 2>/dev/null | sed '/^:/d'
}

_kyc_token() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $before in
    -f | -format | --format)
        COMPREPLY=($(compgen -W 'aws curl env google header json k8s token' -- "$word"))
        return
        ;;
    -t | -type | --type)
        COMPREPLY=($(compgen -W 'access id' -- "$word"))
        return
        ;;
    -socket | --socket)
        compopt -o filenames
        COMPREPLY=($(compgen -f -- "$word"))
        return
        ;;
    -min-valid | --min-valid | -user | --user)
        return
        ;;
    esac
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W '-f -min-valid -socket -t -user -version -help' -- "$word"))
        return
    fi
    local verbs=
    ((COMP_CWORD == 1)) && verbs='get exec'
    COMPREPLY=($(compgen -W "$verbs $(_kyc_token_environments)" -- "$word"))
}

complete -F _kyc_token kyc-token
