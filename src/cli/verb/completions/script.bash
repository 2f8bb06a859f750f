# Completion in bash for @NAMES@, made by `ostree-rs completions bash`.
_ostree_rs() {
    local program=$1 whole=() word last='' i answer line names='' before ahead=''
    type -P -- "$program" >/dev/null || program=@PROGRAM@
    # Bash divides words at = and : too; the program gets them whole.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $i -eq $COMP_CWORD && -z $word && ${COMP_LINE:0:${COMP_POINT:-0}} == *[[:space:]] ]]; then
            whole+=("")
        elif [[ ${#whole[@]} -gt 0 && ($word == [=:]* || $last == [=:]) ]]; then
            whole[-1]+=$word
        else
            whole+=("$word")
        fi
        last=$word
    done
    word=${whole[-1]}
    [[ $last == [=:] ]] && last=''
    before=${word%"$last"}

    if ! answer=$("$program" complete "$1" "${whole[@]}" 2>/dev/null); then
        # Another program has this name. It is asked for in the usual way from now on.
        _ostree_rs_others+=" ${1##*/} "
        complete -r "${1##*/}" 2>/dev/null
        return 124
    fi
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
        '') ;;
        $'\tfiles\t'*) names=f ahead=${line##*$'\t'} ;;
        $'\tdirs\t'*) names=d ahead=${line##*$'\t'} ;;
        *)
            line=${line%%$'\t'*}
            [[ $line == *[[:space:]\$\`\"\'\\\;\&\|\<\>\(\)\*\?]* ]] && printf -v line %q "$line"
            COMPREPLY+=("${line#"$before"}")
            ;;
        esac
    done <<<"$answer"
    if [[ $names ]]; then
        compopt -o filenames 2>/dev/null
        while IFS= read -r line; do
            line=$ahead$line
            COMPREPLY+=("${line#"$before"}")
        done < <(compgen -"$names" -- "${word#"$ahead"}")
    elif [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
for _ostree_rs_name in @NAMES@; do
    [[ ${_ostree_rs_others-} == *" $_ostree_rs_name "* ]] || complete -F _ostree_rs "$_ostree_rs_name"
done
unset _ostree_rs_name
