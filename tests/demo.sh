#!/bin/bash
# SPDX-License-Identifier: MIT
# Shows the commands at work on metadata that a kernel wrote. `make demo` builds them first.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH=$PWD/build/bin:$PATH

say()
{
	printf '\n# %s\n' "$*"
}

# Shows a command, then what it prints: with the name of the image rather than its temporary place.
run()
{
	printf '$ %s\n' "$*"
	(cd "$work" && "$@")
}

gzip -dc tests/fixtures/snap-live/meta.img.gz > "$work/meta.img"

echo "Metadata as Linux 6.1 left it: a volume of 8192 blocks of 64 KiB was written to over eight eras."
echo "A metadata snapshot was taken as era 5 began; in era 8 the power went."

say "Is the metadata sound? Every rule of the format and every reference count is checked."
run era_check meta.img

say "What does it say? For each block the era it was last written in; here are the first lines."
run era_dump --compact -o dump.xml meta.img
run head -n 9 dump.xml

say "Which blocks were written in era 7 or later? 500 and 501 stand in the writeset of era 8 alone."
run era_invalidate --written-since 7 meta.img

say "The snapshot that was taken as era 5 began: sound too, ..."
run era_check --metadata-snapshot meta.img

say "... and it knows what was written from era 3 on until then, which a backup made from it holds."
run era_invalidate --written-since 3 --metadata-snapshot meta.img

say "Restored from the dump, the metadata gives the same answer."
truncate -s 8M "$work/restored.img"
run era_restore -i dump.xml -o restored.img
run era_check restored.img
cmp <(cd "$work" && era_invalidate --written-since 7 meta.img) \
	<(cd "$work" && era_invalidate --written-since 7 restored.img)

printf '\nman -l man8/era_invalidate.8 tells more, and README.md how to make a backup of it.\n'
