/**
 * Each asks `waybill complete` for lines of a value, or of `value<TAB>description`, and completes names of files where there are none. What
 * the user has typed is handed over as it is: nothing of it is run.
 */
export const scripts = {
  // No more than the bash 3.2 of macOS knows, and nothing of the package bash-completion.
  bash: `# bash completion for waybill
_waybill() {
  local IFS=$'\\n'
  COMPREPLY=($(waybill complete -- "\${COMP_WORDS[@]:1:COMP_CWORD-1}" "$2" 2>/dev/null | cut -f 1))
}
complete -o bashdefault -o default -F _waybill waybill
`,
  zsh: `#compdef waybill
_waybill() {
  local -a found
  found=("\${(@f)$(waybill complete -- "\${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
  found=("\${(@)\${(@)found:#}//$'\\t'/:}")
  if (( $#found )); then
    _describe waybill found
  else
    _files
  fi
}
if [ "\${funcstack[1]}" = _waybill ]; then
  _waybill "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
  compdef _waybill waybill
fi
`,
  fish: `# fish completion for waybill
function __waybill_find
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -g __waybill_found (waybill complete -- $words[2..-1] "$current" 2>/dev/null)
  test (count $__waybill_found) -gt 0
end
complete -c waybill -e
complete -c waybill -n __waybill_find -f -a '$__waybill_found'
`,
}
