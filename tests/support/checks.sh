# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For test scripts, which count what they check: they source this, and end with `sum_up`. log has what
# the last command printed, said what it wrote to standard error.
passed=0 failed=0 skipped=0

passes()
{
	passed=$((passed + 1))
}

fails() # NAME FILE
{
	failed=$((failed + 1))
	echo "FAILED: $1: $(head -n 5 "$2")"
}

# usage: check NAME COMMAND...
check()
{
	local name=$1

	shift
	if "$@" >log 2>&1; then
		passes
	else
		fails "$name" log
	fi
}

# usage: refused NAME PHRASE COMMAND...: exit status 1, and that said
refused()
{
	local name=$1 phrase=$2

	shift 2
	"$@" >log 2>said
	if [ $? -eq 1 ] && grep -q -- "$phrase" said; then
		passes
	else
		fails "$name" said
	fi
}

not()
{
	! "$@"
}

# usage: skips WHAT
skips()
{
	echo "skipped: $1"
	skipped=$((skipped + 1))
}

sum_up()
{
	echo "$passed passed, $failed failed, $skipped skipped"
	[ $failed -eq 0 ]
}
