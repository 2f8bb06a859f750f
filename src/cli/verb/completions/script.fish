# Completion in fish for @NAMES@, made by `ostree-rs completions fish`.
function __ostree_rs_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l name $words[1]
    set -e words[1]
    set -l program $name
    type -q -- $program; or set program @PROGRAM@
    for line in ($program complete $name $words "$current" 2>/dev/null)
        set -l parts (string split \t -- $line)
        if test -n "$parts[1]"
            echo -- $line
            continue
        end
        # Names of files, behind what stands before them in the word.
        set -l rest (string sub -s (math (string length -- "$parts[3]") + 1) -- "$current")
        if test "$parts[2]" = dirs
            set -l found (__fish_complete_directories "$rest" '')
            test -n "$found"; and printf "$parts[3]%s\n" $found
        else
            set -l found (__fish_complete_path "$rest" '')
            test -n "$found"; and printf "$parts[3]%s\n" $found
        end
    end
end
for name in @NAMES@
    complete -c $name -f -a '(__ostree_rs_complete)'
end
