#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs into an empty place, and uses what is there: every file, a program built against the
# library by way of pkg-config, the schema by way of era_restore, completion; and takes it away again.
set -eu
cd "$(dirname "$0")/.."

: "${CC:=cc}" "${CXX:=c++}" "${MAKE:=make}" "${SANITIZE:=}"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
sanitize=${SANITIZE:+-fsanitize=$SANITIZE}

fail()
{
	echo "install: $*"
	exit 1
}

run_make()
{
	local out

	out=$("$MAKE" --no-print-directory -s SANITIZE="$SANITIZE" DESTDIR="$root" PREFIX=/opt/era \
		"$@" 2>&1) || fail "make $* failed: $out"
}

installed_files()
{
	(cd "$root" && find . -type f | sort)
}

run_make install
expected=$(sort <<'END'
./opt/era/include/libera/era/era.h
./opt/era/include/libera/era/map.h
./opt/era/include/libera/persistent-data/block_io.h
./opt/era/include/libera/persistent-data/error.h
./opt/era/include/libera/persistent-data/report.h
./opt/era/lib/libera.a
./opt/era/lib/nbdkit/plugins/nbdkit-era-plugin.so
./opt/era/lib/pkgconfig/libera.pc
./opt/era/lib/systemd/system/era-check@.service
./opt/era/sbin/era_apply
./opt/era/sbin/era_check
./opt/era/sbin/era_copy
./opt/era/sbin/era_dump
./opt/era/sbin/era_invalidate
./opt/era/sbin/era_ls
./opt/era/sbin/era_metadata_size
./opt/era/sbin/era_repair
./opt/era/sbin/era_map
./opt/era/sbin/era_restore
./opt/era/share/bash-completion/completions/era_apply
./opt/era/share/bash-completion/completions/era_check
./opt/era/share/bash-completion/completions/era_copy
./opt/era/share/bash-completion/completions/era_dump
./opt/era/share/bash-completion/completions/era_invalidate
./opt/era/share/bash-completion/completions/era_ls
./opt/era/share/bash-completion/completions/era_metadata_size
./opt/era/share/bash-completion/completions/era_repair
./opt/era/share/bash-completion/completions/era_map
./opt/era/share/bash-completion/completions/era_restore
./opt/era/share/era/changed.schema.json
./opt/era/share/era/era.rng
./opt/era/share/man/man1/nbdkit-era-plugin.1
./opt/era/share/man/man8/era_apply.8
./opt/era/share/man/man8/era_check.8
./opt/era/share/man/man8/era_copy.8
./opt/era/share/man/man8/era_dump.8
./opt/era/share/man/man8/era_invalidate.8
./opt/era/share/man/man8/era_ls.8
./opt/era/share/man/man8/era_metadata_size.8
./opt/era/share/man/man8/era_repair.8
./opt/era/share/man/man8/era_map.8
./opt/era/share/man/man8/era_restore.8
END
)
diff <(echo "$expected") <(installed_files) || fail "these files differ from what is expected"

# A program outside the project, with the installed header and library alone.
mkdir "$root/work"
cat > "$root/work/changed.c" <<'END'
#include <era/era.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct era *era;
	struct era_numbers numbers;
	uint32_t begin, end = 0;
	int r, fd = argc == 3 ? open(argv[1], O_RDONLY) : -1;

	if (fd < 0)
		return 2;
	r = era_open(fd, ERA_OFFLINE, NULL, &era);
	if (!r) {
		era_numbers(era, &numbers);
		printf("%u blocks of %u sectors, era %u\n", numbers.nr_blocks,
		       numbers.data_block_size, numbers.current_era);
		r = era_changed_since(era, 0);
		if (!r)
			r = era_changed_since(era, (uint32_t)atoi(argv[2]));
		while (!r && era_next_changed(era, &begin, &end))
			printf("%u-%u\n", begin, end);
		era_close(era);
	}
	if (r)
		printf("%s\n", pd_error_text(r));
	return r ? 1 : 0;
}
END
pc() { PKG_CONFIG_PATH=$root/opt/era/lib/pkgconfig pkg-config --define-prefix "$@" libera; }

[ "$(pc --modversion)" = "$("$root/opt/era/sbin/era_check" --version)" ] || fail "versions differ"
# shellcheck disable=SC2046,SC2086 # flags are words
(cd "$root/work" && "$CC" -std=c11 -Wall -Wextra -Werror $sanitize $(pc --cflags) -o changed changed.c \
	$(pc --libs)) || fail "a program does not build"
# The archive as a whole, by its private libraries too.
# shellcheck disable=SC2046,SC2086
(cd "$root/work" && "$CC" $sanitize $(pc --cflags) -o whole changed.c -Wl,--whole-archive \
	"$root/opt/era/lib/libera.a" -Wl,--no-whole-archive $(pc --static --libs)) ||
	fail "not all libraries are named in libera.pc"

# Each header brings along what a caller needs to handle its errors.
for header in era/era.h era/map.h persistent-data/block_io.h; do
	echo "#include <$header>
int main(void) { return !pd_error_text(PD_ERR_IO); }" > "$root/work/alone.c"
	# shellcheck disable=SC2046,SC2086
	(cd "$root/work" && "$CC" -std=c99 -pedantic -Wall -Wextra -Werror $sanitize $(pc --cflags) \
		-o alone alone.c $(pc --libs)) || fail "$header does not do alone"
done

# A C++ program that calls a function of each header.
cat > "$root/work/plus.cc" <<'END'
#include <era/era.h>
#include <era/map.h>

int main()
{
	alignas(METADATA_BLOCK_SIZE) static char memory[64 * METADATA_BLOCK_SIZE];
	struct block_io *io = nullptr;
	struct era_map *map = nullptr;
	int r = block_io_open_memory(memory, 64, &io);

	if (!r)
		r = era_map_open(io, 8, 4096, nullptr, &map);
	if (!r)
		r = era_map_close(map);
	block_io_close(io);
	report_message(nullptr, "%s", pd_error_text(r));
	return r ? 1 : 0;
}
END
# shellcheck disable=SC2046,SC2086
(cd "$root/work" && "$CXX" -Wall -Wextra -Werror $sanitize $(pc --cflags) -o plus plus.cc $(pc --libs)) ||
	fail "a C++ program does not build"
"$root/work/plus" || fail "the C++ program failed"

gzip -dc tests/fixtures/crash/meta.img.gz > "$root/work/meta"
as_ranges() # what era_invalidate prints, as the program does
{
	sed -n -e 's/.*begin="\(.*\)" end="\(.*\)".*/\1-\2/p' -e 's/.*block="\(.*\)".*/\1/p' |
		awk '/-/ {print; next} {print $1 "-" $1 + 1}'
}
for since in 0 1 2 3; do
	"$root/work/changed" "$root/work/meta" "$since" > "$root/work/out" ||
		fail "the program failed: $(cat "$root/work/out")"
	tail -n +2 "$root/work/out" |
		diff - <("$root/opt/era/sbin/era_invalidate" --written-since "$since" "$root/work/meta" |
			as_ranges) || fail "the library and era_invalidate differ since era $since"
	[ "$since" -ne 1 ] || [ "$(wc -l < "$root/work/out")" -gt 1 ] || fail "no changed blocks"
done
if "$root/work/changed" "$root/work/changed.c" 1 > "$root/work/out"; then
	fail "the program took C source for metadata"
fi

# The schema is found from where the commands are.
"$root/opt/era/sbin/era_dump" -o "$root/work/xml" "$root/work/meta"
"$root/opt/era/sbin/era_restore" -i "$root/work/xml" --validate || fail "the schema does not work"
mv "$root/opt/era/share/era/era.rng" "$root/work"
if "$root/opt/era/sbin/era_restore" -i "$root/work/xml" --validate 2> "$root/work/out"; then
	fail "era_restore --validate did not notice that the schema is gone"
fi
if grep -v '^era_restore: ' "$root/work/out"; then
	fail "this is not a message of era_restore's"
fi
mv "$root/work/era.rng" "$root/opt/era/share/era"

# Every long option of a command is completed.
for command in era_check era_dump era_map era_repair era_restore era_invalidate era_apply era_copy era_metadata_size era_ls; do
	completed=$(bash -c '. "$1"; COMP_WORDS=("$2" --); COMP_CWORD=1; _era_tools "$2"
		printf "%s\n" "${COMPREPLY[@]}"' - "$root/opt/era/share/bash-completion/completions/$command" \
		$command | sort)
	diff <("$root/opt/era/sbin/$command" --help | grep -o -- '^ .*' | grep -o -- '--[a-z][a-z-]*' | sort -u) \
		<(echo "$completed") || fail "$command: its options and its completion differ"
	man=man8/$command.8
	for option in $completed; do
		sed 's/\\-/-/g' $man | grep -q -- "${option#--}" || fail "$man does not name $option"
	done
done

run_make uninstall
rm -rf "$root/work"
[ -z "$(installed_files)" ] || fail "uninstall leaves files: $(installed_files)"
echo "installs, links and uninstalls"
