#compdef @NAMES@
# Completion in zsh, made by `ostree-rs completions zsh`.
_ostree_rs() {
    local program=${~words[1]} text line value help names before
    local -a plain open
    (( $+commands[$program] )) || [[ -x $program ]] || program=@PROGRAM@
    if ! text=$("$program" complete "${words[1]}" "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null); then
        _default
        return
    fi
    for line in "${(@f)text}"; do
        if [[ $line == $'\t'* ]]; then
            names=${${line#$'\t'}%%$'\t'*}
            before=${line##*$'\t'}
        elif [[ -n $line ]]; then
            value=${line%%$'\t'*}
            help=
            [[ $line == *$'\t'* ]] && help=":${line#*$'\t'}"
            # What ends so goes on, without a space.
            if [[ $value == *[/=:] ]]; then
                open+=("${${value//\\/\\\\}//:/\\:}$help")
            else
                plain+=("${${value//\\/\\\\}//:/\\:}$help")
            fi
        fi
    done
    if (( $#plain + $#open )); then
        _describe value plain -- open -S ''
    fi
    if [[ -n $names ]]; then
        compset -p ${#before}
        case $names in
            (dirs) _files -/ ;;
            (*) _files ;;
        esac
    fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _ostree_rs "$@"
else
    compdef _ostree_rs @NAMES@
fi
